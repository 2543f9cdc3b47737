"""Tasks with `set_debug_pause`, in processes."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from standpipe import dsl, local
from standpipe.errors import TaskFailed
from standpipe.execution import pauses
from standpipe.execution.pauses import find_pause
from standpipe.model.attempts import DebugPause
from standpipe.model.layout import PAUSE_FILE


@dsl.component
def work(fails: bool = False) -> str:
    print("working")
    if fails:
        raise ValueError("as asked")
    return "done"


@dsl.component
def count(path: str) -> int:
    with open(path, "a") as file:
        return file.write("x")


def pipeline_of(configure: Callable[[dsl.PipelineTask], object], fails: bool = False) -> Any:
    @dsl.pipeline
    def paused() -> str:
        task = work(fails=fails)
        task.set_caching_options(False)
        configure(task)
        return task.output

    return paused


@pytest.fixture
def _terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody is at the terminal of this process."""
    monkeypatch.setattr(pauses, "has_terminal", lambda: True)


def pause_of(root: Path, seconds: float = 30) -> Path:
    """Return the file of the pause that a task of the run waits in."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for path in root.rglob(PAUSE_FILE):
            if path.read_text():
                return path
        time.sleep(0.05)
    raise AssertionError("no task is paused")


def wait_for_notice(capsys: pytest.CaptureFixture[str], text: str, seconds: float = 30) -> str:
    """Return what was written to standard error until a text is there."""
    notices, deadline = "", time.monotonic() + seconds
    while text not in notices:
        assert time.monotonic() < deadline, notices
        time.sleep(0.05)
        notices += capsys.readouterr().err
    return notices


def wait_for_line(log: Path, line: str, seconds: float = 30) -> str:
    """Return the content of a log once a line is there."""
    deadline = time.monotonic() + seconds
    while line not in log.read_text():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)
    return log.read_text()


def run(pipeline: Any, root: Path, **options: Any) -> Any:
    runner = local.SubprocessRunner(use_venv=False)
    return local.run(pipeline, runner=runner, pipeline_root=root, quiet=True, **options)


@pytest.mark.parametrize(
    ("env", "pause"),
    [
        ({}, None),
        ({"ARGO_DEBUG_PAUSE_BEFORE": "false", "ARGO_DEBUG_PAUSE_AFTER": "1"}, None),
        ({"ARGO_DEBUG_PAUSE_BEFORE": "true"}, DebugPause(before=True)),
        ({"ARGO_DEBUG_PAUSE_AFTER": "true"}, DebugPause(after_success=True, after_failure=True)),
        ({"ARGO_DEBUG_PAUSE_ON_ERROR": "true"}, DebugPause(after_failure=True)),
        (
            {"ARGO_DEBUG_PAUSE_BEFORE": "true", "ARGO_DEBUG_PAUSE_ON_ERROR": "true"},
            DebugPause(before=True, after_failure=True),
        ),
    ],
)
def test_the_variables_of_argo_ask_for_a_pause(env: dict[str, str], pause: DebugPause | None) -> None:
    assert find_pause(env) == pause


@pytest.mark.usefixtures("_terminal")
@pytest.mark.parametrize(
    ("arguments", "fails", "places"),
    [
        ({"before": True, "after": False}, False, ["before it runs"]),
        ({}, False, ["after it has succeeded"]),
        ({"before": True}, True, ["before it runs", "after it has failed"]),
        ({"on_error": True}, True, ["after it has failed"]),
        ({"on_error": True}, False, []),
    ],
)
def test_a_task_waits_where_asked_and_says_how_to_continue(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: dict[str, bool], fails: bool, places: list[str]
) -> None:
    pipeline = pipeline_of(lambda task: task.set_debug_pause(**arguments), fails=fails)
    notices = ""
    with ThreadPoolExecutor() as pool:
        result: Future[Any] = pool.submit(run, pipeline, tmp_path)
        for place in places:
            path = pause_of(tmp_path)
            assert path.read_text() == f"{place}\n"
            log = wait_for_line(path.parent / "log.txt", f"[paused {place}; to let it continue, remove {path}]\n")
            assert ("working" in log) == (place != "before it runs")
            notices += wait_for_notice(capsys, f"Task 'work' is paused {place} (set_debug_pause)")
            path.unlink()
        if fails:
            with pytest.raises(TaskFailed, match="as asked"):
                result.result(30)
        else:
            assert result.result(30).output == "done"
    notices += capsys.readouterr().err
    if places:
        assert "rm " in notices
        assert "standpipe rerun --debug --root" in notices
    assert notices.count("is paused") == len(places)


left_open: Any = None


@dsl.component
def write(data: dsl.Output[dsl.Dataset]) -> None:
    import atexit

    global left_open
    left_open = open(data.path, "w")  # noqa: SIM115  left open
    left_open.write("rows")
    atexit.register(lambda: left_open.write(", at exit"))


@pytest.mark.usefixtures("_terminal")
def test_files_are_complete_while_a_task_is_paused_after_it_has_ended(tmp_path: Path) -> None:
    @dsl.pipeline
    def paused() -> None:
        write().set_debug_pause()

    with ThreadPoolExecutor() as pool:
        result: Future[Any] = pool.submit(run, paused, tmp_path)
        path = pause_of(tmp_path)
        content = (path.parent / "data").read_text()
        path.unlink()
        result.result(30)
    assert content == "rows, at exit"


def test_without_a_terminal_a_task_says_that_it_did_not_wait(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pipeline = pipeline_of(lambda task: task.set_debug_pause(before=True))
    assert run(pipeline, tmp_path).output == "done"
    assert "Task 'work' does not pause as set_debug_pause asks: this process has no terminal" in capsys.readouterr().err


@pytest.mark.usefixtures("_terminal")
@pytest.mark.parametrize("arguments", [{"before": True, "after": False}, {}])
def test_a_run_can_be_cancelled_during_a_pause(tmp_path: Path, arguments: dict[str, bool]) -> None:
    pipeline = pipeline_of(lambda task: task.set_debug_pause(**arguments))
    before = signal.getsignal(signal.SIGINT)

    def interrupt() -> None:
        pause_of(tmp_path)
        signal.raise_signal(signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run(pipeline, tmp_path)
    thread.join()
    assert time.monotonic() - started < 30
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.usefixtures("_terminal")
def test_a_pause_does_not_count_towards_the_timeout_of_the_task(tmp_path: Path) -> None:
    def configure(task: dsl.PipelineTask) -> None:
        task.set_debug_pause(before=True, after=False)
        task.platform_config["kubernetes"] = {"activeDeadlineSeconds": "1"}

    with ThreadPoolExecutor() as pool:
        result: Future[Any] = pool.submit(run, pipeline_of(configure), tmp_path)
        path = pause_of(tmp_path)
        time.sleep(1.5)
        path.unlink()
        assert result.result(30).output == "done"


@pytest.mark.usefixtures("_terminal")
def test_a_task_that_pauses_runs_even_if_its_result_is_cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    marks = tmp_path / "marks"

    @dsl.pipeline
    def cached() -> int:
        return count(path=str(marks)).set_debug_pause(on_error=True).output

    for _ in range(2):
        run(cached, tmp_path / "root", enable_caching=True)
    assert marks.read_text() == "xx"
    monkeypatch.setattr(pauses, "has_terminal", lambda: False)
    for _ in range(2):
        run(cached, tmp_path / "root", enable_caching=True)
    assert marks.read_text() == "xxx"
