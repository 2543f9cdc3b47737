"""Components in the process of their caller: what they see, what is restored after them, and debuggers."""

from __future__ import annotations

import gc
import json
import linecache
import logging
import os
import pstats
import re
import signal
import subprocess
import sys
import threading
import time
import weakref
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from standpipe import dsl, local
from standpipe.errors import TaskFailed
from standpipe.history import Status
from standpipe.model.attempts import DebugPause
from standpipe.model.cancellation import Cancellation
from standpipe.model.layout import PAUSE_FILE
from standpipe.runners.in_process.runner import InProcessTaskRunner
from tests.processes import wait_until
from tests.runners.bench import Bench, Fixed, Kept
from tests.terminals import type_on_terminal


@pytest.fixture(autouse=True)
def _runner(tmp_path: Path) -> None:
    local.init(runner=local.InProcessRunner(), pipeline_root=tmp_path / "root", quiet=True)


# --- components ---


@dsl.component
def in_process_shout(text: str, shouted: dsl.Output[dsl.Dataset]) -> int:
    shouted.metadata["loud"] = True
    with open(shouted.path, "w") as file:
        file.write(text.upper())
    return len(text)


@dsl.component
def in_process_read(data: dsl.Input[dsl.Dataset], size: int) -> str:
    with open(data.path) as file:
        return f"{file.read()} {size} {data.metadata['loud']}"


@dsl.pipeline
def in_process_shouting(text: str) -> str:
    shouted = in_process_shout(text=text)
    return in_process_read(data=shouted.outputs["shouted"], size=shouted.outputs["Output"]).output


@dsl.component
def in_process_thread() -> str:
    import os
    import threading

    return f"{threading.get_ident()} {os.getpid()}"


@dsl.component
def in_process_change_all() -> str:
    import logging
    import os
    import sys
    import types

    os.environ["STANDPIPE_TEST_CHANGED"] = "1"
    os.environ.pop("STANDPIPE_TEST_KEPT", None)
    os.makedirs("modules")
    with open("modules/in_process_module.py", "w") as file:
        file.write("NAME = __name__")
    sys.path.insert(0, os.path.abspath("modules"))
    import in_process_module  # type: ignore[import-not-found]

    sys.modules["wave"] = types.ModuleType("not the module of the standard library")
    sys.argv.append("--changed")
    logging.basicConfig(level=10)
    os.chdir("/")
    return str(in_process_module.NAME)


@dsl.component
def in_process_print() -> None:
    import os
    import sys
    import threading

    print("out")
    print("error", file=sys.stderr)
    sys.stdout.buffer.write(b"\xff bytes\n")
    thread = threading.Thread(target=print, args=("thread",))
    thread.start()
    thread.join()
    assert os.getcwd() != "/"


@dsl.component
def in_process_exit(code: int) -> None:
    import sys

    sys.exit(code)


@dsl.component
def in_process_wrong_type() -> int:
    return "text"  # type: ignore[return-value]


@dsl.component(packages_to_install=["standpipe-test-missing==1.0", "pytest==0.1", "pip>=1; python_version>'2'"])
def in_process_with_packages() -> str:
    print("not the first statement")
    import standpipe_test_missing  # type: ignore[import-not-found]

    return str(standpipe_test_missing)


@dsl.container_component
def in_process_container() -> dsl.ContainerSpec:
    return dsl.ContainerSpec(image="alpine", command=["true"])


@dsl.pipeline
def in_process_two_tasks() -> None:
    in_process_thread()
    in_process_container()


@dsl.component
def in_process_outer(root: str) -> str:
    from standpipe import dsl, local

    @dsl.component
    def in_process_inner() -> str:
        print("from the inner task")
        return "inner"

    return str(local.run(in_process_inner, {}, runner=local.InProcessRunner(), pipeline_root=root, quiet=False).output)


@dsl.component
def in_process_wait(ready: str) -> None:
    import time

    try:
        open(ready, "w").close()
        time.sleep(60)
    except KeyboardInterrupt:
        print("cleaned up")
        raise


# --- tests ---


def test_inputs_outputs_and_artifacts_are_those_of_a_process_of_its_own() -> None:
    assert in_process_shouting(text="hello").output == "HELLO 5 True"


def test_a_task_runs_in_the_thread_that_calls_the_run() -> None:
    assert in_process_thread().output == f"{threading.get_ident()} {os.getpid()}"

    other: list[str] = []
    thread = threading.Thread(target=lambda: other.append(f"{in_process_thread().output} {threading.get_ident()}"))
    thread.start()
    thread.join()
    ran, _, called = other[0].split()
    assert ran == called


def test_what_a_task_changes_is_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    import wave

    monkeypatch.setenv("STANDPIPE_TEST_KEPT", "kept")
    before = (os.getcwd(), dict(os.environ), list(sys.path), list(sys.argv), sys.stdout, sys.stderr, os.umask(0o22))
    kfp = _kfp_modules()
    linecache.getlines(__file__)
    shown = linecache.cache[__file__]
    handlers, level = list(logging.getLogger().handlers), logging.getLogger().level

    assert in_process_change_all().output == "in_process_module"

    after = (os.getcwd(), dict(os.environ), list(sys.path), list(sys.argv), sys.stdout, sys.stderr, os.umask(0o22))
    assert after == before
    assert sys.modules["wave"] is wave
    assert "in_process_module" not in sys.modules
    assert "ephemeral_component" not in sys.modules
    assert _kfp_modules() == kfp
    assert (logging.getLogger().handlers, logging.getLogger().level) == (handlers, level)
    assert linecache.cache.get(__file__) is shown


def _kfp_modules() -> dict[str, ModuleType]:
    return {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "kfp"}


def test_what_a_task_prints_is_in_its_log_and_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    local.run(in_process_print, {}, quiet=False)

    (path,) = tmp_path.glob("root/*/in-process-print/log.txt")
    assert path.read_bytes() == b"out\nerror\n\xff bytes\nthread\n"
    shown = capsys.readouterr().out
    assert "[in-process-print] out\n[in-process-print] error\n" in shown


def test_the_exit_code_of_a_task_is_its_own() -> None:
    assert in_process_exit(code=0).error is None
    with pytest.raises(TaskFailed, match="code 3"):
        in_process_exit(code=3)


def test_a_wrong_type_is_an_error_at_the_users_line() -> None:
    with pytest.raises(TaskFailed, match="returned a value of type str for its output 'Output': expected int"):
        in_process_wrong_type()


def test_missing_packages_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(TaskFailed, match=r"The InProcessRunner uses what is installed for .*SubprocessRunner\(\)"):
        in_process_with_packages()

    notice = capsys.readouterr().err
    assert "standpipe-test-missing is missing, pytest is " in notice
    assert "not 0.1" in notice


def test_a_module_that_is_missing_here_is_found_before_anything_runs() -> None:
    @dsl.component
    def imports_at_once() -> None:
        import standpipe_test_missing  # noqa: F401

    with pytest.raises(TaskFailed, match=r"(?s)nothing was started.*The InProcessRunner uses what is installed for"):
        imports_at_once()
    assert local.runs() == []


def test_a_container_is_refused_before_anything_runs() -> None:
    with pytest.raises(TaskFailed, match=r"(?s)nothing was started.*InProcessRunner only runs lightweight") as raised:
        in_process_two_tasks()
    assert "local.DockerRunner()" in str(raised.value)
    assert local.runs() == []


def test_a_task_can_run_a_pipeline(tmp_path: Path) -> None:
    assert in_process_outer(root=str(tmp_path / "inner")).output == "inner"

    log = local.get_run("latest").log("in-process-outer")
    assert "from the inner task" in log


def test_what_was_there_before_a_task_is_not_collected_with_what_it_leaves() -> None:
    old: list[object] = [threading.Event()]
    old.append(old)
    dropped = weakref.ref(old[0])
    gc.collect()
    gc.disable()
    try:
        del old
        in_process_thread()
        assert dropped() is not None
        assert gc.get_freeze_count() == 0
        gc.collect()
        assert dropped() is None
    finally:
        gc.enable()


def test_what_the_users_code_has_frozen_stays_frozen() -> None:
    gc.freeze()
    try:
        frozen = gc.get_freeze_count()
        in_process_thread()
        assert 0 < gc.get_freeze_count() <= frozen  # some of it is dropped
    finally:
        gc.unfreeze()


def test_nothing_is_cached() -> None:
    for _ in range(2):
        local.run(in_process_print, {}, enable_caching=True)
        assert not local.get_run("latest").task("in-process-print").cached_from


def test_a_pipeline_runs_one_task_at_a_time(tmp_path: Path) -> None:
    runs = [threading.Thread(target=in_process_thread) for _ in range(4)]
    for thread in runs:
        thread.start()
    for thread in runs:
        thread.join()
    assert [run.status for run in local.runs()] == [Status.SUCCEEDED] * 4


def test_another_thread_can_cancel_a_task_that_sleeps(tmp_path: Path) -> None:
    ready = tmp_path / "ready"

    def cancel() -> None:
        assert wait_until(ready.exists)
        (run,) = local.runs(tmp_path / "root")
        run.cancel()

    threading.Thread(target=cancel).start()
    start = time.monotonic()
    with pytest.raises(TaskFailed, match="cancelled"):
        in_process_wait(ready=str(ready))
    assert time.monotonic() - start < 30
    assert "cleaned up" in local.get_run("latest").log("in-process-wait")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


# --- programs ---

_SCRIPT = """
import sys
from standpipe import dsl, local

def busy(n: int) -> int:
    return sum(range(n))

@dsl.component(additional_funcs=[busy])
def train(n: int) -> int:
    total = 0
    for number in range(n):
        total += busy(number)
    BODY
    return total

if __name__ == "__main__":
    local.init(runner=local.InProcessRunner(), pipeline_root=sys.argv[1])
    try:
        print("result:", train(n=20).output)
    except KeyboardInterrupt:
        print("interrupted")
"""


def _script(folder: Path, body: str = "pass") -> str:
    script = folder / "script.py"
    script.write_text(_SCRIPT.replace("BODY", body))
    return str(script)


def test_ctrl_c_is_a_keyboard_interrupt_in_the_component(tmp_path: Path) -> None:
    body = "import time; print('started', flush=True); time.sleep(60)"
    command = [sys.executable, _script(tmp_path, body), str(tmp_path / "root")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert any("[train] started" in line for line in process.stdout)
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
    assert rest.endswith("interrupted\n")
    assert "KeyboardInterrupt" in rest
    assert local.get_run("latest", tmp_path / "root").status is Status.CANCELLED


def test_a_profiler_measures_the_functions_of_components(tmp_path: Path) -> None:
    profile = tmp_path / "profile"
    command = [sys.executable, "-m", "cProfile", "-o", str(profile), _script(tmp_path), str(tmp_path / "root")]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    calls = {name: counts[0] for (_, _, name), counts in pstats.Stats(str(profile)).stats.items()}  # type: ignore[attr-defined]
    assert (calls["train"], calls["busy"]) == (1, 20)


def test_coverage_sees_the_lines_of_components(tmp_path: Path) -> None:
    script, data = _script(tmp_path), tmp_path / "coverage.json"
    environment = {**os.environ, "COVERAGE_FILE": str(tmp_path / ".coverage")}
    for arguments in (["run", f"--include={script}", script, str(tmp_path / "root")], ["json", "-o", str(data)]):
        subprocess.run(
            [sys.executable, "-m", "coverage", *arguments],
            check=True,
            cwd=tmp_path,  # without the settings of Standpipe itself
            env=environment,
            stdout=subprocess.DEVNULL,
        )
    (measured,) = json.loads(data.read_text())["files"].values()
    assert {6, 10, 12, 14} <= set(measured["executed_lines"])


@pytest.mark.slow
def test_breakpoint_opens_the_debugger_on_the_terminal(tmp_path: Path) -> None:
    command = [sys.executable, _script(tmp_path, "breakpoint()"), str(tmp_path / "root")]
    dialog = [("(Pdb) ", "p total + 1\n"), ("1141\r\n(Pdb) ", "!total = 7\n"), ("(Pdb) ", "c\n")]
    shown = type_on_terminal(command, dialog)

    assert "script.py(14)train()" in shown
    assert shown.endswith("result: 7\r\n")


@pytest.mark.slow
def test_breakpoints_of_pdb_in_the_users_file_hold(tmp_path: Path) -> None:
    script = _script(tmp_path)
    command = [sys.executable, "-m", "pdb", script, str(tmp_path / "root")]
    dialog = [("(Pdb) ", f"b {script}:12\n"), ("(Pdb) ", "c\n"), ("(Pdb) ", "p number\n"), ("0\r\n(Pdb) ", "cl 1\n")]
    shown = type_on_terminal(command, [*dialog, ("(Pdb) ", "c\n"), ("result: 1140", ""), ("(Pdb) ", "q\n")])

    assert "script.py(12)train()" in shown


def test_a_task_pauses_as_it_asks(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Fixed(Path(sys.executable)))
    request = replace(bench.request("def f() -> int:\n    return 1"), pause=DebugPause(before=True, after_success=True))
    paused, notices = request.folder / PAUSE_FILE, list[str]()

    def let_it_continue() -> None:
        for _ in range(2):
            assert wait_until(paused.exists)
            time.sleep(0.5)  # the notice is written by a thread that looks now and then
            paused.unlink()
            assert wait_until(lambda: not paused.exists())

    thread = threading.Thread(target=let_it_continue)
    thread.start()
    log = Kept()
    outcome = InProcessTaskRunner(warn=notices.append).run(request, log=log, cancel=Cancellation())
    thread.join()

    assert outcome.succeeded
    assert re.findall(r"paused (.*?) \(", " ".join(notices)) == ["before it runs", "after it has succeeded"]
    assert log.data.count(b"[paused ") == 2


@pytest.mark.slow
def test_rerun_debugs_a_task_in_this_process(tmp_path: Path) -> None:
    root = str(tmp_path / "root")
    subprocess.run([sys.executable, _script(tmp_path), root], check=True, stdout=subprocess.DEVNULL)
    command = [sys.executable, "-m", "standpipe", "rerun", "latest", "train", "--debug", "--runner", "in-process"]
    dialog = [("(Pdb) ", "!n = 3\n"), ("(Pdb) ", "c\n")]
    shown = type_on_terminal([*command, "--root", root], dialog)

    assert "script.py(10)train()" in shown
    assert '"Output": 1' in shown


@pytest.mark.slow
def test_ctrl_c_at_the_prompt_of_the_debugger_cancels_the_run(tmp_path: Path) -> None:
    command = [sys.executable, _script(tmp_path, "breakpoint()"), str(tmp_path / "root")]
    shown = type_on_terminal(command, [("(Pdb) ", "\x03"), ("(Pdb) ", "q\n"), ("interrupted", "")])

    assert local.get_run("latest", tmp_path / "root").status is Status.CANCELLED, shown


@pytest.mark.slow
def test_ctrl_c_after_the_debugger_has_continued_returns_to_it(tmp_path: Path) -> None:
    body = "breakpoint(); import time; print('asleep', flush=True); time.sleep(3)"
    command = [sys.executable, _script(tmp_path, body), str(tmp_path / "root")]
    shown = type_on_terminal(command, [("(Pdb) ", "c\n"), ("asleep", "\x03"), ("(Pdb) ", "q\n")])

    assert "The user quit the debugger." in shown
    assert "BdbQuit" not in shown
    assert local.get_run("latest", tmp_path / "root").status is Status.FAILED


def test_a_uri_needs_a_task_again_afterwards(tmp_path: Path) -> None:
    @dsl.component
    def where() -> str:
        return dsl.get_uri("model")

    task = local.run(where, runner=local.InProcessRunner(), pipeline_root=tmp_path, quiet=True)
    assert task.output.endswith("/where/model")
    with pytest.raises(RuntimeError, match="only be called at task runtime"):
        dsl.get_uri()
