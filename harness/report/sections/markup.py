"""What HTML of a section from outside may hold: what the page's policy allows, well formed."""

from html.parser import HTMLParser

_VOID = {"br", "col", "hr", "img", "input", "wbr"}
_REFUSED = {
    *("applet", "base", "body", "button", "embed", "form", "frame", "frameset", "head", "html"),
    *("iframe", "img", "input", "link", "main", "meta", "object", "script", "section", "select"),
    *("style", "template", "textarea", "title", "video", "audio", "source", "track", "portal"),
}
_LOADS = {"src", "srcset", "action", "formaction", "data", "poster", "background", "style", "ping"}


def forbidden(name: str, html: str) -> str:
    """Why a section's HTML cannot stand on the page; empty where it can.

    Refused is what would load, run or restyle anything, what would end the section early, and
    names that others may have: those of its elements begin with the section's own.

    Args:
        name: The section.
        html: What it answered with.
    """
    reader = _Reader(name)
    reader.feed(html)
    reader.close()
    left = f"leaves <{reader.open[-1]}> open" if reader.open else ""
    faults = [*reader.faults, *([left] if left else [])]
    return f"answers with HTML that {faults[0]}" if faults else ""


class _Reader(HTMLParser):
    """Reads HTML and notes what is wrong with it."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.open: list[str] = []
        self.faults: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _REFUSED and not (tag == "title" and "svg" in self.open):
            self.faults.append(f"has <{tag}>")
        for key, value in attrs:
            link = key.rpartition(":")[2] == "href" and not (value or "").startswith("#")
            if key.startswith("on") or key in _LOADS or link:
                self.faults.append(f"has {key} on <{tag}>")
            if key == "id" and not (value or "").startswith(f"{self.name}-"):
                self.faults.append(f"names an element {value!r}, not {self.name}-…")
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if self.open and self.open[-1] == tag:
            self.open.pop()
        elif tag not in _VOID:
            self.faults.append(f"closes <{tag}> where it is not open")
