"""`standpipe doctor`: check what this machine has for runs, and say what to do about the rest."""

from __future__ import annotations

import argparse
import json
import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from standpipe.cli import options, parsers, terminal

if TYPE_CHECKING:
    from standpipe.doctor.examination import Result

#: The column in which details begin: after the longest status and the longest name.
_INDENT = len("problem  temporary folder  ")

#: The least width of the column of details.
_NARROWEST = 30


def main(arguments: Sequence[str]) -> int:
    """Print what works and what does not; the exit code is 1 if the default runner cannot work.

    Raises:
        StandpipeError: if the pipeline root is not a path.
    """
    args = make_parser().parse_args(arguments)
    from pathlib import Path  # here and below: not needed for `--help`

    from standpipe.doctor.answers import Surroundings
    from standpipe.doctor.examination import examine
    from standpipe.support.paths import absolute_path
    from standpipe.support.user_dirs import cache_folder

    root = absolute_path("pipeline_root", args.pipeline_root)
    results = examine(Surroundings(root, Path(cache_folder())))
    is_usable = all(result.status != "problem" for result in results)
    if args.json:
        checks = [result._asdict() for result in results]
        terminal.print_text(json.dumps({"ok": is_usable, "checks": checks}, indent=2))
    else:
        terminal.print_text("\n".join([*_lines(results), "", _summarize(results)]))
    return 0 if is_usable else 1


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = parsers.new_parser(
        "doctor",
        "Check what this machine has for runs: Python, uv, folders, locks, limits, container engines and more. Each "
        "check says what works, or what to do. Nothing is left behind. The exit code is 1 if the default runner cannot "
        "work.",
        examples=(
            "standpipe doctor",
            "standpipe doctor --root /data/runs  # for another pipeline root",
            "standpipe doctor --json | jq -r '.checks[] | select(.status != \"ok\") | .fix'",
        ),
    )
    options.add_root(parser)
    parsers.add_json(parser, "an object")
    return parser


def _lines(results: Sequence[Result]) -> Iterator[str]:
    colorize = terminal.make_colorizer()
    for result in results:
        head = f"{result.status:<9}{result.name}".ljust(_INDENT)
        for line in _wrap(head, result.detail):
            yield line.replace(result.status, colorize(result.status, result.status.upper()), 1)
        if result.fix:
            yield from _wrap(" " * _INDENT, f"-> {result.fix}")


def _wrap(head: str, text: str) -> list[str]:
    """Return a text after a head, in the width of the terminal."""
    width = max(_INDENT + _NARROWEST, terminal.width())
    return textwrap.wrap(
        text,
        width,
        initial_indent=head,
        subsequent_indent=" " * _INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _summarize(results: Sequence[Result]) -> str:
    statuses = [result.status for result in results]
    problems, warnings = statuses.count("problem"), statuses.count("warning")
    known = f"{warnings} warning{'s' if warnings != 1 else ''}"
    if problems:
        return f"The default runner cannot work here: {problems} problem{'s' if problems > 1 else ''}, {known}."
    return f"The default runner works here; {known}."
