"""The first process of a task's container in a pod."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from standpipe.worker import pod
from tests.processes import wait_until
from tests.worker.tasks import BOOT

SOURCES = {
    "works": "def run():\n    print('done')\n",
    "raises": "def run():\n    raise ValueError('no')\n",
    "exits": "def run():\n    import sys; sys.exit(7)\n",
    "crashes": "def run():\n    import os, signal; os.kill(os.getpid(), signal.SIGSEGV)\n",
    "is_not_first": "def run():\n    import os; os.fork() or os._exit(0); print('parent', os.getppid() > 0)\n",
    "waits": "def run():\n    import time; print('started', flush=True); time.sleep(60)\n",
}


def write_request(folder: Path, source: str) -> Path:
    path = folder / "request.json"
    request = {
        "source": source,
        "function": "run",
        "executor_input": {"inputs": {}, "outputs": {"outputFile": str(folder / "executor_output.json")}},
        "artifact_classes": {},
        "error_file": str(folder / "error.json"),
        "owner": None,
        "usage_file": str(folder / "usage.json"),
    }
    path.write_text(json.dumps(request))
    return path


def start(folder: Path, source: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(BOOT), "pod", str(write_request(folder, source))]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.parametrize(("name", "code"), [("works", 0), ("raises", 1), ("exits", 7), ("crashes", 139)])
def test_the_exit_code_is_that_of_the_task(tmp_path: Path, name: str, code: int) -> None:
    process = start(tmp_path, SOURCES[name])
    printed, _ = process.communicate(timeout=60)

    assert process.returncode == code, printed


def test_a_signal_is_for_the_task_and_interrupts_it(tmp_path: Path) -> None:
    with start(tmp_path, SOURCES["waits"]) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"

        process.send_signal(signal.SIGTERM)

        assert process.wait(10) == 128 + signal.SIGINT


def test_a_signal_that_comes_while_the_task_starts_is_for_the_task(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys, time\n"
        f"sys.path.insert(0, {str(BOOT.parents[2])!r})\n"
        "from standpipe.worker import pod\n"
        "fork = os.fork\n"
        "def late():\n"  # the first process goes on only when the signal has come
        "    child = fork()\n"
        "    if child: time.sleep(0.5)\n"
        "    else: os.kill(os.getppid(), signal.SIGTERM)\n"
        "    return child\n"
        "os.fork = late\n"
        "def run(path):\n"
        "    time.sleep(60)\n"
        "    return 0\n"
        f"sys.exit(pod.run_as_child({str(write_request(tmp_path, ''))!r}, run))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, "KeyboardInterrupt" in done.stderr) == (128 + signal.SIGINT, True), done


def test_a_request_in_a_folder_that_the_user_cannot_enter_is_an_error() -> None:
    with TemporaryDirectory() as folder:  # whose parents are open to all
        closed, message = Path(folder, "closed"), Path(folder, "message")
        closed.mkdir()
        path = write_request(closed, SOURCES["works"])
        message.touch()
        for opened, mode in ((Path(folder), 0o755), (message, 0o666), (closed, 0o600)):
            opened.chmod(mode)
        code = (
            "import os, sys\n"
            "from standpipe.worker import pod\n"
            f"pod._MESSAGE_FILE = {str(message)!r}\n"
            "if os.getuid() == 0: os.setuid(65534)\n"
            f"sys.exit(pod.run_as_child({str(path)!r}, None))\n"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 1, done
        assert f"cannot enter the folder {closed}, in which state_root is. Set state_root to" in done.stdout
        assert json.loads(message.read_text())["error"]["summary"] == done.stdout.strip()
        closed.chmod(0o700)


@pytest.fixture
def message_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "termination-log"
    path.touch()
    monkeypatch.setattr(pod, "_MESSAGE_FILE", str(path))
    return path


def leave(folder: Path, **error: Any) -> dict[str, Any]:
    """Leave the files of a task that has failed, and return its request."""
    (folder / "usage.json").write_text('{"cpu_seconds": 1.5, "peak_memory": 1024}')
    if error:
        (folder / "error.json").write_text(json.dumps(error))
    return {"usage_file": str(folder / "usage.json"), "error_file": str(folder / "error.json")}


def written(folder: Path, message_file: Path, **error: Any) -> dict[str, Any]:
    pod._write_message(pod._make_message(leave(folder, **error)))
    text = message_file.read_bytes()
    assert len(text) <= 4096
    content: dict[str, Any] = json.loads(text)
    return content


def test_the_message_has_the_error_and_the_usage(tmp_path: Path, message_file: Path) -> None:
    location = {"file": "/t.py", "line": 3, "function": "t", "code": "1 / 0"}
    message = written(
        tmp_path, message_file, kind="ValueError", summary="ValueError: no", traceback="T", location=location
    )

    assert message["usage"] == {"cpu_seconds": 1.5, "peak_memory": 1024}
    assert (message["error"]["kind"], message["error"]["summary"]) == ("ValueError", "ValueError: no")
    assert message["error"]["traceback"] == "T"
    assert message["error"]["location"] == location


@pytest.mark.parametrize("character", ["x", "ü", "🚀"])
def test_a_long_traceback_keeps_its_ends(tmp_path: Path, message_file: Path, character: str) -> None:
    traceback = "first line\n" + character * 20_000 + "\nlast line"

    shown = written(tmp_path, message_file, kind="E", summary=character * 9000, traceback=traceback)["error"]

    assert shown["kind"] == "E"
    assert shown["traceback"].startswith("first line\n")
    assert shown["traceback"].endswith("\nlast line")


def test_a_task_that_left_nothing_has_a_message(tmp_path: Path, message_file: Path) -> None:
    assert "error" not in written(tmp_path, message_file)


def test_what_others_leave_behind_is_waited_for(tmp_path: Path) -> None:
    process = start(tmp_path, SOURCES["is_not_first"])

    assert wait_until(lambda: process.poll() is not None, 60)
    process.communicate()
    assert process.returncode == 0
