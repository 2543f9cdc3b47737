"""A session in a notebook, in a real kernel: cells that are edited, interrupted and executed after a restart."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest

from .notebook_kernels import ExecuteCells, RecordingClient, outputs

pytestmark = pytest.mark.slow

INIT = "from standpipe import dsl, local\nlocal.init(runner=local.SubprocessRunner(use_venv=False))"

FAILING = """
@dsl.component
def check(x: int) -> int:
    if x < 0:
        raise ValueError("negative")
    return x

@dsl.pipeline
def checking(x: int = -1) -> int:
    return check(x=x).output
"""

MENDED = FAILING.replace('raise ValueError("negative")', "return 0")

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "notebook.ipynb"


def html_of(client: RecordingClient, cell: int) -> str:
    return "".join(each["data"].get("text/html", "") for each in outputs(client, cell) if "data" in each)


def value_of(client: RecordingClient, cell: int) -> str:
    """Return the text of the value of a cell."""
    return str(outputs(client, cell)[-1]["data"]["text/plain"])


def text_of(client: RecordingClient, cell: int) -> str:
    return "".join(each["text"] for each in outputs(client, cell) if each["output_type"] == "stream")


def error_of(client: RecordingClient, cell: int) -> str:
    (error,) = (each for each in outputs(client, cell) if each["output_type"] == "error")
    return re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(error["traceback"]))


def test_a_component_that_is_defined_again_is_used(execute_cells: ExecuteCells) -> None:
    define = "@dsl.component\ndef number() -> int:\n    return {}"
    done = execute_cells(INIT, define.format(1), "number().output", define.format(2), "number().output")
    assert (value_of(done, 2), value_of(done, 4)) == ("1", "2")


@pytest.mark.parametrize("runner", ["local.SubprocessRunner(use_venv=False)", "local.InProcessRunner()"])
def test_an_error_names_the_cell_and_the_line(execute_cells: ExecuteCells, runner: str) -> None:
    call = f"local.run(checking, runner={runner}, quiet={{}})"
    done = execute_cells(INIT, FAILING, call.format(False), call.format(True), allow_errors=True)
    for cell in (2, 3):
        error = error_of(done, cell)
        assert f"Cell In[{cell + 1}], line 1" in error
        assert "TaskFailed: Cell In[2], line 4: Task 'check' failed: ValueError: negative" in error
        assert "ipykernel_" not in error
        assert "src/standpipe" not in error
    assert "Cell In[2], line 4, in check" in error_of(done, 3)  # nothing has shown the traceback of a quiet run
    assert "ValueError: negative" in html_of(done, 2)
    assert "ipykernel_" not in html_of(done, 2)


def test_a_run_is_resumed_with_the_cell_as_it_is_now(execute_cells: ExecuteCells) -> None:
    done = execute_cells(INIT, FAILING, "checking()", MENDED, "local.resume('latest').output", allow_errors=True)
    assert value_of(done, 4) == "0"


def test_a_run_is_resumed_after_a_restart_of_the_kernel(execute_cells: ExecuteCells) -> None:
    execute_cells(INIT, FAILING, "checking()", allow_errors=True)
    done = execute_cells(INIT, MENDED, "local.resume('latest').output", "local.get_run('latest')")
    assert value_of(done, 2) == "0"
    assert "Succeeded" in html_of(done, 3)


@pytest.mark.parametrize("runner", ["SubprocessRunner(use_venv=False)", "InProcessRunner()"])
def test_an_interrupted_cell_cancels_its_run_and_the_kernel_stays_usable(
    execute_cells: ExecuteCells, runner: str
) -> None:
    waiting = f"""
import os, pathlib, signal, threading, time
started = pathlib.Path("started").absolute()

@dsl.component
def wait(path: str) -> None:
    import os, pathlib, time
    pathlib.Path(path).write_text(str(os.getpid()))
    time.sleep(100)

def interrupt():  # as Jupyter does
    while not started.exists() or not started.read_text():
        time.sleep(0.05)
    os.killpg(os.getpgid(0), signal.SIGINT)

threading.Thread(target=interrupt).start()
local.run(wait, {{"path": str(started)}}, runner=local.{runner})
"""
    after = """
pid = int(started.read_text())
def is_alive():
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return pid != os.getpid()
print(local.get_run("latest").status.value, is_alive())
@dsl.component
def number() -> int:
    return 7
number().output
"""
    done = execute_cells(INIT, waiting, after, allow_errors=True)
    assert "KeyboardInterrupt" in error_of(done, 1)
    assert "Cancelled" in html_of(done, 1)
    assert text_of(done, 2) == "CANCELLED False\n"
    assert value_of(done, 2) == "7"


def test_components_of_a_module_are_reloaded(execute_cells: ExecuteCells) -> None:
    write = (
        "import os, pathlib, time\npathlib.Path('steps.py').write_text('''from standpipe import dsl\n"
        "@dsl.component\ndef number() -> int:\n    return {}\n''')\n"
        "os.utime('steps.py', (time.time() + {}, time.time() + {}))"
    )
    done = execute_cells(
        INIT,
        "%load_ext autoreload\n%autoreload 2",
        write.format(1, 1, 1),
        "import sys; sys.path.insert(0, '.')\nimport steps\nsteps.number().output",
        write.format(2, 20, 20),
        "steps.number().output",
    )
    assert (value_of(done, 3), value_of(done, 5)) == ("1", "2")


def test_runs_start_from_tasks_of_asyncio_and_from_threads(execute_cells: ExecuteCells) -> None:
    done = execute_cells(
        INIT,
        MENDED,
        "import asyncio\nasync def one(x):\n    return checking(x=x).output\n"
        "[await one(1), await asyncio.create_task(one(2))]",
        "[task.output for task in await asyncio.gather(*("
        "asyncio.to_thread(local.run, checking, {'x': x}, quiet=True) for x in range(3)))]",
    )
    assert value_of(done, 2) == "[1, 2]"
    assert value_of(done, 3) == "[0, 1, 2]"


def test_the_conventions_of_colab_and_vs_code_are_no_obstacle(
    execute_cells: ExecuteCells, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"COLAB_RELEASE_TAG": "release", "VSCODE_PID": "1", "TERM": "dumb", "CI": ""}.items():
        monkeypatch.setenv(name, value)
    colab = (
        "import sys, types\nsys.modules['google.colab'] = types.ModuleType('google.colab')\n"
        "print(sys.stdout.isatty(), sys.stdin.isatty())"
    )
    done = execute_cells(colab, INIT, MENDED, "checking(x=3).output")
    assert text_of(done, 0) == "False False\n"
    assert "Succeeded" in html_of(done, 3)
    assert value_of(done, 3) == "3"


def test_stored_outputs_are_static_and_say_all_without_their_styles(execute_cells: ExecuteCells) -> None:
    done = execute_cells(INIT, MENDED, "task = checking(x=3)\ntask", "run = local.get_run('latest')\nrun")
    stored = nbformat.reads(nbformat.writes(done.nb), as_version=4)
    nbformat.validate(stored)
    for cell in (2, 3):
        html = html_of(done, cell)
        assert not re.search(r"<script|<iframe|<link|javascript:|\son\w+=|https?://(?!www\.w3\.org)", html)
        assert "prefers-color-scheme: dark" in html
        assert 'html[theme="dark"]' in html  # of Colab
        unstyled = re.sub(r"<style>.*?</style>", "", html, flags=re.DOTALL)  # as for a notebook that is not trusted
        text = re.sub(r"<[^>]+>", " ", unstyled)
        assert "Succeeded" in text
        assert "check" in text


def test_the_example_runs(execute_cells: ExecuteCells) -> None:
    notebook: Any = nbformat.read(EXAMPLE, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells)  # they would be those of another machine
    done = execute_cells(notebook=notebook)
    assert not [each for cell in done.nb.cells for each in cell.get("outputs", ()) if each["output_type"] == "error"]
    shown = json.dumps(done.nb.cells)
    assert "Succeeded" in shown
    assert "Skipped" in shown
