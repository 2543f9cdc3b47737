"""The settings of `standpipe check` in `pyproject.toml`: the table `[tool.standpipe.check]`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from standpipe.check.registry import BY_ID
from standpipe.check.selection import ALL, Selection, check_codes
from standpipe.errors import ArgumentError
from standpipe.model.frozen import frozen
from standpipe.model.types import Json
from standpipe.support.notices import warn

_TABLE = "[tool.standpipe.check]"
_KEYS = ("select", "ignore", "per-file-ignores")


@frozen
class Settings:
    """What a `pyproject.toml` says, and the folder that it is in."""

    selection: Selection
    folder: str

    def select(self, select: str | None, ignore: str | None) -> Selection:
        """Return the selection with the options of a command line, which lists separated by commas.

        Raises:
            ArgumentError: if there is no such rule.
        """
        rules = list(BY_ID)
        selected = check_codes(select.split(","), rules, "--select") if select is not None else self.selection.select
        ignored = check_codes((ignore or "").split(","), rules, "--ignore")
        return Selection(selected, (*self.selection.ignore, *ignored), self.selection.per_file)


def read_settings(folder: str) -> Settings:
    """Read the settings of the closest `pyproject.toml`, in a folder or one above it; the defaults if it has none.

    Raises:
        ArgumentError: if they are invalid.
    """
    for parent in (Path(folder).resolve(), *Path(folder).resolve().parents):
        file = parent / "pyproject.toml"
        if file.is_file():
            return Settings(_read_selection(file), str(parent))
    return Settings(Selection(), folder)


def _read_selection(file: Path) -> Selection:
    text = file.read_text(encoding="utf-8")
    if "tool.standpipe" not in text:  # then there is nothing to parse
        return Selection()
    table = _parse(file, text).get("tool", {}).get("standpipe", {}).get("check", {})
    for key in table:
        if key not in _KEYS:
            raise ArgumentError(f"Unknown setting {key!r} in {_TABLE} of {file}: expected {', '.join(_KEYS)}.")
    per_file = table.get("per-file-ignores", {})
    if not isinstance(per_file, dict):
        raise ArgumentError(f"Invalid per-file-ignores in {_TABLE} of {file}: expected a table of lists, by files.")
    return Selection(
        _read_codes(table.get("select", [ALL]), "select", file),
        _read_codes(table.get("ignore", []), "ignore", file),
        {pattern: _read_codes(codes, "per-file-ignores", file) for pattern, codes in per_file.items()},
    )


def _parse(file: Path, text: str) -> Mapping[str, Json]:
    if sys.version_info < (3, 11):
        warn(f"The settings in {file} are not read: only Python 3.11 and newer can. Use --select and --ignore.")
        return {}
    import tomllib  # Python 3.10 does not have it

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ArgumentError(f"Invalid {file}: {error}.") from error


def _read_codes(codes: Json, key: str, file: Path) -> tuple[str, ...]:
    if not isinstance(codes, list) or not all(isinstance(code, str) for code in codes):
        raise ArgumentError(f"Invalid {key} in {_TABLE} of {file}: expected a list of ids of rules.")
    return check_codes(codes, list(BY_ID), f"{key} of {file}")
