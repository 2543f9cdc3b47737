"""Rows of what runs leave: the run store, the cache, checksums."""

from __future__ import annotations

from rows.row import Options, measured_row, milliseconds
from sides import Sides


@measured_row(
    "`standpipe runs`; `standpipe show latest`: 1,000 runs, of which the latest has 50,000 tasks",
    "each 2.5 times `python -c pass`, and 200 ms",
)
def commands(sides: Sides, options: Options) -> tuple[str, str, bool]:
    """Measure the commands that read a large run store, compared with a bare interpreter."""
    seconds = sides.standpipe.print_json("records.py")
    bare = seconds["bare"]
    times = [seconds[command] / bare for command in ("runs", "show")]
    measured = "; ".join(
        f"{seconds[command] / bare:.1f} times ({milliseconds(seconds[command])})" for command in ("runs", "show")
    )
    is_fast = max(seconds["runs"], seconds["show"]) <= 0.2
    return measured, f"bare interpreter: {milliseconds(bare)}", max(times) <= 2.5 and is_fast


@measured_row("checksum of an artifact of 2 GB", "0.3 times a bare SHA-256")
def checksum(sides: Sides, options: Options) -> tuple[str, str, bool]:
    """Measure the checksum of a large artifact."""
    seconds = sides.standpipe.print_json("checksum.py")
    ratio = seconds["checksum"] / seconds["sha256"]
    return f"{ratio:.2f} times ({seconds['checksum']:.2f} s)", f"SHA-256: {seconds['sha256']:.2f} s", ratio <= 0.3


@measured_row("resuming a run of 10,000 finished tasks; a run of 1,000 tasks that are all cached", "2 s; 1 s")
def resume_and_cache(sides: Sides, options: Options) -> tuple[str, str, bool]:
    """Measure the resuming of a large run, and of a run whose tasks are all cached."""
    seconds = sides.standpipe.print_json("resume_and_cache.py")
    measured = f"{seconds['resume']:.2f} s; {seconds['cached']:.2f} s"
    return measured, "", seconds["resume"] <= 2 and seconds["cached"] <= 1
