"""Tasks that leave links, FIFOs and endless files: such a task fails with one sentence, and only that one.

Nothing outside of the pipeline root is read, changed or removed.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from standpipe import dsl, local
from standpipe.errors import StorageError, TaskFailed
from standpipe.history.records import Status
from standpipe.history.run import Run
from standpipe.support.untrusted_files import remove_path

KINDS = {
    "link inside": "is a symbolic link",
    "link outside": "is a symbolic link",
    "dangling link": "is a symbolic link",
    "link to a device": "is a symbolic link",
    "FIFO": "is a FIFO",
    "socket": "is a socket",
    "folder": "is a folder",
    "sparse": "has 5 GiB: expected at most",
}


def leave(kind: str, path: str, outside: str) -> None:
    """Put something at a path; runs in tasks."""
    import os
    import stat

    if os.path.lexists(path):
        os.unlink(path)
    if kind == "link inside":
        os.symlink(os.path.join(os.path.dirname(path), "request.json"), path)
    elif kind == "link outside":
        os.symlink(os.path.join(outside, "canary"), path)
    elif kind == "dangling link":
        os.symlink("nowhere", path)
    elif kind == "link to a device":
        os.symlink("/dev/zero", path)
    elif kind == "FIFO":
        os.mkfifo(path)
    elif kind == "socket":
        os.mknod(path, stat.S_IFSOCK | 0o600)
    elif kind == "folder":
        os.mkdir(path)
    elif kind == "sparse":
        with open(path, "wb") as file:
            file.truncate(5 * 2**30)


def leave_and_exit(kind: str, name: str, path: str, outside: str, code: int) -> None:
    """Put something beside an output, and end before the worker writes its own files; runs in tasks."""
    import os

    leave(kind, os.path.join(os.path.dirname(path), name), outside)
    os._exit(code)


@dsl.component
def say(text: str) -> str:
    return text


@dsl.component(additional_funcs=[leave, leave_and_exit])
def leave_something(
    kind: str,
    name: str,
    outside: str,
    code: int,
    text: dsl.OutputPath(str),  # type: ignore[valid-type]
    data: dsl.Output[dsl.Dataset],
) -> None:
    leave_and_exit(kind, name, text, outside, code)


@dsl.pipeline
def hostile(kind: str, name: str, outside: str, code: int) -> None:
    leave_something(kind=kind, name=name, outside=outside, code=code)
    say(text="sibling")


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """Return a folder of the user's, beside the pipeline root `root`, and check that nothing in it changes."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "canary").write_text('"of the user"')
    (folder / "deep").mkdir()
    (folder / "deep" / "canary").write_text("deep")
    before = (folder.stat(), (folder / "canary").stat())
    yield folder
    assert (folder.stat().st_mode, (folder / "canary").stat().st_mode) == (before[0].st_mode, before[1].st_mode)
    assert (folder / "canary").read_text() == '"of the user"'
    assert sorted(path.name for path in folder.rglob("*")) == ["canary", "canary", "deep"]
    assert {path.name for path in tmp_path.iterdir()} <= {"outside", "root"}


def run_hostile(outside: Path, kind: str, name: str, code: int = 0) -> Run:
    """Run the pipeline, and return the record of its run; it fails."""
    root, arguments = outside.parent / "root", {"kind": kind, "name": name, "outside": str(outside), "code": code}
    with pytest.raises(TaskFailed):
        local.run(hostile, arguments, runner=local.SubprocessRunner(use_venv=False), pipeline_root=root, quiet=True)
    (run,) = local.runs(root)
    assert run.task("say").status is Status.SUCCEEDED
    return run


def message_of(run: Run) -> str:
    failure = run.task("leave-something").failure
    assert failure is not None
    assert "\n" not in failure.message
    assert "of the user" not in str(run)
    return failure.message


@pytest.mark.parametrize("kind", KINDS)
def test_the_executor_output_is_a_file_or_its_task_fails(outside: Path, kind: str) -> None:
    message = message_of(run_hostile(outside, kind, "executor_output.json"))
    assert re.match(
        f"its executor output cannot be read: .*/leave-something/executor_output.json {KINDS[kind]}", message
    )


@pytest.mark.parametrize("kind", KINDS)
def test_an_output_parameter_is_a_file_or_its_task_fails(outside: Path, kind: str) -> None:
    message = message_of(run_hostile(outside, kind, "text"))
    assert re.match(f"its output 'text' cannot be read: .*/leave-something/text {KINDS[kind]}", message)


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_report_is_a_file_or_is_not_read(outside: Path, kind: str) -> None:
    run = run_hostile(outside, kind, "error.json", code=3)
    message = message_of(run)
    assert re.match(f"its error report cannot be read: .*/leave-something/error.json {KINDS[kind]}", message)
    failure = run.task("leave-something").failure
    assert failure is not None
    assert failure.exit_code == 3


@pytest.mark.parametrize("kind", KINDS)
def test_a_log_is_a_file_or_is_not_read(outside: Path, kind: str) -> None:
    run = run_hostile(outside, kind, "log.txt", code=3)
    assert message_of(run) == "it exited with code 3"
    with pytest.raises(StorageError, match=f"log of task 'leave-something' cannot be read: .*/log.txt {KINDS[kind]}"):
        run.log("leave-something")


@pytest.mark.parametrize("kind", ["link outside", "link to a device", "FIFO", "socket", "folder"])
def test_a_request_of_the_task_does_not_change_the_next_run(outside: Path, kind: str) -> None:
    """The files of a run that a later process opens: its lock, and the request to stop it."""
    for number, name in enumerate(("../.running", "../.stop"), 1):
        root = outside.parent / "root"
        arguments = {"kind": kind, "name": name, "outside": str(outside), "code": 3}
        began = time.monotonic()
        with pytest.raises(TaskFailed):
            local.run(hostile, arguments, runner=local.SubprocessRunner(use_venv=False), pipeline_root=root, quiet=True)
        assert time.monotonic() - began < 30
        run = local.runs(root)[0]
        assert not run.cancel()
        with pytest.raises(TaskFailed):
            local.resume(run, runner=local.SubprocessRunner(use_venv=False), pipeline_root=root, quiet=True)
        assert len(local.runs(root)) == number


# --- artifacts --------------------------------------------------------------------------------------------------------


@dsl.component(additional_funcs=[leave])
def leave_artifact(kind: str, outside: str, data: dsl.Output[dsl.Dataset]) -> str:
    import os

    if kind == "link to an input":
        with open(os.path.join(os.path.dirname(data.path), "big"), "w") as file:
            file.write("payload")
        os.symlink(file.name, data.path)
    elif kind == "link to a folder outside":
        os.symlink(outside, data.path)
    else:
        leave(kind, data.path, outside)
    return "done"


@dsl.pipeline
def with_artifact(kind: str, outside: str) -> None:
    leave_artifact(kind=kind, outside=outside)
    say(text="sibling")


def run_with_artifact(outside: Path, kind: str) -> Run:
    root, arguments = outside.parent / "root", {"kind": kind, "outside": str(outside)}
    local.run(
        with_artifact, arguments, runner=local.SubprocessRunner(use_venv=False), pipeline_root=root, enable_caching=True
    )
    return local.runs(root)[0]


@pytest.mark.parametrize("kind", ["FIFO", "socket"])
def test_an_artifact_that_has_no_content_fails_its_task(outside: Path, kind: str) -> None:
    with pytest.raises(TaskFailed, match=f"its output artifact cannot be used: .*/data {KINDS[kind]}: expected a"):
        run_with_artifact(outside, kind)
    assert local.runs(outside.parent / "root")[0].task("say").status is Status.SUCCEEDED


@pytest.mark.parametrize("kind", ["link outside", "link to a device", "link to a folder outside", "dangling link"])
def test_an_artifact_that_is_a_link_out_of_the_runs_is_not_read(
    outside: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    (artifact,) = run_with_artifact(outside, kind).task("leave-artifact").artifacts
    assert artifact.digest == ""
    if kind != "dangling link":
        assert "left links in its output artifact 'data': " in caplog.text
    assert run_with_artifact(outside, kind).task("leave-artifact").cached_from == "", "it cannot be checked"


def test_an_artifact_that_is_a_link_inside_of_the_runs_is_a_payload(outside: Path) -> None:
    (artifact,) = run_with_artifact(outside, "link to an input").task("leave-artifact").artifacts
    assert artifact.digest
    assert run_with_artifact(outside, "link to an input").task("leave-artifact").cached_from


# --- cancelled tasks --------------------------------------------------------------------------------------------------


@dsl.component
def swap_folder(where: str, outside: str, data: dsl.Output[dsl.Dataset], canary: dsl.Output[dsl.Dataset]) -> str:
    import os
    import time

    folder = os.path.dirname(data.path)
    for _ in range({"attempt": 0, "run": 1}[where]):
        folder = os.path.dirname(folder)
    os.rename(folder, folder + "-moved")
    os.symlink(outside, folder)
    print("swapped", flush=True)
    time.sleep(60)
    return "x"


@pytest.mark.parametrize("where", ["attempt", pytest.param("run", marks=pytest.mark.slow)])
def test_cleaning_up_after_a_cancelled_task_removes_nothing_outside(outside: Path, where: str) -> None:
    """The user's folder has files with the names of the outputs, which the clean-up would remove."""
    root = outside.parent / "root"
    (outside / "swap-folder").mkdir()
    for folder in (outside, outside / "swap-folder"):
        (folder / "data").mkdir()
        (folder / "data" / "file").write_text("of the user")
    before = set(outside.rglob("*"))

    @dsl.pipeline(pipeline_config=dsl.PipelineConfig(active_deadline_seconds=3))
    def swapping(where: str, outside: str) -> None:
        swap_folder(where=where, outside=outside)

    arguments = {"where": where, "outside": str(outside)}
    with pytest.raises((TaskFailed, StorageError)):
        local.run(swapping, arguments, runner=local.SubprocessRunner(use_venv=False), pipeline_root=root, quiet=True)
    assert [path for path in root.rglob("*-moved") if path.is_dir()], "the task has swapped the folder"
    assert set(outside.rglob("*")) >= before
    for folder in (outside, outside / "swap-folder"):
        shutil.rmtree(folder / "data")
        (folder / "error.json").unlink(missing_ok=True)  # of the task's own process, which was interrupted
    (outside / "swap-folder").rmdir()


@dsl.component
def nest(data: dsl.Output[dsl.Dataset]) -> str:
    """Nest folders, deeper than Python can recurse, in the output and in the working directory."""
    import os

    for folder in (data.path, "deep"):
        os.makedirs(folder)
        current = os.open(folder, os.O_RDONLY)
        for _ in range(1100):
            os.mkdir("d", dir_fd=current)
            inner = os.open("d", os.O_RDONLY, dir_fd=current)
            os.close(current)
            current = inner
        os.close(current)
    return os.getcwd()


def test_folders_may_be_deeper_than_python_can_recurse(tmp_path: Path) -> None:
    runner = local.SubprocessRunner(use_venv=False)
    run = local.run(nest, runner=runner, pipeline_root=tmp_path, quiet=True, enable_caching=True)
    assert not Path(run.outputs["Output"]).exists()
    remove_path(tmp_path / local.runs(tmp_path)[0].id, tmp_path)
