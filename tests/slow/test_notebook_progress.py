"""A notebook that runs pipelines, executed in a real kernel: what its cells show."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from nbclient.exceptions import CellExecutionError

from .notebook_kernels import ExecuteCells, outputs

pytestmark = pytest.mark.slow

DEFINITIONS = """
from standpipe import dsl, local

@dsl.component
def notebook_slow(x: int) -> int:
    import time
    for number in range(4):
        print("step", number)
        time.sleep(0.25)
    if x < 0:
        raise ValueError("negative <x>")
    return x + 1

@dsl.pipeline
def notebook_two(x: int = 1) -> int:
    return notebook_slow(x=notebook_slow(x=x).output).output

local.init(runner=local.SubprocessRunner(use_venv=False), enable_caching=False)
"""


@pytest.fixture
def client(execute_cells: ExecuteCells) -> ExecuteCells:
    """Return a function that executes cells, and returns the client with their outputs."""
    return partial(execute_cells, DEFINITIONS)


def test_a_run_is_one_output_that_changes_and_ends_with_its_state(client: Any) -> None:
    done = client("task = notebook_two()")
    (output,) = outputs(done, 1)
    assert output["output_type"] == "display_data"
    assert "Succeeded" in output["data"]["text/html"]
    assert "2 succeeded" in output["data"]["text/html"]
    assert "[notebook-slow-2]" in output["data"]["text/html"]
    kinds = [kind for kind, _ in done.displays]
    assert kinds[0] == "display_data"
    assert kinds.count("display_data") == 1
    assert 4 <= kinds.count("update_display_data") <= 16
    assert any("1 running" in html and "1 succeeded" in html for _, html in done.displays)


def test_runs_tasks_and_artifacts_are_html_and_a_loop_of_asyncio_is_no_obstacle(client: Any) -> None:
    done = client(
        "import asyncio\nawait asyncio.sleep(0)\ntask = notebook_slow(x=1)\nawait asyncio.sleep(0)\ntask",
        "run = local.get_run('latest')\nrun",
        "run.tasks[0]",
        "async def call():\n    return notebook_slow(x=2)\n(await call()).output",
    )
    first, second = outputs(done, 1)
    assert "Succeeded" in first["data"]["text/html"]
    assert "Outputs" in second["data"]["text/html"]
    assert "standpipe ui" in outputs(done, 2)[0]["data"]["text/html"]
    assert "Inputs" in outputs(done, 3)[0]["data"]["text/html"]
    assert outputs(done, 4)[-1]["data"]["text/plain"] == "3"


def test_a_failed_run_ends_with_its_state_and_the_error(client: Any) -> None:
    done = client("notebook_two(x=-5)", allow_errors=True)
    display, error = outputs(done, 1)
    assert "Failed" in display["data"]["text/html"]
    assert "ValueError: negative &lt;x&gt;" in display["data"]["text/html"]
    assert error["ename"] == "TaskFailed"
    with pytest.raises(CellExecutionError):
        client("notebook_two(x=-5)")


def test_a_quiet_run_shows_nothing(client: Any) -> None:
    done = client("task = local.run(notebook_slow, {'x': 1}, quiet=True)")
    assert outputs(done, 1) == []


def test_a_resumed_run_shows_the_tasks_of_before(client: Any) -> None:
    done = client(
        "local.init(runner=local.SubprocessRunner(use_venv=False), enable_caching=False, raise_on_error=False, "
        "faults=[local.Fail('notebook-slow-2')])\ntask = notebook_two()",
        "local.resume('latest', faults=[])",
    )
    display = next(each["data"]["text/html"] for each in outputs(done, 2) if "data" in each)
    assert "2 succeeded" in display
    assert "of them since it was resumed" in display


def test_a_run_in_a_thread_is_shown_too(client: Any) -> None:
    done = client(
        "import threading\nthread = threading.Thread(target=notebook_slow, kwargs={'x': 1})\nthread.start()\n"
        "thread.join()"
    )
    (output,) = outputs(done, 1)
    assert "Succeeded" in output["data"]["text/html"]
