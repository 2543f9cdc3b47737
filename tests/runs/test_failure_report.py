"""What the error of a failed run says: where in the user's code, the last output, and what to do next."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from standpipe import compiler, components, dsl, local
from standpipe.errors import TaskFailed


def line_of(text: str) -> int:
    """Return the number of the line of this file that ends with a text."""
    lines = Path(__file__).read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if line.endswith(text))


@dsl.component
def divide(a: int, b: int) -> float:
    print(f"dividing {a} by {b}")
    return a / b  # the failing line


@dsl.component
def shut_down() -> None:
    import os

    print("the last words")
    os._exit(3)


@dsl.component
def parse(text: str) -> None:
    import json

    json.loads(text)  # the line that calls a library


@dsl.pipeline
def ratio() -> None:
    divide(a=1, b=0)


def fail(component: Any, folder: Path, *, quiet: bool = False, **arguments: Any) -> str:
    """Return the report of a run that fails."""
    with pytest.raises(TaskFailed) as caught:
        local.run(
            component,
            arguments,
            runner=local.SubprocessRunner(use_venv=False),
            pipeline_root=folder,
            quiet=quiet,
        )
    return str(caught.value)


def test_the_report_is_short_and_begins_with_the_users_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parent)
    report = fail(ratio, tmp_path)

    (folder,) = tmp_path.glob("ratio-*")
    commands = [line.strip() for line in report.splitlines() if line.startswith("    standpipe ")]
    shown = [line for line in report.splitlines() if line and not line.startswith("    standpipe ")]
    assert shown == [
        f"test_failure_report.py, line {line_of('# the failing line')}: Task 'divide' failed: ZeroDivisionError: "
        "division by zero",
        "    return a / b  # the failing line",
        "The end of its log:",
        "dividing 1 by 0",
        "Its traceback, inputs and attempts:",
        f"The run finished with status FAILED. All files of the run are in {folder}.",
        *(line for line in shown if line.startswith("To re")),
    ]
    assert commands[0] == f"standpipe show --root {tmp_path} {folder.name} divide"
    assert [command.split()[1] for command in commands] == ["show", "rerun", "resume"]


def test_a_file_that_is_not_in_the_current_folder_has_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert fail(ratio, tmp_path).startswith(f"{__file__}, line {line_of('# the failing line')}: Task 'divide' failed")


def test_an_error_in_a_library_is_located_where_the_user_called_it(tmp_path: Path) -> None:
    report = fail(parse, tmp_path, text="{")
    assert f"line {line_of('# the line that calls a library')}: Task 'parse' failed: json.decoder.JSON" in report
    assert "    json.loads(text)" in report


def test_a_compiled_component_has_its_function_and_the_line_in_its_source(tmp_path: Path) -> None:
    compiler.Compiler().compile(ratio, str(tmp_path / "ratio.yaml"))
    report = fail(components.load_component_from_file(str(tmp_path / "ratio.yaml")), tmp_path / "root")

    first, code, *_ = report.splitlines()
    assert first.startswith("function divide, line ")
    assert first.endswith(" of its source: Task 'divide' failed: ZeroDivisionError: division by zero")
    assert code == "    return a / b  # the failing line"


def test_a_quiet_run_has_the_traceback_in_its_report(tmp_path: Path) -> None:
    assert "Traceback (most recent call last):" in fail(ratio, tmp_path, quiet=True)
    assert "Traceback (most recent call last):" not in fail(ratio, tmp_path)


def test_a_task_that_exits_has_no_line(tmp_path: Path) -> None:
    report = fail(shut_down, tmp_path)
    assert report.startswith("Task 'shut-down' failed: it exited with code 3\n\nThe end of its log:\nthe last words\n")


def test_a_task_in_this_process_has_its_line_too(tmp_path: Path) -> None:
    with pytest.raises(TaskFailed, match=rf", line {line_of('# the failing line')}: Task 'divide' failed"):
        local.run(ratio, {}, runner=local.InProcessRunner(), pipeline_root=tmp_path)


def test_the_line_is_stored_with_the_failure(tmp_path: Path) -> None:
    fail(ratio, tmp_path)
    failure = local.get_run("latest", tmp_path).task("divide").failure
    assert failure is not None
    assert failure.location is not None
    assert (failure.location.file, failure.location.line, failure.location.function, failure.location.code) == (
        __file__,
        line_of("# the failing line"),
        "divide",
        "return a / b  # the failing line",
    )
