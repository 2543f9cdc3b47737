"""`standpipe export`: write a run in the format of another program."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Sequence

from standpipe.cli import options, parsers, terminal
from standpipe.errors import ArgumentError, StandpipeError, StorageError, UnsupportedError

_STANDARD_OUTPUT = "-"


def main(arguments: Sequence[str]) -> int:
    """Write the events of a run, or send them.

    Raises:
        ArgumentError: if no format is chosen, or the file exists.
        NoSuchRun: if there is no such run.
        StorageError: if the run store cannot be read, the file cannot be written, or the events cannot be sent.
        UnsupportedError: if the package for the format is missing.
    """
    args = make_parser().parse_args(arguments)
    if not args.openlineage:
        raise ArgumentError("No format is chosen: pass --openlineage.")
    if args.output != _STANDARD_OUTPUT and os.path.exists(args.output) and not args.force:
        raise ArgumentError(f"The file {args.output} exists: choose another one, or pass --force to replace it.")
    try:
        from standpipe.exports import openlineage  # needs the extra
    except ModuleNotFoundError as error:
        raise UnsupportedError(
            f"OpenLineage needs the package openlineage-python, which is not installed ({error}). Install it with: "
            "pip install 'standpipe[openlineage]'."
        ) from error
    from standpipe import local  # not needed for `--help`

    run = local.get_run(args.run, args.pipeline_root)
    events = openlineage.follow_events(run) if args.follow else openlineage.make_events(run)
    if args.send:
        try:
            count = openlineage.send(events)
        except StandpipeError:
            raise
        except Exception as error:
            raise StorageError(
                f"The events cannot be sent: {error}. Check OPENLINEAGE_URL, or the file openlineage.yml."
            ) from error
        print(f"Sent {count} events.", file=sys.stderr)
    else:
        _write(args.output, map(openlineage.to_json, events))
    return 0


def _write(path: str, lines: Iterable[str]) -> None:
    if path == _STANDARD_OUTPUT:
        for line in lines:
            if not terminal.print_text(line):
                return
        return
    try:
        with open(path, "w", encoding="utf-8") as file:
            for line in lines:
                file.write(f"{line}\n")
                file.flush()  # readers of a file that grows see whole lines
    except StandpipeError:
        raise
    except OSError as error:
        raise StorageError(f"The file {path} cannot be written: {error.strerror}. Choose another one.") from error


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = parsers.new_parser(
        "export",
        "Write a run in the format of another program: events of OpenLineage, one line of JSON for each.",
        examples=(
            "standpipe export latest --openlineage -o events.jsonl",
            "standpipe export latest --openlineage --send  # to the server in OPENLINEAGE_URL",
            "standpipe export latest --openlineage --send --follow  # live, while the run is in progress",
        ),
    )
    parsers.add_run(parser)
    parser.add_argument("--openlineage", action="store_true", help="write events of OpenLineage")
    target = parser.add_mutually_exclusive_group()
    target.add_argument(
        "-o", "--output", metavar="FILE", default=_STANDARD_OUTPUT, help="the file (default: standard output)"
    )
    target.add_argument(
        "--send", action="store_true", help="send the events, as OPENLINEAGE_URL or the file openlineage.yml says"
    )
    parser.add_argument(
        "--follow", action="store_true", help="follow a run in progress: events come as they happen, until it has ended"
    )
    parser.add_argument("--force", action="store_true", help="replace a file that exists")
    options.add_root(parser)
    return parser
