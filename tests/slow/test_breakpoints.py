"""`breakpoint()` in tasks of the SubprocessRunner, with a person at the terminal or without one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from standpipe import local
from standpipe.history import Status
from tests.terminals import type_on_terminal

SCRIPT = """
import sys
from standpipe import dsl, local

@dsl.component
def stop(n: int) -> int:
    doubled = 2 * n
    breakpoint()
    tripled = 3 * doubled
    return tripled

@dsl.pipeline
def stopping() -> int:
    tasks = [stop(n=n) for n in range(1, 1 + int(sys.argv[2]))]
    return tasks[0].output

if __name__ == "__main__":
    local.init(runner=local.SubprocessRunner(), pipeline_root=sys.argv[1], raise_on_error=False)
    print("result:", stopping().outputs)
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    return path


def command(script: Path, tasks: int = 1) -> list[str]:
    return [sys.executable, str(script), str(script.parent / "root"), str(tasks)]


def test_it_has_the_terminal_of_the_run(script: Path) -> None:
    dialog = [("(Pdb) ", "p doubled + 40\n"), ("42\r\n(Pdb) ", "!doubled = 5\n"), ("(Pdb) ", "n\n"), ("(Pdb) ", "c\n")]
    shown = type_on_terminal(command(script), dialog)

    assert "script.py(9)stop()\r\n-> tripled = 3 * doubled" in shown
    assert "{'Output': 15}" in shown


def test_tasks_have_it_one_after_the_other(script: Path) -> None:
    dialog = [("(Pdb) ", "p 'answer', 7\n"), ("('answer', 7)\r\n(Pdb) ", "c\n")] * 3
    shown = type_on_terminal(command(script, tasks=3), dialog)

    assert shown.count("stop()\r\n-> ") == 3  # from Python 3.13 on at the call itself, before at the next line
    assert "{'Output': 6}" in shown


def test_quitting_fails_the_task_without_a_traceback(script: Path) -> None:
    type_on_terminal(command(script), [("(Pdb) ", "q\n")])

    run = local.get_run("latest", script.parent / "root")
    assert run.status is Status.FAILED
    assert run.log("stop").strip() == "The user quit the debugger."


def test_without_a_terminal_it_is_an_error_that_says_what_to_do(script: Path) -> None:
    subprocess.run(command(script), check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=60)

    log = local.get_run("latest", script.parent / "root").log("stop")
    assert "line 8, in stop\n    breakpoint()\n" in log
    assert "RuntimeError: breakpoint() needs a terminal, and this task has none." in log
    assert "standpipe rerun RUN TASK --debug" in log
    assert "BdbQuit" not in log
    assert "breakpoints.py" not in log


def test_the_users_variable_decides(script: Path) -> None:
    environment = {**os.environ, "PYTHONBREAKPOINT": "0"}
    finished = subprocess.run(
        command(script), check=True, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment
    )

    assert "result: {'Output': 6}" in finished.stdout


def test_ctrl_c_in_the_debugger_cancels_the_run(script: Path) -> None:
    shown = type_on_terminal(command(script), [("(Pdb) ", "\x03"), ("Cancelling", "")])

    assert "KeyboardInterrupt" in shown
    assert local.get_run("latest", script.parent / "root").status is Status.CANCELLED
