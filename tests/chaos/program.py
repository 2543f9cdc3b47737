"""Run a pipeline, or resume a run of it, and print its outputs as JSON.

    python -m tests.chaos.program ROOT RUNNER PIPELINE SEED          starts a run
    python -m tests.chaos.program ROOT RUNNER PIPELINE SEED RUN      resumes a run

The exit code is 3 if the run does not exist, because it was killed before it was recorded, and 10 if a task failed.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from standpipe import local
from standpipe.dsl import Dataset
from standpipe.errors import NoSuchRun, TaskFailed
from tests.chaos import pipelines


def main(root: str, runner: str, pipeline: str, seed: str, run: str | None = None) -> int:
    """Run or resume a pipeline, and return the exit code."""
    caching = pipeline in ("mixed", "imports")
    local.init(getattr(local, runner)(), root, enable_caching=caching, quiet=True, max_parallel=8)
    arguments = {"seed": int(seed), "effects": f"{root}/effects.txt"}
    if pipeline == "imports":
        arguments["source"] = f"{root}/source.txt"
    try:
        task = getattr(pipelines, pipeline)(**arguments) if run is None else local.resume(run)
    except NoSuchRun:
        return 3
    except TaskFailed as error:
        sys.stderr.write(f"{error}\n")
        return 10
    outputs = {
        name: Path(value.path).read_text() if isinstance(value, Dataset) else value
        for name, value in task.outputs.items()
    }
    print(json.dumps(outputs))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
