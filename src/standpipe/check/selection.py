"""Which rules are checked: by the beginnings of their ids, as in ruff."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatch

from standpipe.errors import ArgumentError
from standpipe.model.frozen import field, frozen

#: Selects all rules.
ALL = "ALL"


@frozen
class Selection:
    """The rules that are checked.

    `select` and `ignore` are ids of rules, beginnings of ids, or `ALL`; the longest one that fits a rule counts, and
    `ignore` if both have it. `per_file` maps patterns of files to what is ignored in them.
    """

    select: tuple[str, ...] = (ALL,)
    ignore: tuple[str, ...] = ()
    per_file: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def has(self, rule: str, *, is_optional: bool = False) -> bool:
        """Return whether a rule is checked: an optional one only if its id is selected."""
        if is_optional and rule not in self.select:
            return False
        return _best(self.select, rule) > _best(self.ignore, rule)

    def has_in(self, rule: str, file: str) -> bool:
        """Return whether a rule is checked in a file, whose path is relative to the configuration."""
        ignored = (codes for pattern, codes in self.per_file.items() if _fits(file, pattern))
        return self.has(rule) and not any(_best(codes, rule) >= 0 for codes in ignored)


def check_codes(codes: Iterable[str], rules: Sequence[str], where: str) -> tuple[str, ...]:
    """Return ids and beginnings of ids in upper case.

    Raises:
        ArgumentError: if no rule has such an id.
    """
    upper = tuple(code.strip().upper() for code in codes if code.strip())
    for code in upper:
        if code != ALL and not any(rule.startswith(code) for rule in rules):
            raise ArgumentError(
                f"Unknown rule {code!r} in {where}: expected the id of a rule, its beginning, or {ALL}. "
                "`standpipe check --list-rules` lists the rules."
            )
    return upper


def _best(codes: Iterable[str], rule: str) -> int:
    """Return the length of the longest code that fits a rule; 0 for `ALL`, -1 if none does."""
    return max((0 if code == ALL else len(code) for code in codes if code == ALL or rule.startswith(code)), default=-1)


def _fits(file: str, pattern: str) -> bool:
    return fnmatch(file, pattern) or fnmatch(file.rpartition("/")[2], pattern)
