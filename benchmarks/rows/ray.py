"""Rows of tasks on a Ray cluster of this machine."""

from __future__ import annotations

import json
import os
import subprocess

from rows.row import Options, measured_row, milliseconds
from sides import BENCHMARKS, Failed, Sides

#: The environment with Ray, which `make test-clusters` makes.
PYTHON = BENCHMARKS.parent / ".cache" / "clusters-1" / "bin" / "python"


@measured_row(
    "one more trivial task on a warm Ray cluster, `RayRunner()`",
    "1.5 times a plain ray.remote call in a fresh worker; 1,000 tasks run",
)
def ray_task(sides: Sides, options: Options) -> tuple[str, str, bool]:
    """Measure one more task on a warm cluster, and the tasks of a loop."""
    tasks = 100 if options.quick else 1000
    env = {**os.environ, "PYTHONPATH": str(BENCHMARKS.parent / "src")}
    command = [str(PYTHON), str(BENCHMARKS / "ray_tasks.py"), str(tasks)]
    process = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if process.returncode:
        raise Failed(process.stderr)
    result = json.loads(process.stdout.splitlines()[-1])
    ratio = result["task"] / result["plain"]
    comparison = f"plain call: {milliseconds(result['plain'])}; {tasks} tasks of a loop: {result['loop']:.1f} s"
    return f"{ratio:.2f} times ({milliseconds(result['task'])})", comparison, ratio <= 1.5
