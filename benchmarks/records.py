"""The time of `standpipe runs` and `standpipe show` in a root with 1,000 runs, one of which has 50,000 tasks.

    python records.py FOLDER

The runs are made by tasks that do nothing, unless the folder has them already. Prints as JSON, each the median of the
milliseconds of whole processes, taken in turns: of `python -c pass` (`pass`), of the list of runs (`runs`), and of the
latest run where that is a small one (`show_small`) and the large one (`show_large`). Compile the package first, as
installers do: `python -m compileall src`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from resume_and_cache import EchoRunner, echo
from standpipe import dsl, local

TURNS = 9
RUNS = 1_000
TASKS = 50_000


@dsl.pipeline
def small() -> None:
    """Run two tasks."""
    echo(x=echo(x=1).output)


@dsl.pipeline
def large() -> None:
    """Run the tasks of the large run in a loop."""
    with dsl.ParallelFor(list(range(TASKS))) as item:
        echo(x=item)


def make_root(folder: Path, *, large_is_latest: bool) -> Path:
    """Return a pipeline root with all runs, which is made if it is missing."""
    root = folder / ("large-is-latest" if large_is_latest else "small-is-latest")
    if root.exists():
        return root
    local.init(EchoRunner(), root, quiet=True)
    pipelines = [large, *[small] * (RUNS - 1)]
    for pipeline in reversed(pipelines) if large_is_latest else pipelines:
        pipeline()
    return root


def time_process(*arguments: str) -> float:
    """Return the milliseconds of a process of this Python."""
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - start) * 1000


def main(folder: Path) -> None:
    """Measure and print."""
    roots = {is_latest: str(make_root(folder, large_is_latest=is_latest)) for is_latest in (False, True)}
    command = ("-c", "import sys; from standpipe.cli.main import main; sys.exit(main())")
    processes = {
        "pass": ("-c", "pass"),
        "runs": (*command, "runs", "--root", roots[False]),
        "show_small": (*command, "show", "latest", "--root", roots[False]),
        "show_large": (*command, "show", "latest", "--root", roots[True]),
    }
    times: dict[str, list[float]] = {name: [] for name in processes}
    for turn in range(TURNS + 1):
        for name, arguments in processes.items():
            milliseconds = time_process(*arguments)
            if turn:  # the first one fills the caches
                times[name].append(milliseconds)
    print(json.dumps({name: median(each) for name, each in times.items()}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
