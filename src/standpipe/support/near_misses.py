"""Near misses: what a person may have meant by a name that does not exist."""

from __future__ import annotations

TYPE_CHECKING = False  # `standpipe show` does without the import
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def close_names(name: str, known: Iterable[str], *, most: int = 1) -> list[str]:
    """Return the known names that are similar to a name, the most similar first.

    Args:
        name: what was written.
        known: the names that exist.
        most: how many to return at most.

    >>> close_names("--jsn", ["--root", "--json"]), close_names("Train", ["train"]), close_names("x", ["train"])
    (['--json'], ['train'], [])
    """
    from difflib import get_close_matches  # costs time, and only a mistake needs it

    spellings = {each.lower(): each for each in known}
    return [spellings[each] for each in get_close_matches(name.lower(), spellings, most)]


def close_meanings(name: str, meanings: Mapping[str, str], *, most: int) -> list[str]:
    """Return what the names that are similar to a name stand for, the most similar first, each once.

    Args:
        name: what was written.
        meanings: what each name stands for, as the name of a task for its path.
        most: how many to return at most.

    >>> close_meanings("trian", {"for-loop-1/2/train": "for-loop-1/2/train", "train": "for-loop-1/2/train"}, most=3)
    ['for-loop-1/2/train']
    """
    return list(dict.fromkeys(meanings[each] for each in close_names(name, meanings, most=2 * most)))[:most]


def suggest(name: str, known: Iterable[str], *, before: str = " ") -> str:
    """Return the question whether a similar name was meant, after a separator; empty if there is none.

    >>> suggest("trian", ["train"]), suggest("x", ["train"])
    (' Did you mean train?', '')
    """
    return "".join(f"{before}Did you mean {close}?" for close in close_names(name, known))
