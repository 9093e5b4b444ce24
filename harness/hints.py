"""One answer to an unknown name: what could have been meant."""

from collections.abc import Iterable

_SHOWN = 3
_NEAR = 0.6  # difflib's ratio, 1 for equal names; below it a guess confuses more than it helps
_AS_NEAR = 0.15  # further from the name than the nearest by more than this: hardly meant


def near_names(name: str, known: Iterable[str]) -> list[str]:
    """Known names near an unknown one, the nearest first; case does not count.

    Args:
        name: The unknown name.
        known: All that there are.
    """
    import difflib

    by_case = {other.casefold(): other for other in known}
    word = name.casefold()
    near = difflib.get_close_matches(word, by_case, n=_SHOWN, cutoff=_NEAR)
    if near:
        nearest = difflib.SequenceMatcher(None, near[0], word).ratio()
        near = difflib.get_close_matches(word, near, cutoff=max(0.0, nearest - _AS_NEAR))
    return [by_case[match] for match in near]


def did_you_mean(name: str, known: Iterable[str], *, instead: str = "") -> str:
    """What could have been meant: ``Did you mean this or that?``.

    Args:
        name: The unknown name.
        known: All that there are.
        instead: What to say where none is near.
    """
    near = near_names(name, known)
    return f"Did you mean {' or '.join(near)}?" if near else instead


def choices(name: str, known: Iterable[str], what: str = "There are") -> str:
    """What could have been meant by an unknown name, and all that there are."""
    names = list(known)
    return f"{did_you_mean(name, names)} {what}: {', '.join(names) or 'none'}.".lstrip()
