"""How the parts of an Excel workbook refer to each other."""

import posixpath
import zipfile
from collections.abc import Iterator
from xml.etree.ElementTree import Element

from harness.ratings.returns.safe_xml import tree


def related(
    archive: zipfile.ZipFile, names: frozenset[str], part: str
) -> dict[str, tuple[str, str]]:
    """Id -> kind and name of the parts that a part refers to."""
    folder, name = posixpath.split(part)
    path = f"{folder}/_rels/{name}.rels"
    if path not in names:
        return {}
    return {
        attribute(one, "Id"): (
            posixpath.basename(attribute(one, "Type")),
            posixpath.normpath(posixpath.join("/", folder, attribute(one, "Target")))[1:],
        )
        for one in all_named(tree(archive.read(path)), "Relationship")
    }


def all_named(root: Element, tag: str) -> Iterator[Element]:
    """Elements of a name, in either of the namespaces that Excel writes."""
    return (one for one in root.iter() if one.tag.rpartition("}")[2] == tag)


def attribute(element: Element, name: str) -> str:
    """An attribute by its name without a namespace; empty where there is none."""
    return next((value for key, value in element.items() if key.rpartition("}")[2] == name), "")
