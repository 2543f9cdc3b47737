"""`standpipe check`: find what works here and would fail or differ on a cluster."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from typing import TYPE_CHECKING

from standpipe import __version__
from standpipe.cli import parsers
from standpipe.cli.current_code import split_arguments
from standpipe.errors import ArgumentError

if TYPE_CHECKING:
    from standpipe.check.checker import Checker, LocatedFinding
    from standpipe.cli.targets import Target

_FORMATS = ("text", "json", "github", "sarif")


def main(arguments: Sequence[str]) -> int:
    """Check pipelines; return 0 if there are no findings, otherwise 1.

    Raises:
        ArgumentError: if there is no such target or rule, or the configuration is invalid.
        StandpipeError: if a pipeline is invalid.
        BaseException: whatever a script raises when it is imported.
    """
    own, of_script = split_arguments(arguments)
    options = make_parser().parse_args(own)
    if options.explain or options.list_rules:
        return _describe(options)
    if not options.targets:
        raise ArgumentError("Missing target: expected `standpipe check script.py`, or a compiled file.")
    from standpipe.check.checker import Checker  # here and below: `--help` does without
    from standpipe.check.settings import read_settings

    settings = read_settings(os.getcwd())
    checker = Checker(settings.select(options.select, options.ignore), settings.folder)
    targets = list(_load(options.targets, of_script))
    findings = list(_check(checker, targets))
    _print(findings, options.output_format, len(targets))
    return 1 if findings else 0


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = parsers.new_parser(
        "check",
        "Find what works here and would fail or differ on a cluster. Nothing is run, and no cluster is asked. The "
        "comment `# standpipe: noqa SP010` suppresses a rule on its line.",
        examples=(
            "standpipe check train.py  # all pipelines of a script",
            "standpipe check train.yaml --ignore SP01  # without the rules for packages and images",
            "standpipe check train.py --select SP1 --json  # only where a cluster differs, for a program",
            "standpipe check --explain SP012  # why, with an example and the fix",
        ),
        usage="standpipe check TARGET ... [options] [-- ARGUMENT ...]",
    )
    parser.add_argument(
        "targets",
        metavar="TARGET",
        nargs="*",
        help="a script, one of its pipelines as script.py:NAME, or a compiled file; scripts get what is after `--`",
    )
    parser.add_argument(
        "--select", metavar="RULES", help="check these rules only: ids or their beginnings, separated by commas, or ALL"
    )
    parser.add_argument("--ignore", metavar="RULES", help="do not check these rules")
    parser.add_argument("--output-format", choices=_FORMATS, default="text", help="how findings are written")
    parser.add_argument(
        "--json",
        action="store_const",
        dest="output_format",
        const="json",
        help="print one document as JSON, for programs: the same as --output-format json",
    )
    parser.add_argument("--explain", metavar="RULE", help="explain a rule, with an example and the fix")
    parser.add_argument("--list-rules", action="store_true", help="list all rules")
    return parser


def _describe(options: argparse.Namespace) -> int:
    from standpipe.check import descriptions  # imports all rules, which `--help` does without
    from standpipe.cli import terminal

    text = descriptions.explain(options.explain) if options.explain else descriptions.list_rules()
    terminal.print_text(text)
    return 0


def _print(findings: Sequence[LocatedFinding], output_format: str, pipelines: int) -> None:
    from standpipe.check.formats import render  # only findings need it, and the next one
    from standpipe.cli import terminal

    text = render(findings, output_format, pipelines=pipelines, version=__version__, colored=terminal.has_colors())
    if text:
        terminal.print_text(text.removesuffix("\n"))


def _load(names: Sequence[str], arguments: Sequence[str]) -> Iterator[Target]:
    """Yield the pipelines of all targets. What scripts print goes to standard error: the findings are the output."""
    from standpipe.cli import targets  # installs the names of KFP

    for name in names:
        with redirect_stdout(sys.stderr):
            found = targets.load_all(name, arguments, expected="a KFP script, or a compiled pipeline")
        yield from found


def _check(checker: Checker, targets: Sequence[Target]) -> Iterator[LocatedFinding]:
    """Yield the findings of all pipelines, each once: a pipeline may be a part of another one."""
    seen = set()
    for target in targets:
        for located in check_target(checker, target):
            key = (located.rule.id, located.finding.message, located.location)
            if located.location is None or key not in seen:
                seen.add(key)
                yield located
    yield from checker.check_comments()


def check_target(checker: Checker, target: Target) -> list[LocatedFinding]:
    """Return the findings of a pipeline, with their lines in its script or compiled file."""
    plan = target.component.compiled_plan
    if not target.is_compiled:
        return checker.check(plan)
    from standpipe.check.compiled_lines import CompiledLines  # only compiled files need it

    file = os.path.abspath(target.path)
    return checker.check(plan, file, CompiledLines(file).find)
