"""A run whose process is killed in the middle of a loop that is longer than one step of the engine starts."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from standpipe import local
from standpipe.engine import machine
from standpipe.history import Status
from standpipe.model.events import AttemptStarted
from standpipe.store.reading import run_facts, run_rows
from tests.chaos.disturbance import check_no_task_ran_twice

pytestmark = pytest.mark.slow

CHECKOUT = Path(__file__).parent.parent.parent

#: More than the starts of tasks of one step.
ITERATIONS = machine._MOST_STARTS + 500

PROGRAM = f"""
import sys
from standpipe import dsl, local

@dsl.component
def square(x: int) -> int: ...

@dsl.component
def add(xs: list[int]) -> int: ...

@dsl.pipeline
def squares() -> int:
    with dsl.ParallelFor(list(range({ITERATIONS}))) as x:
        each = square(x=x)
    return add(xs=dsl.Collected(each.output)).output

root, *run = sys.argv[1:]
effects = open(f"{{root}}/effects.txt", "a", buffering=1)

def record(x):
    effects.write(f"{{x}}\\n")
    return x * x

local.init(local.FakeRunner(square=record, add=lambda xs: sum(xs)), root, quiet=True, enable_caching=False)
print((local.resume(*run) if run else squares()).output)
"""


@pytest.mark.parametrize("seed", range(3))
def test_a_run_that_is_killed_in_its_first_steps_continues(tmp_path: Path, seed: int) -> None:
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    random = Random(seed)
    run: list[str] = []
    for kills_left in reversed(range(6)):
        process = start(script, *run)
        if kills_left:
            wait_for_effects(process, tmp_path, random.choice((0, 1, 30, 300)))
            time.sleep(random.random() / 50)
            process.kill()
        output, errors = process.communicate(timeout=60)
        run = [row.id for row in run_rows(tmp_path)][:1]
        if process.returncode == 0:
            break

    assert (output, errors) == (f"{sum(x * x for x in range(ITERATIONS))}\n", "")
    assert local.get_run("latest", tmp_path).status is Status.SUCCEEDED
    check_no_task_ran_twice(tmp_path, *run)
    assert Counter(executed(tmp_path)) <= count_starts(tmp_path), "a start is stored before its task is executed"


def start(script: Path, *run: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(script), str(script.parent), *run]
    return subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_effects(process: subprocess.Popen[str], root: Path, more: int) -> None:
    """Wait until tasks have been executed so many times more, or the program has ended."""
    before, end = len(executed(root)), time.monotonic() + 60
    while len(executed(root)) < before + more and process.poll() is None:
        assert time.monotonic() < end
        time.sleep(0.005)


def executed(root: Path) -> list[str]:
    """Return the iterations whose task was executed, as often as it was."""
    file = root / "effects.txt"
    return file.read_text().split() if file.exists() else []


def count_starts(root: Path) -> Counter[str]:
    """Return how many starts of attempts the store has of each iteration."""
    facts = (fact for row in run_rows(root) for _, fact in run_facts(root, row))
    return Counter(str(fact.task.path[0][1]) for fact in facts if isinstance(fact, AttemptStarted))
