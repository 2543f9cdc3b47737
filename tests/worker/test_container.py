"""A task in a container: the wait for its request, and the exit code that it records as its last act."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from standpipe.worker import usage
from tests.worker.tasks import BOOT, PREAMBLE, Tasks, interpreter


@pytest.fixture(params=["3.9", "current"])
def python(request: pytest.FixtureRequest) -> Path:
    return interpreter(request.param)


def write_request(folder: Path, source: str) -> Path:
    """Write the request for a function `f`; return its path."""
    content = {
        "source": PREAMBLE + dedent(source),
        "function": "f",
        "executor_input": {"inputs": {}, "outputs": {"outputFile": str(folder / "executor_output.json")}},
        "artifact_classes": {},
        "error_file": str(folder / "error.json"),
        "owner": None,
        "usage_file": str(folder / "usage.json"),
    }
    path = folder / "request.json"
    path.write_text(json.dumps(content))
    return path


@contextmanager
def waiting(python: Path, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A worker that waits for the request in a folder."""
    command = [str(python), str(BOOT), "stand-by", str(folder / "request.json")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=folder
    ) as process:
        yield process
        process.kill()


def test_a_worker_that_waits_runs_the_request_that_was_written_meanwhile(python: Path, tmp_path: Path) -> None:
    with waiting(python, tmp_path) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        write_request(tmp_path, "def f() -> str:\n    import sys\n    return repr((sys.stdin.read(), sys.argv[1:]))")
        output, _ = process.communicate("\n", timeout=60)
        assert (process.returncode, output) == (0, "")
    assert json.loads((tmp_path / "executor_output.json").read_text())["parameterValues"]["Output"] == "('', [])"


def test_a_worker_ends_when_nobody_can_send_it_a_request_any_more(python: Path, tmp_path: Path) -> None:
    write_request(tmp_path, "def f():\n    print('run')")
    with waiting(python, tmp_path) as process:
        output, _ = process.communicate(timeout=60)
        assert (process.returncode, output) == (0, "")


def test_no_input_of_the_task_is_taken_from_those_who_wake_it(tmp_path: Path) -> None:
    with waiting(Path(sys.executable), tmp_path) as process:
        write_request(tmp_path, "def f():\n    import os\n    print(os.read(0, 10))")
        output, _ = process.communicate("\nmore", timeout=60)
        assert output == "b''\n"


def usage_after(python: Path, folder: Path, source: str) -> tuple[int, dict[str, Any]]:
    """Run a function; return the exit code of its process and the usage that it has recorded."""
    folder.mkdir()
    result = Tasks(python, folder).run(source, usage_file=str(folder / "usage.json"))
    recorded = folder / "usage.json"
    return result.code, json.loads(recorded.read_text()) if recorded.exists() else {}


@pytest.mark.parametrize(
    ("body", "code"), [("pass", 0), ("raise ValueError", 1), ("raise SystemExit(3)", 3)], ids=["end", "error", "exit"]
)
def test_the_exit_code_is_recorded_at_the_end(python: Path, tmp_path: Path, body: str, code: int) -> None:
    status, recorded = usage_after(python, tmp_path / "task", f"def f():\n    {body}")
    assert (status, recorded["exit_code"]) == (code, code)
    assert recorded["cpu_seconds"] > 0
    assert recorded["peak_memory"] > 0


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("import os; os._exit(0)", 0),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -9),
        ("import os, atexit; atexit.register(os._exit, 5)", 5),
        ("import os; os.close(1); print('lost')", 120),
        ("import sqlite3; sqlite3.connect(':memory:')", 0),
    ],
    ids=["exit-without-end", "signal", "exit-handler", "lost-output", "has-to-finalize"],
)
def test_an_exit_code_that_is_not_certain_is_not_recorded(tmp_path: Path, body: str, code: int) -> None:
    status, recorded = usage_after(Path(sys.executable), tmp_path / "task", f"def f():\n    {body}")
    assert status == code
    assert "exit_code" not in recorded


@pytest.mark.parametrize(
    ("content", "kills"),
    [
        ("low 0\noom 3\noom_kill 2\noom_group_kill 0\n", 2),
        ("oom_kill_disable 0\nunder_oom 0\noom_kill 0\n", 0),
        ("oom_kill_disable 0\nunder_oom 0\n", None),
        ("oom_kill\n", None),
        (None, None),
    ],
    ids=["version-2", "version-1", "old-kernel", "other-file", "no-file"],
)
def test_what_the_kernel_has_killed_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None, kills: int | None
) -> None:
    if content is not None:
        (tmp_path / "counter").write_text(content)
    monkeypatch.setattr(usage, "_KILL_COUNTERS", (str(tmp_path / "missing"), str(tmp_path / "counter")))
    usage.write(str(tmp_path / "usage.json"), exit_code=0)
    recorded = json.loads((tmp_path / "usage.json").read_text())
    assert (recorded["exit_code"], recorded["memory_kills"]) == (0, kills)


def test_a_child_that_the_task_has_forked_records_nothing(tmp_path: Path) -> None:
    source = """
        def f():
            import os, signal
            if os.fork():
                os.wait()
                os.kill(os.getpid(), signal.SIGKILL)
    """
    status, recorded = usage_after(Path(sys.executable), tmp_path / "task", source)
    assert status == -9
    assert "exit_code" not in recorded


def test_what_is_printed_at_the_very_end_is_not_lost(python: Path, tmp_path: Path) -> None:
    source = """
        def f():
            import atexit, sys, threading, time
            atexit.register(print, "from an exit handler", end="")
            threading.Thread(target=lambda: (time.sleep(0.1), print("from a thread"))).start()
    """
    result = Tasks(python, tmp_path / "task").run(source, usage_file=str(tmp_path / "usage.json"))
    assert (result.code, result.printed) == (0, "from a thread\nfrom an exit handler")
