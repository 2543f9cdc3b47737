"""`standpipe logs`."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from standpipe import dsl, local
from standpipe.cli.main import main
from standpipe.history import Run
from standpipe.history.log_files import MAX_BYTES
from standpipe.local import FakeRunner, SubprocessRunner
from tests.processes import CHECKOUT
from tests.terminals import type_on_terminal


@dsl.component
def load(a: int) -> int: ...


@dsl.component
def train(a: int) -> int: ...


@dsl.pipeline
def pipeline(a: int) -> None:
    with dsl.ParallelFor([1, 2]) as item:
        train(a=item)
    load(a=a).set_retry(1, backoff_duration="0s")


@dsl.component
def wait_for(file: str) -> str:
    import os
    import time

    print("waiting", flush=True)
    while not os.path.exists(file):
        time.sleep(0.01)
    print("the end", end="")
    return file


@dsl.component
def say(text: str) -> None:
    print(text)


@dsl.pipeline
def waiting(file: str) -> None:
    say(text=wait_for(file=file).output)


class Flaky:
    """Fails in its first attempt."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, a: int) -> dict[str, int]:
        self.calls += 1
        if self.calls == 1:
            raise ValueError("boom")
        return {"Output": a}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Return a run with a loop and a task of two attempts, all with logs."""
    runner = FakeRunner(load=Flaky(), train=lambda a: {"Output": a})
    local.run(pipeline, {"a": 2}, runner=runner, pipeline_root=tmp_path, quiet=True, max_parallel=1)
    found = local.get_run("latest", tmp_path)
    for task in found.all_tasks():
        for attempt in task.attempts:
            attempt.log.write_text(f"{task.path} {attempt.number}\nsecond\nlast, without an end")
    return found


def logs(root: Path, *arguments: str) -> int:
    return main(["logs", "latest", *arguments, "--root", str(root)])


def test_the_log_of_a_task_is_that_of_its_last_attempt(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert logs(tmp_path, "load") == 0
    assert capsys.readouterr().out == "load 2\nsecond\nlast, without an end\n"
    assert logs(tmp_path, "load", "--attempt", "1", "--tail", "2") == 0
    assert capsys.readouterr().out == "second\nlast, without an end\n"


def test_all_logs_are_merged_with_the_names_of_tasks(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert logs(tmp_path, "--tail", "3") == 0
    shown = capsys.readouterr().out.splitlines()
    assert "[for-loop-2/0/train] for-loop-2/0/train 1" in shown
    assert "[load] load 1" in shown
    assert "[load, attempt 2] load 2" in shown
    assert len(shown) == 4 * 3
    assert logs(tmp_path, "for-loop-2", "--tail", "1") == 0
    assert capsys.readouterr().out.splitlines() == [
        f"[for-loop-2/{number}/train] last, without an end" for number in (0, 1)
    ]


def test_labels_have_colours_on_a_terminal_and_those_of_a_task_end_with_its_line(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run.task("load").attempts[1].log.write_text("\x1b[31mred\n\x1b]0;title\x07plain\n")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    logs(tmp_path)
    red, plain = [line for line in capsys.readouterr().out.splitlines() if "attempt 2" in line]
    assert red.endswith("m[load, attempt 2]\x1b[0m \x1b[31mred\x1b[0m")
    assert "]\x1b[0m plain" in plain


def test_progress_bars_are_lines(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run.task("load").attempts[1].log.write_bytes(b"10 %\r20 %\r\ndone\r\n")
    logs(tmp_path, "load")
    assert capsys.readouterr().out == "10 %\n20 %\ndone\n"


@pytest.mark.parametrize("tail", [0, 1, 3, 100_000, 10**9])
def test_the_end_of_a_large_log_is_found(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], tail: int
) -> None:
    lines = [f"line {number}" for number in range(300_000)]
    log = run.task("load").attempts[1].log
    log.write_text("\n".join(lines) + "\n")
    assert log.stat().st_size > 4 * MAX_BYTES
    logs(tmp_path, "load", "--tail", str(tail))
    assert capsys.readouterr().out.splitlines() == (lines[-tail:] if tail else [])


def test_what_is_missing_is_named(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert logs(tmp_path, "nothing") == 2
    assert "has not reached a task 'nothing'" in capsys.readouterr().err
    assert logs(tmp_path, "train") == 2
    assert "2 tasks of run" in capsys.readouterr().err
    assert logs(tmp_path, "load", "--attempt", "3") == 2
    assert "no attempt 3. Its attempts are 1, 2" in capsys.readouterr().err
    assert logs(tmp_path, "--attempt", "3") == 2
    assert "name one task, as in `standpipe logs" in capsys.readouterr().err
    assert main(["logs", "other", "--root", str(tmp_path)]) == 2
    assert "There is no run 'other'" in capsys.readouterr().err
    assert main(["logs", "latest", "--root", str(tmp_path / "nowhere")]) == 2


def test_logs_that_cannot_be_read_are_named_and_the_others_printed(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    second = run.task("load").attempts[1]
    second.log.unlink()
    os.mkfifo(second.log)
    assert logs(tmp_path) == 6
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 3 * 3
    assert "[load] The log cannot be read:" in err
    assert logs(tmp_path, "load") == 6
    assert "expected a regular file" in capsys.readouterr().err


def test_a_truncated_log_is_a_note_and_a_removed_one_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    local.run(say, {"text": "hello"}, runner=SubprocessRunner(use_venv=False), pipeline_root=tmp_path, quiet=True)
    local.get_run("latest", tmp_path).tasks[0].attempts[0].log.write_text("he")
    assert logs(tmp_path) == 0
    out, err = capsys.readouterr()
    assert out == "[say] he\n"
    assert "[say] The log was truncated: it has 2 of the 6 bytes" in err
    shutil.rmtree(local.get_run("latest", tmp_path).folder)
    assert logs(tmp_path, "-f") == 6
    assert "[say] The log was removed: " in capsys.readouterr().err


def test_a_cached_task_names_the_task_with_the_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runner = FakeRunner(load=lambda a: {"Output": a})
    for _ in range(2):
        local.run(load, {"a": 1}, runner=runner, pipeline_root=tmp_path, quiet=True, enable_caching=True)
    first = local.runs(tmp_path)[1]
    assert logs(tmp_path, "load") == 2
    assert f"`standpipe logs {first.id} load` prints the log" in capsys.readouterr().err
    assert logs(tmp_path) == 0
    assert "No task of run" in capsys.readouterr().err


@pytest.fixture
def in_progress(tmp_path: Path) -> Any:
    """Return a function that starts a run which waits for a file, and the function that ends it."""
    file = tmp_path / "file"
    options: dict[str, Any] = {"runner": SubprocessRunner(use_venv=False), "pipeline_root": tmp_path, "quiet": True}
    thread = threading.Thread(target=local.run, args=(waiting, {"file": str(file)}), kwargs=options)
    thread.start()
    while not local.runs(tmp_path) or not local.get_run("latest", tmp_path).tasks:
        pass
    yield file.touch
    file.touch()
    thread.join()


def follow(root: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "standpipe", "logs", "latest", "-f", *arguments, "--root", str(root)]
    return subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_run_in_progress_is_followed_to_its_end(tmp_path: Path, in_progress: Callable[[], None]) -> None:
    with follow(tmp_path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "[wait-for] waiting\n"
        in_progress()
        rest = process.stdout.read()
    assert process.returncode == 0
    assert rest == f"[wait-for] the end\n[say] {tmp_path / 'file'}\n"


def test_a_task_that_was_not_reached_is_waited_for(tmp_path: Path, in_progress: Callable[[], None]) -> None:
    with follow(tmp_path, "say") as process:
        in_progress()
        out, err = process.communicate()
    assert (out, err) == (f"{tmp_path / 'file'}\n", "")
    assert process.returncode == 0


def test_a_task_that_the_pipeline_lacks_is_not_waited_for(
    tmp_path: Path, in_progress: Callable[[], None], capsys: pytest.CaptureFixture[str]
) -> None:
    assert logs(tmp_path, "-f", "says") == 2
    assert "has not reached a task 'says'" in capsys.readouterr().err


def test_without_the_flag_only_what_there_is_is_printed(
    tmp_path: Path, in_progress: Callable[[], None], capsys: pytest.CaptureFixture[str]
) -> None:
    assert logs(tmp_path) == 0
    assert capsys.readouterr().out in ("", "[wait-for] waiting\n")


def test_ctrl_c_ends_it_quietly(tmp_path: Path, in_progress: Callable[[], None]) -> None:
    with follow(tmp_path) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
    assert (process.returncode, err) == (130, "")


def test_a_run_whose_process_is_killed_ends_it(tmp_path: Path) -> None:
    program = (
        "from tests.cli.test_logs import *\n"
        "runner = SubprocessRunner(use_venv=False)\n"
        f"local.run(waiting, {{'file': '/nowhere'}}, runner=runner, pipeline_root={str(tmp_path)!r})"
    )
    with subprocess.Popen([sys.executable, "-c", program], cwd=CHECKOUT, stdout=subprocess.DEVNULL) as owner:
        while not local.runs(tmp_path) or not local.get_run("latest", tmp_path).tasks:
            pass
        with follow(tmp_path) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "[wait-for] waiting\n"
            owner.kill()
            process.communicate(timeout=30)
    assert process.returncode == 0


def test_a_reader_that_exits_ends_it(run: Run, tmp_path: Path) -> None:
    run.task("load").attempts[1].log.write_text("line\n" * 1_000_000)
    command = f"{sys.executable} -m standpipe logs latest load --root {tmp_path} | head -1"
    shown = subprocess.run(command, shell=True, cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert (shown.stdout, shown.stderr) == ("line\n", "")


def test_labels_on_a_terminal(run: Run, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "standpipe", "logs", "latest", "--tail", "1", "--root", str(tmp_path)]
    plain = type_on_terminal(command, [])
    assert "[load] last, without an end" in plain
    coloured = type_on_terminal(command, [], {"TERM": "xterm", "NO_COLOR": ""})
    assert "m[load]\x1b[0m last, without an end" in coloured
