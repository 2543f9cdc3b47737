"""A pipeline root with 1,000 runs, of which the last one has 50,000 tasks; and the commands that read it.

    python records.py FOLDER

Prints as JSON the median seconds, as whole processes in turns: of `standpipe runs` (`runs`), of `standpipe show latest`
(`show`), and of `python -c pass` (`bare`).
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from statistics import median

from scale import SMALL_RUN, info, loop, run_once
from standpipe.history.progress import NewRunProgress
from standpipe.model.plan import Plan
from standpipe.store.runs import RunRecorder

RUNS = 1_000
TASKS = 50_000
TIMES = 7


def main(root: Path) -> None:
    """Record the runs, measure, and print."""
    for number in range(RUNS - 1):
        record(root, f"small-{number}", SMALL_RUN)
    record(root, "large", loop(TASKS))
    scripts = Path(sys.executable).parent
    commands = {
        "runs": [str(scripts / "standpipe"), "runs", "--root", str(root)],
        "show": [str(scripts / "standpipe"), "show", "latest", "--root", str(root)],
        "bare": [sys.executable, "-c", "pass"],
    }
    samples = [{name: _time(command) for name, command in commands.items()} for _ in range(TIMES)]
    print(json.dumps({name: median(sample[name] for sample in samples) for name in commands}))


def record(root: Path, name: str, plan: Plan) -> None:
    """Run a pipeline with tasks that do nothing, and record it."""
    (root / name).mkdir()
    with closing(RunRecorder(root, info(root, name), plan, outline=NewRunProgress())) as recorder:
        run_once(plan, (recorder,))


def _time(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


if __name__ == "__main__":
    main(Path(sys.argv[1]))
