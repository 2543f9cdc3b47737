"""`standpipe report`: write the report of a run to a file."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence

from standpipe.cli import options, parsers
from standpipe.errors import ArgumentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from standpipe.ui.report import Format

_STANDARD_OUTPUT = "-"


def main(arguments: Sequence[str]) -> int:
    """Write the report, and a JUnit file and a summary if requested.

    Raises:
        ArgumentError: if the options contradict each other.
        NoSuchRun: if there is no such run.
        StorageError: if the run store cannot be read, or a file cannot be written.
    """
    args = make_parser().parse_args(arguments)
    from standpipe import local  # not needed for `--help`
    from standpipe.ui import report

    run = local.get_run(args.run, args.pipeline_root)
    files = list(_files(args, run.id))
    for kind, file in files:
        if file != _STANDARD_OUTPUT:
            report.check_target(kind, file, force=args.force)
    for kind, file in files:
        if file == _STANDARD_OUTPUT:
            sys.stdout.buffer.write(kind.make(run).encode(errors="replace"))
            sys.stdout.flush()
        else:
            size = report.write_report(kind, run, file, force=args.force)
            print(f"Wrote the {kind.name} {file} ({max(1, round(size / 1000)):,} kB).", file=sys.stderr)
    return 0


def _files(args: argparse.Namespace, run: str) -> Iterator[tuple[Format, str]]:
    """Yield what to write, with the paths.

    Raises:
        ArgumentError: if there is nothing to write, or two files are the same.
    """
    from standpipe.ui import report  # not needed for `--help`

    requested = (
        (report.HTML_REPORT, None if args.no_html else args.output or f"{run}.html"),
        (report.JUNIT, args.junit),
        (report.MARKDOWN, args.markdown),
    )
    files = [(kind, file) for kind, file in requested if file is not None]
    if not files:
        raise ArgumentError("Nothing to write: --no-html needs --junit FILE or --markdown FILE.")
    if args.no_html and args.output:
        raise ArgumentError("Invalid options --no-html and --output: use only one of them.")
    if len({os.path.realpath(file) for _, file in files}) < len(files):
        raise ArgumentError("Invalid options: two reports have the same file. Name a file for each of them.")
    yield from files


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = parsers.new_parser(
        "report",
        "Write the report of a run: one HTML file with its graph, metrics, documents and logs, which needs no "
        "server and no network.",
        examples=(
            "standpipe report latest  # to RUN.html",
            "standpipe report latest -o report.html",
            "standpipe report latest --no-html --junit junit.xml --markdown summary.md  # for a CI job",
        ),
    )
    parsers.add_run(parser)
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="the HTML file, `-` for standard output (default: RUN.html)"
    )
    parser.add_argument("--junit", metavar="FILE", help="also write a test suite as JUnit XML, with a test per task")
    parser.add_argument("--markdown", metavar="FILE", help="also write a summary as Markdown, for a CI job")
    parser.add_argument("--no-html", action="store_true", help="write no HTML, only the other files")
    parser.add_argument("--force", action="store_true", help="replace files that are not earlier reports")
    options.add_root(parser)
    return parser
