"""File formats of returned sheets, recognised by their content.

What a file is called does not matter: raters rename files, and programs export CSV as ``.txt``.
"""

import codecs
import io
import re
import zipfile
from pathlib import Path

from harness.errors import DataError, in_a_line
from harness.ratings.layout import PAGE_FORMAT
from harness.ratings.records import ReturnFormat

AS_TABLE = "Open it in the program that made it, export it as .xlsx or .csv, and import that file."
AGAIN = "Ask the rater to send the file again."

MOST_UNPACKED = 512 * 2**20  # bytes; a sheet of 30,000 long rows has 400 MiB
_OLE = bytes.fromhex("d0cf11e0a1b11ae1")
_OTHER_ARCHIVES = (  # how names in an archive begin -> what it is
    ("word/", "a Word document"),
    ("ppt/", "a PowerPoint presentation"),
)
_OTHER_FILES = (  # how files begin -> what they are
    (b"%PDF", "a PDF file"),
    (b"{\\rtf", "a document in Rich Text Format"),
    (b"\x1f\x8b", "a compressed file, such as Gnumeric's own .gnumeric"),
    (b"ID;", "a SYLK file (.slk)"),
    (b"TABLE\r\n0,1", "a DIF file (.dif)"),
    (b"TABLE\n0,1", "a DIF file (.dif)"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"Rar!", "a RAR archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
)
_HTML = re.compile(rb"\s*(<!--.*?-->\s*)?<(!doctype html|html)\b", re.IGNORECASE | re.DOTALL)
_OPEN_SPREADSHEET = b"application/vnd.oasis.opendocument.spreadsheet"


def is_lock_file(path: Path) -> bool:
    """Whether a file only says that another one is open in Office or LibreOffice."""
    name = path.name
    named = name.startswith("~$") or (name.startswith(".~lock.") and name.endswith("#"))
    try:
        return named and path.stat().st_size < 1024
    except OSError:
        return False  # whoever reads it will say why


def recognise(data: bytes, where: str) -> ReturnFormat:
    """Tell a file's format by its content; of archives, nothing but the list of parts is unpacked.

    Args:
        data: All of the file.
        where: What messages call it.

    Raises:
        DataError: It is empty, cut off, too large, or nothing that ratings can be read from.
    """
    if not data:
        raise DataError("The file is empty: 0 bytes.", where=where, hint=AGAIN)
    if data.startswith(b"PK"):
        return _archive(data, where)
    if data.startswith(_OLE):
        if "EncryptedPackage".encode("utf-16-le") in data:
            raise encrypted(where)
        return "xls"
    for start, what in _OTHER_FILES:
        if data.startswith(start):
            raise not_a_table(what, where)
    start = data[:4096].removeprefix(codecs.BOM_UTF8)
    if _HTML.match(start):
        raise _web_page(data, where)
    start = start.replace(b"\0", b"").lstrip(b"\xff\xfe \t\r\n")
    if start.startswith((b"<?xml", b"<office:document")):
        return _xml(start, where)
    return "json" if start[:1] in (b"{", b"[") else "csv"


def _web_page(data: bytes, where: str) -> DataError:
    if PAGE_FORMAT.encode() not in data:
        return not_a_table("a web page (.html)", where)
    return DataError(
        "A returned sheet was needed, but this is the rating page itself; the ratings are not in "
        "it.",
        where=where,
        hint="Open the page in the browser where it was filled in, and send the file that its "
        "button saves (.json).",
    )


def _xml(start: bytes, where: str) -> ReturnFormat:
    if b"office:document" in start and _OPEN_SPREADSHEET in start:
        return "fods"
    if b"urn:schemas-microsoft-com:office:spreadsheet" in start:
        raise not_a_table("an XML spreadsheet of Excel 2003", where)
    raise not_a_table("an XML file", where)


def _archive(data: bytes, where: str) -> ReturnFormat:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
            names = set(archive.namelist())
            kind = _start(archive, "mimetype", 200) or b""
            manifest = _start(archive, "META-INF/manifest.xml", 2**20) or b""
    except Exception as error:  # zipfile's, zlib's, struct's, NotImplementedError and others
        raise damaged(where, error) from error
    if unpacked > MOST_UNPACKED:
        raise DataError(
            f"A sheet was needed, but unpacked this file has {unpacked / 2**20:,.0f} MiB; "
            f"{MOST_UNPACKED / 2**20:.0f} are read at most.",
            where=where,
            hint=AGAIN,
        )
    return _archive_format(names, kind or manifest, manifest, where)


def _archive_format(names: set[str], kind: bytes, manifest: bytes, where: str) -> ReturnFormat:
    """The format of an archive with these parts.

    Args:
        names: Of its parts.
        kind: What says the kind of an OpenDocument file: ``mimetype``, else its manifest.
        manifest: Its list of parts, empty in other archives.
        where: What messages call it.
    """
    if b"encryption-data" in manifest:
        raise encrypted(where)
    if _OPEN_SPREADSHEET in kind:
        return "ods"
    if b"application/vnd.oasis.opendocument" in kind:
        raise not_a_table("an OpenDocument file, but no spreadsheet", where)
    if b"application/vnd.sun.xml.calc" in kind:
        raise not_a_table("a spreadsheet of OpenOffice.org 1 (.sxc)", where)
    if "xl/workbook.bin" in names:
        return "xlsb"
    if any(name.startswith("xl/") for name in names):
        return "xlsx"
    if any(name.startswith("Index/") or name == "Index.zip" for name in names):
        return "numbers"
    for start, what in _OTHER_ARCHIVES:
        if any(name.startswith(start) for name in names):
            raise not_a_table(what, where)
    raise DataError(
        f"A returned sheet was needed, but this is an archive of {len(names)} files.",
        where=where,
        hint="Unpack it, and import the files in it.",
    )


def _start(archive: zipfile.ZipFile, name: str, most: int) -> bytes | None:
    """The first bytes of a part; None where there is no such part."""
    if name not in archive.namelist():
        return None
    with archive.open(name) as part:
        return part.read(most)


def encrypted(where: str) -> DataError:
    """The error of a file that opens with a password only."""
    return DataError(
        "The file is encrypted: it opens with a password only.",
        where=where,
        hint="Open it, save it without a password, and import that file.",
    )


def damaged(where: str, error: BaseException) -> DataError:
    """The error of a file that its format's reader cannot make sense of."""
    return DataError(
        f"The file is damaged or was cut off ({in_a_line(error)}).",
        where=where,
        hint=AGAIN,
    )


def not_a_table(what: str, where: str) -> DataError:
    """The error of a file of some other kind."""
    return DataError(
        f"A spreadsheet (.xlsx, .ods, .csv) or a rating page's file (.json) was needed, but this "
        f"is {what}.",
        where=where,
        hint=AS_TABLE,
    )
