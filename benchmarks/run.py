"""Measures Standpipe beside `kfp.local` and beside the floor of the machine, and says whether the targets are met.

    make bench                  everything; some minutes; writes benchmarks/results.md
    make bench ARGS=--quick     imports, a chain of tasks, memory and the scheduler, without kfp.local; some seconds

What is compared is measured in turns in one run, and medians are taken: read the ratios, the machine is noisy. Both
sides are installed byte-compiled in environments of their own, on one Python, and run the same programs but for the
import line. Ends with code 1 unless every target is met, or `--figures-only` is given, which is for machines that do
other things besides; what could not be measured is not met.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import rows
from sides import Sides

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results.md"

QUICK: tuple[Callable[[Sides], rows.Row], ...] = (
    rows.chain,
    rows.import_time,
    rows.memory,
    rows.scale,
    rows.recording,
    rows.remembering,
)
FULL: tuple[Callable[[Sides], rows.Row], ...] = (
    rows.seed,
    rows.chain,
    rows.import_time,
    rows.docker_chain,
    rows.build,
    rows.next_task,
    rows.memory,
    rows.scale,
    rows.recording,
    rows.remembering,
)


def main() -> int:
    """Measures, prints a Markdown table as it goes, and keeps that of a full run."""
    parser = argparse.ArgumentParser(description="Measure Standpipe beside kfp.local and the floor of the machine.")
    parser.add_argument("--quick", action="store_true", help="a few rows, in seconds, without kfp.local")
    parser.add_argument("--figures-only", action="store_true", help="end with code 0 although a target is missed")
    options = parser.parse_args()
    quick = options.quick
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # else every process parses what it imports again
    load = os.getloadavg()[0]
    sides = Sides.installed(ROOT, with_kfp=not quick)
    measured: list[rows.Row] = []
    lines = []
    for line in table(sides, QUICK if quick else FULL, measured):
        print(line, flush=True)
        lines.append(line)
    if not quick:
        RESULTS.write_text("\n".join([*heading(load), *lines, ""]), encoding="utf-8")
    return 0 if options.figures_only or all(row.met for row in measured) else 1


def table(sides: Sides, parts: tuple[Callable[[Sides], rows.Row], ...], measured: list[rows.Row]) -> Iterator[str]:
    """The lines of the table, each as soon as it is measured; the rows are added to `measured`."""
    yield "| what | target | measured | beside it | |"
    yield "|---|---|---|---|---|"
    for part in parts:
        row = part(sides)
        measured.append(row)
        yield f"| {row.what} | {row.target} | {row.measured} | {row.beside} | {'met' if row.met else '**missed**'} |"


def heading(load: float) -> list[str]:
    """Where and when the figures come from. `load` is the machine's load average when it had nothing of ours to do."""
    cores = os.cpu_count()
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return [
        "# Benchmarks",
        "",
        f"Measured on {date.today().isoformat()} by `make bench`: {python}, {platform.system()} on "
        f"{platform.machine()}, {cores} cores, load {load:.1f} before. Medians, measured in turns in one run: read the "
        "ratios.",
        "",
    ]


if __name__ == "__main__":
    sys.exit(main())
