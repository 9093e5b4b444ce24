"""XML of strangers: read by the standard library, without the declarations that make it grow."""

from collections.abc import Iterable, Mapping
from typing import NoReturn
from xml.etree import ElementTree as ET  # declarations are refused below


def _refuse_declarations(*_: object) -> NoReturn:
    # only a document type can declare entities, and with them ten lines become gigabytes
    raise ValueError("it declares a document type, which no spreadsheet program writes")


class Target:
    """Base of what takes a document's events as they come: ``start``, ``data``, ``end``."""

    doctype = staticmethod(_refuse_declarations)

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        """An element begins; names are written ``{namespace}name``."""

    def data(self, text: str) -> None:
        """Text stands between two tags, or a part of it."""

    def end(self, tag: str) -> None:
        """An element ends."""

    def close(self) -> None:
        """The document ends."""


def feed(chunks: Iterable[bytes], target: Target) -> None:
    """Hand a document's events to a target; nothing is kept of what it does not keep.

    Raises:
        ValueError: It declares a document type.
        SyntaxError: It is no well-formed XML.
    """
    parser = ET.XMLParser(target=target)  # noqa: S314
    for chunk in chunks:
        parser.feed(chunk)
    parser.close()


class _Builder(ET.TreeBuilder):
    doctype = staticmethod(_refuse_declarations)


def tree(data: bytes) -> ET.Element:
    """The root of a small document; raises as :func:`feed` does."""
    return ET.XML(data, ET.XMLParser(target=_Builder()))  # noqa: S314
