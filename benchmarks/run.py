"""Compare Standpipe with `kfp.local` and with the lower bound of this machine, and check the targets.

    make bench                  everything; some minutes; writes benchmarks/results.md
    make bench ARGS=--quick     imports, a chain of tasks, memory and the scheduler, without kfp.local; some seconds

What is compared is measured in turns in one run, and the medians are shown. Machines are noisy, so the ratios matter
more than the times. Both sides are installed byte-compiled, in environments of their own, on one Python. They run the
same programs except for the import line. The exit code is 1 unless every target is met; a row that could not be
measured counts as missed. `--figures-only` always exits with 0, for machines with other load.
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
    rows.resume_and_cache,
    rows.large_parameter,
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
    rows.resume_and_cache,
    rows.large_parameter,
)


def main() -> int:
    """Measure, print each row of a Markdown table when it is known, and write the table of a full run to a file."""
    parser = argparse.ArgumentParser(
        description="Compare Standpipe with kfp.local and with the lower bound of this machine."
    )
    parser.add_argument("--quick", action="store_true", help="measure a few rows, in seconds, without kfp.local")
    parser.add_argument("--figures-only", action="store_true", help="exit with 0 even if a target is missed")
    options = parser.parse_args()
    quick = options.quick
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # or every process compiles its imports again
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
    """Yield the lines of the table, each as soon as it is measured; add the rows to `measured`."""
    yield "| what | target | measured | comparison | |"
    yield "|---|---|---|---|---|"
    for part in parts:
        row = part(sides)
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
