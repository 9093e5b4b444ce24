#!/usr/bin/env bash
# Guess, written down before the first run: white space between two elements of an OpenDocument
# spreadsheet means nothing to a reader, and a line break within a cell is a line break.
#
# Seen with python-calamine 0.9.1 and pandas 3.0.2 with odfpy 1.4.1: the same two cells, once on one
# line and once on a line each (as Gnumeric, Calligra and SheetJS write them), are read by calamine
# in the first file only; in the second it "found Text" and gives nothing. The line break that
# LibreOffice writes within a paragraph is dropped by both, so that two words become one.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "python-calamine==0.9.1" "pandas==3.0.2" "odfpy==1.4.1"
cat > "$folder/read.py" <<'PY'
import sys
import zipfile
from importlib.metadata import version

import pandas
from python_calamine import CalamineWorkbook

KIND = "application/vnd.oasis.opendocument.spreadsheet"
NAMES = " ".join(
    f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
    for name in ("office", "table", "text")
)
MANIFEST = (
    '<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0">'
    f'<manifest:file-entry manifest:full-path="/" manifest:media-type="{KIND}"/>'
    '<manifest:file-entry manifest:full-path="content.xml" manifest:media-type="text/xml"/>'
    "</manifest:manifest>"
)


def write(path: str, between: str) -> None:
    cells = between.join(
        f'<table:table-cell office:value-type="string"><text:p>{text}</text:p></table:table-cell>'
        for text in ("one<text:line-break/>two", "three")
    )
    content = (
        f'<office:document-content {NAMES} office:version="1.3"><office:body><office:spreadsheet>'
        f'<table:table table:name="S"><table:table-row>{cells}</table:table-row></table:table>'
        "</office:spreadsheet></office:body></office:document-content>"
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mimetype", KIND)
        archive.writestr("META-INF/manifest.xml", MANIFEST)
        archive.writestr("content.xml", content)


print(", ".join(f"{name} {version(name)}" for name in ("python-calamine", "pandas", "odfpy")))
seen = []
for name, between in (("on one line", ""), ("on a line each", "\n")):
    path = f"{sys.argv[1]}/{name}.ods"
    write(path, between)
    try:
        calamine = CalamineWorkbook.from_path(path).get_sheet_by_index(0).to_python()
    except Exception as error:
        calamine = str(error)
    odf = pandas.read_excel(path, engine="odf", header=None).values.tolist()
    print(f"{name}: calamine {calamine}, pandas {odf}")
    seen += [calamine, odf]
joined = [["onetwo", "three"]]
if seen[:2] + seen[3:] != [joined] * 3 or "found 'Text" not in seen[2]:
    raise SystemExit("This is not as it was.")
PY
"$folder/venv/bin/python" "$folder/read.py" "$folder"
