"""Rows of what a run shows."""

from __future__ import annotations

from rows.row import Options, measured_row
from sides import Sides, in_turns


@measured_row("the live display of a run of 1,000 tasks, `SubprocessRunner()`", "1.03 times the same run, quiet")
def live_display(sides: Sides, options: Options) -> tuple[str, str, bool]:
    """Measure a run that is displayed on a pseudo-terminal of 50 lines, compared with one that shows nothing."""
    tasks, times = ("200", 3) if options.quick else ("1000", 5)

    def seconds(mode: str) -> float:
        return float(sides.standpipe.print_json("displayed_run.py", mode, tasks)["seconds"])

    live, quiet = in_turns(times, lambda: seconds("live"), lambda: seconds("quiet"))
    return f"{live / quiet:.3f} times ({live:.2f} s)", f"{tasks} tasks; quiet: {quiet:.2f} s", live <= quiet * 1.03
