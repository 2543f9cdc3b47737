"""Rows of the web UI."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from rows.row import Options, measured_row, milliseconds
from sides import BENCHMARKS, Failed, Sides, in_turns, scratch

#: The tabs of a run.
TABS = ("graph", "timeline", "tasks", "logs", "details", "spec")
#: The runs of 10,000 tasks: a loop, and a pipeline without one.
RUNS = ("loop", "wide")
LIVE_TASKS = 1_000


@measured_row("the first page of `standpipe ui` after the command, 102 runs", "1 s")
def ui_first_page(sides: Sides, options: Options) -> tuple[str, str, bool]:
    """Measure the time from the command to its first page, compared with a bare interpreter."""
    seconds = pages(sides)
    ratio = seconds["first"] / seconds["bare"]
    comparison = f"bare interpreter: {milliseconds(seconds['bare'])}"
    return f"{milliseconds(seconds['first'])}; {ratio:.1f} times", comparison, seconds["first"] <= 1


@measured_row("the page of a run of 10,000 tasks, the slowest of six tabs: a loop; without a loop", "each 300 ms")
def ui_large_run(sides: Sides, options: Options) -> tuple[str, str, bool]:
    """Measure how long the server takes for the pages of large runs."""
    seconds = pages(sides)
    slowest, first = ([max(seconds[run][tab][when] for tab in TABS) for run in RUNS] for when in ("again", "first"))
    comparison = "when nothing of the run was read: " + "; ".join(map(milliseconds, first))
    return "; ".join(map(milliseconds, slowest)), comparison, max(slowest) <= 0.3


@measured_row(
    "that page is ready in Chromium (`DOMContentLoaded`) after the first click on its link: a loop; without a loop",
    "each 300 ms",
)
def ui_interactive(sides: Sides, options: Options) -> tuple[str, str, bool]:
    """Measure when the scripts of the pages of large runs have run in a browser."""
    ready = sides.browser.print_json("ui_browser.py", "interactive")
    first, again = ([ready[f"{run}{when}"] / 1000 for run in RUNS] for when in ("-first", ""))
    comparison = "opened again: " + "; ".join(map(milliseconds, again))
    return "; ".join(map(milliseconds, first)), comparison, max(first + again) <= 0.3


@measured_row("memory of the server (PSS), after all tabs of both runs", "150 MB")
def ui_memory(sides: Sides, options: Options) -> tuple[str, str, bool]:
    """Measure the memory of the server when it has shown large runs."""
    memory = pages(sides)["memory"]
    if not memory:
        raise Failed("this system does not tell the PSS of a process")
    return f"{memory:.0f} MB", "", memory <= 150


@measured_row(
    "a run of 1,000 trivial tasks, `SubprocessRunner()`, with its page open in Chromium", "1.03 times without"
)
def ui_live_run(sides: Sides, options: Options) -> tuple[str, str, bool]:
    """Measure how much slower a run is if a page shows it."""
    seconds = sides.browser.print_json("ui_browser.py", "live", str(LIVE_TASKS), "7")
    measured = f"{seconds['ratio']:.3f} times ({seconds['shown']:.2f} s)"
    return measured, f"without: {seconds['alone']:.2f} s", seconds["ratio"] <= 1.03


@measured_row("`standpipe report` of `examples/iris.py`: size; whole process", "2 MB")
def ui_report(sides: Sides, options: Options) -> tuple[str, str, bool]:
    """Measure the report of the iris example."""
    side = sides.standpipe
    with scratch() as folder:
        side.time_script(BENCHMARKS.parent / "examples" / "iris.py", folder)
        report = folder / "iris.html"
        arguments = ("report", "latest", "--root", str(folder / "local_outputs"), "-o", str(report))
        seconds, bare = in_turns(5, lambda: side.time_command("standpipe", *arguments), lambda: side.time_code("pass"))
        size = report.stat().st_size / 1e6
    comparison = f"bare interpreter: {milliseconds(bare)}"
    return f"{size:.2f} MB; {milliseconds(seconds)}", comparison, size <= 2


@lru_cache(maxsize=1)
def pages(sides: Sides) -> dict[str, Any]:
    """Return what `ui_pages.py` measures; several rows show it."""
    return sides.standpipe.print_json("ui_pages.py")
