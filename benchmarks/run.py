"""Compare Standpipe with what else there is, with the lower bound of this machine, and with an earlier commit.

    make bench                          all rows; a quarter of an hour; writes benchmarks/results.md
    make bench ARGS=--quick             a few rows, in about a minute, without the KFP SDK, Docker and packages
    make bench ARGS="--only docker"     the rows whose names contain a word; `--list` shows the names

What is compared is measured in turns in one run, and the medians are shown. Machines are noisy, so the ratios matter
more than the times. All sides are installed byte-compiled, in environments of their own, on one Python. The exit code
is 1 unless every target is met; a row that could not be measured counts as missed. `--figures-only` always exits with
0, for machines with other load.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path

import rows
from rows.row import Measure, Options, Row
from sides import Sides

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results.md"


def main() -> int:
    """Measure, print each row of a Markdown table when it is known, and write the table of a full run to a file."""
    options = _parse_arguments()
    if options.list:
        print("\n".join(rows.ALL))
        return 0
    chosen = choose(options.only, quick=options.quick)
    if not chosen:
        print(f"No row has a name with {' or '.join(options.only)}; --list shows the names.", file=sys.stderr)
        return 2
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # or every process compiles its imports again
    load = os.getloadavg()[0]
    folder = ROOT / ".cache" / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    measured: list[Row] = []
    lines = []
    for line in table(Sides(ROOT, folder), Options(options.quick, options.full_scale), chosen, measured):
        print(line, flush=True)
        lines.append(line)
    if len(chosen) == len(rows.ALL):
        RESULTS.write_text("\n".join([*heading(load), *lines, ""]), encoding="utf-8")
    return 0 if options.figures_only or all(row.met for row in measured) else 1


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Compare Standpipe with kfp.local, the lower bound of this machine, and an earlier commit."
    )
    parser.add_argument("--quick", action="store_true", help="measure a few rows, in about a minute")
    parser.add_argument("--only", action="append", metavar="WORD", help="measure the rows whose names contain this")
    parser.add_argument("--list", action="store_true", help="show the names of the rows, and exit")
    parser.add_argument("--full-scale", action="store_true", help="run 100,000 tasks in processes, too: half an hour")
    parser.add_argument("--figures-only", action="store_true", help="exit with 0 even if a target is missed")
    return parser.parse_args()


def choose(words: Sequence[str] | None, *, quick: bool) -> list[Measure]:
    """Return the rows whose names contain one of these words, or all of them, or all that are quick."""
    names = rows.QUICK if quick else tuple(rows.ALL)
    return [rows.ALL[name] for name in names if words is None or any(word in name for word in words)]


def table(sides: Sides, options: Options, measures: Sequence[Measure], measured: list[Row]) -> Iterator[str]:
    """Yield the lines of the table, each as soon as it is measured; add the rows to `measured`."""
    yield "| what | target | measured | comparison | |"
    yield "|---|---|---|---|---|"
    for measure in measures:
        start = time.monotonic()
        row = measure(sides, options)
        print(f"{measure.__name__}: {time.monotonic() - start:.0f} s", file=sys.stderr)
        measured.append(row)
        met = "met" if row.met else "**missed**"
        yield f"| {row.what} | {row.target} | {row.measured} | {row.comparison} | {met} |"


def heading(load: float) -> list[str]:
    """Return the heading: when and where it was measured. `load` is the load average of the machine before that."""
    cores = os.cpu_count()
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return [
        "# Benchmarks",
        "",
        f"Measured on {date.today().isoformat()} by `make bench`: {python}, {platform.system()} on "
        f"{platform.machine()}, {cores} cores, load {load:.1f} before. Medians, measured in turns in one run: the "
        "ratios matter more than the times.",
        "",
    ]


if __name__ == "__main__":
    sys.exit(main())
