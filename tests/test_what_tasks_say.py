"""What a task says is data: any JSON, and any defect of Standpipe in its attempt, fails that task alone."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from standpipe import dsl, local
from standpipe.errors import TaskFailed
from standpipe.execution import attempt, attempt_cache
from standpipe.execution.cache.lookup import ResultCache
from standpipe.execution.logs import TaskLog
from standpipe.history.records import Status
from standpipe.history.run import Run
from standpipe.local import FakeRunner
from standpipe.model.json_values import MAX_DEPTH
from standpipe.support.redaction import Redactor

FILES = {
    "not JSON": "{",
    "a list": "[]",
    "deep lists": "[" * 100_000 + "]" * 100_000,
    "deep objects": '{"a":' * 100_000,
    "deep value": '{"parameterValues": {"text": %s}}' % ("[" * 3000 + "]" * 3000),
    "a large number": '{"parameterValues": {"number": %s}}' % ("9" * 5000),
    "infinity": '{"parameterValues": {"number": 1e999}}',
    "a key twice": '{"parameterValues": {"text": "a", "text": "b"}}',
    "half a pair": '{"parameterValues": {"text": "\\ud800"}}',
    "not UTF-8": '{"parameterValues": {"text": "\udcff"}}',
    "parameters as a list": '{"parameterValues": ["text"]}',
    "artifacts as a number": '{"artifacts": 3}',
    "an artifact as a number": '{"artifacts": {"data": 3}}',
    "no artifact": '{"artifacts": {"data": {"artifacts": []}}}',
    "two artifacts": '{"artifacts": {"data": {"artifacts": [{}, {}]}}}',
    "metadata as a list": '{"artifacts": {"data": {"artifacts": [{"metadata": [1]}]}}}',
    "a number as URI": '{"artifacts": {"data": {"artifacts": [{"uri": 3}]}}}',
    "null in a URI": '{"artifacts": {"data": {"artifacts": [{"uri": "/a\\u0000b"}]}}}',
    "an object as path": '{"artifacts": {"data": {"artifacts": [{"custom_path": {}}]}}}',
    "a wrong type": '{"parameterValues": {"text": "a", "number": {"a": 1}}}',
}


def write_and_exit(file: str, content: str, code: int) -> None:
    """Write a file of an attempt in the worker's place; runs in tasks."""
    import os

    with open(file, "w", encoding="utf-8", errors="surrogateescape") as opened:
        opened.write(content)
    os._exit(code)


@dsl.component
def say(text: str) -> str:
    return text


@dsl.component(additional_funcs=[write_and_exit])
def write(
    name: str,
    content: str,
    code: int,
    text: dsl.OutputPath(str),  # type: ignore[valid-type]
    number: dsl.OutputPath(float),  # type: ignore[valid-type]
    data: dsl.Output[dsl.Dataset],
) -> None:
    import os

    write_and_exit(os.path.join(os.path.dirname(text), name), content, code)


@dsl.component(additional_funcs=[])
def reply(content: str) -> None:
    """Write to every socket that the process has."""
    import os
    import stat

    for descriptor in range(3, 50):
        try:
            if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                os.write(descriptor, content.encode())
        except OSError:
            continue
    import time

    time.sleep(60)


@dsl.pipeline
def writing(name: str, content: str, code: int) -> None:
    cleanup = say(text="cleanup")
    with dsl.ExitHandler(cleanup):
        write(name=name, content=content, code=code)
        say(text="sibling")


@dsl.pipeline
def replying(content: str) -> None:
    with dsl.ExitHandler(say(text="cleanup")):
        reply(content=content)
        say(text="sibling")


def run_failing(root: Path, pipeline: Any, failing: str, **arguments: Any) -> str:
    """Run a pipeline in which one task fails, and the others do not; return the message."""
    with pytest.raises(TaskFailed):
        local.run(pipeline, arguments, runner=local.SubprocessRunner(use_venv=False), pipeline_root=root, quiet=True)
    return check_failure(local.runs(root)[0], failing)


def check_failure(run: Run, failing: str) -> str:
    """Check that a run failed because of one task, and that its sibling and the exit task ran; return the message."""
    tasks = {task.path.rpartition("/")[2]: task for task in run.all_tasks() if not task.children}
    statuses = {name: task.status for name, task in tasks.items()}
    assert run.status is Status.FAILED
    assert statuses == {failing: Status.FAILED, "say": Status.SUCCEEDED, "say-2": Status.SUCCEEDED}
    failure = tasks[failing].failure
    assert failure is not None
    return failure.message


@pytest.mark.parametrize("kind", FILES)
def test_any_executor_output_fails_its_task_alone(tmp_path: Path, kind: str) -> None:
    message = run_failing(tmp_path, writing, "write", name="executor_output.json", content=FILES[kind], code=0)
    assert "executor output" in message or "does not fit" in message or "malformed entry" in message
    assert "\n" not in message
    assert len(message) < 1000


@pytest.mark.parametrize(
    "content", ["{", "[" * 100_000, '{"traceback": [1], "kind": {}}', '{"summary": "\\ud800"}', "3"]
)
def test_any_error_details_fail_their_task_alone(tmp_path: Path, content: str) -> None:
    message = run_failing(tmp_path, writing, "write", name="error.json", content=content, code=3)
    assert message in ("it exited with code 3", "\ud800")


@pytest.mark.parametrize(
    "content",
    ["garbage\n", "[" * 100_000 + "\n", '{"pid": "1"}\n', '{"code": []}\n', '{"status": 1e9}\n', "x" * 70_000],
)
def test_any_reply_fails_its_task_alone(tmp_path: Path, content: str) -> None:
    message = run_failing(tmp_path, replying, "reply", content=content)
    assert message.startswith("it wrote to the socket on which its end is reported: ")
    assert len(message) < 1000


# --- defects ----------------------------------------------------------------------------------------------------------


def break_attempt(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
    """Make a function fail in the attempt of the task `broken`."""
    current, execute, original = threading.local(), attempt.AttemptExecutor.execute, getattr(owner, name)

    def execute_and_remember(self: Any, command: Any, cancel: Any) -> Any:
        current.task = command.task.name
        return execute(self, command, cancel)

    def called(*args: Any, **kwargs: Any) -> Any:
        if current.task == "broken":
            raise RecursionError("a defect of ours")
        return original(*args, **kwargs)

    monkeypatch.setattr(attempt.AttemptExecutor, "execute", execute_and_remember)
    monkeypatch.setattr(owner, name, called)


@dsl.component
def broken(text: str) -> str:
    return text


@dsl.pipeline
def defective() -> None:
    with dsl.ExitHandler(say(text="cleanup")):
        broken(text="broken")
        say(text="sibling")


STAGES: dict[str, tuple[Any, str]] = {
    "request": (attempt, "build_request"),
    "run": (attempt, "_run_with_timeout"),
    "outputs": (attempt, "read_outputs"),
    "checksums": (attempt, "add_checksums"),
    "cache keys": (attempt_cache, "collect_task_inputs"),
    "cache lookup": (ResultCache, "_find"),
    "cache write": (ResultCache, "_store"),
    "start of the log": (TaskLog, "__enter__"),
}


@pytest.mark.parametrize("stage", STAGES)
def test_a_defect_at_any_stage_of_an_attempt_fails_its_task_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    break_attempt(monkeypatch, *STAGES[stage])
    check_defect(tmp_path)


@pytest.mark.parametrize("error", [RecursionError, MemoryError, SystemExit, KeyboardInterrupt, StopIteration])
def test_a_defect_around_an_attempt_fails_its_task_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    redact = Redactor.wrap_attempt

    def wrap_attempt(self: Redactor, execute: Any) -> Any:
        wrapped = redact(self, execute)

        def wrapped_or_failing(command: Any, cancel: Any) -> Any:
            ended = wrapped(command, cancel)
            if command.task.name == "broken":
                raise error("a defect of ours")
            return ended

        return wrapped_or_failing

    monkeypatch.setattr(Redactor, "wrap_attempt", wrap_attempt)
    check_defect(tmp_path, error)


def check_defect(root: Path, error: type[BaseException] = RecursionError) -> None:
    with pytest.raises(TaskFailed, match=r"InternalError"):
        local.run(
            defective, runner=FakeRunner(broken=fake, say=fake), pipeline_root=root, quiet=True, enable_caching=True
        )
    run = local.runs(root)[0]
    assert check_failure(run, "broken") == f"Standpipe itself failed: {error.__name__}: a defect of ours"
    failure = run.task("broken").failure
    assert failure is not None
    assert failure.detail.startswith("Traceback (most recent call last):")


def fake(text: str) -> str:
    return text


# --- arguments --------------------------------------------------------------------------------------------------------


def nested(levels: int) -> Any:
    value: Any = []
    for _ in range(levels - 1):
        value = [value]
    return value


@dsl.component
def count(items: list) -> int:
    return len(items)


@dsl.pipeline
def counting(items: list) -> int:
    return count(items=items).output


def test_arguments_have_the_depth_that_outputs_may_have(tmp_path: Path) -> None:
    runner = FakeRunner(count=lambda items: len(items))
    arguments = {"items": nested(MAX_DEPTH)}
    assert local.run(counting, arguments, runner=runner, pipeline_root=tmp_path, quiet=True).output == 1


@pytest.mark.parametrize("levels", [MAX_DEPTH + 1, 100_000])
def test_an_argument_that_is_nested_too_deeply_is_one_error(tmp_path: Path, levels: int) -> None:
    arguments = {"items": nested(levels)}
    with pytest.raises(ValueError, match="input 'items' cannot be passed: the value is nested too deeply"):
        local.run(counting, arguments, runner=FakeRunner(), pipeline_root=tmp_path, quiet=True)


def test_an_argument_that_contains_itself_is_one_error(tmp_path: Path) -> None:
    items: list = []
    items.append(items)
    with pytest.raises(ValueError, match="input 'items' cannot be passed: the value is nested too deeply"):
        local.run(counting, {"items": items}, runner=FakeRunner(), pipeline_root=tmp_path, quiet=True)
