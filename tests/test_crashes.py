"""Tasks that die by a signal of C code: where Python was, in the log and in the failure."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from standpipe import dsl, local
from standpipe.errors import TaskFailed

PROCESSES = local.SubprocessRunner(use_venv=False)


@dsl.component
def crash(signal: str, before: str = "") -> None:
    import faulthandler
    import os
    import signal as signals
    import sys

    def in_c_code() -> None:
        os.kill(os.getpid(), getattr(signals, signal))

    print("printed before")
    if before == "redirect":
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115  the process ends with it
    elif before == "close":
        os.close(2)
    elif before == "enable":
        faulthandler.enable(all_threads=False)
    elif before == "disable":
        faulthandler.disable()
    in_c_code()


def run(root: Path, **arguments: str) -> tuple[str, str]:
    """Run the task, and return the error and the log."""
    with pytest.raises(TaskFailed) as failed:
        local.run(crash, arguments, runner=PROCESSES, pipeline_root=root)
    return str(failed.value), local.get_run("latest", root).log("crash")


@pytest.mark.parametrize("signal", ["SIGSEGV", "SIGFPE", "SIGABRT", "SIGBUS", "SIGILL"])
def test_a_crash_shows_where_python_was(tmp_path: Path, signal: str) -> None:
    error, log = run(tmp_path, signal=signal)
    assert re.match(rf"Task 'crash' failed: it was killed by signal \d+ \({signal}\)\n\nFatal Python error: ", error)
    frames = re.findall(r'^  File "(.*)", line \d+ in (\w+)$', error, re.MULTILINE)
    assert frames == [(__file__, "in_c_code"), (__file__, "crash")]
    assert error.count("Fatal Python error: ") == 1
    assert "The end of its log:\nprinted before\n\n" in error
    assert "worker/executor.py" in log


@pytest.mark.parametrize("before", ["redirect", "enable"])
def test_a_crash_is_in_the_log_whatever_the_task_did_to_its_streams(tmp_path: Path, before: str) -> None:
    error, log = run(tmp_path, signal="SIGSEGV", before=before)
    assert "in in_c_code" in error
    assert "in in_c_code" in log


@pytest.mark.parametrize("before", ["close", "disable"])
def test_a_crash_without_a_report_is_a_crash(tmp_path: Path, before: str) -> None:
    error, log = run(tmp_path, signal="SIGSEGV", before=before)
    assert error.startswith("Task 'crash' failed: it was killed by signal 11 (SIGSEGV)\n\nThe end of its log:\n")
    assert log == "printed before\n"


def test_other_signals_have_no_report(tmp_path: Path) -> None:
    assert "Fatal Python error" not in run(tmp_path, signal="SIGTERM")[0]
