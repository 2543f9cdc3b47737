"""A loop of trivial tasks with the SubprocessRunner, which waits until a file is there.

    python gated_loop.py FOLDER ITERATIONS FILE

The run begins with a task that waits. Prints as JSON the seconds from the moment at which the file is there to the end
of the run.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from standpipe import dsl, local
from trivial_loop import step


@dsl.component
def wait(file: str) -> float:
    """Return the time at which there is a file."""
    import os
    import time

    while not os.path.exists(file):
        time.sleep(0.005)
    return time.time()


def run_loop(iterations: int, file: Path) -> float:
    """Return the seconds of a loop from the moment at which there is a file."""

    @dsl.pipeline
    def loop() -> float:
        opened = wait(file=str(file))
        with dsl.ParallelFor(list(range(iterations))) as number:
            step(x=number).after(opened)
        return opened.output  # type: ignore[no-any-return]

    opened = float(loop().output)
    return time.time() - opened


def main(folder: str, iterations: int, file: Path) -> None:
    """Measure the second run, whose fork server has started."""
    local.init(local.SubprocessRunner(), folder, quiet=True)
    run_loop(10, Path(__file__))
    print(json.dumps({"seconds": run_loop(iterations, file)}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
