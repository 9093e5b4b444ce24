"""Words that every output shares: splits, measured quantities, lists of names."""

from collections.abc import Iterable

from harness.metrics import quantities


def split_words(split: str) -> str:
    """A split in words; tasks that are not split score all their documents."""
    return "all documents" if split == "all" else f"{split} split"


def measured_name(name: str) -> str:
    """A measured quantity's name at the head of a row or column; its own where it has no other."""
    words = quantities.measured_name(name)
    return words if words == name else words[:1].upper() + words[1:]


def listed(parts: Iterable[str]) -> str:
    """Names in a sentence: ``a``, ``a and b``, ``a, b and c``; empty without any."""
    *head, last = [*parts] or [""]
    return f"{', '.join(head)} and {last}" if head else last
