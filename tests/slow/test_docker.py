"""Tasks in real containers."""

from __future__ import annotations

import gc
import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from standpipe.errors import RunnerError
from standpipe.model.attempts import CommandLine, Mount, Outcome
from standpipe.model.cancellation import Cancellation
from standpipe.model.resources import Limits
from standpipe.runners.docker.engine import Owner

from .docker_engine import IMAGE, Bench, Log, MakeBench, containers_of, run_function, variant, wait_for

if TYPE_CHECKING:
    from docker import DockerClient

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("docker_client")]


# --- commands ---------------------------------------------------------------------------------------------------------


def test_a_command_replaces_the_entrypoint_and_args_follow_it(bench: Bench) -> None:
    log = Log()
    outcome = bench.run(bench.request(CommandLine(("echo", "-n", "a b"), ("$HOME", "ü {{$}}"))), log)
    assert outcome == Outcome(exit_code=0)
    assert log.text == "a b $HOME ü {{$}}"


def test_args_alone_go_to_the_image_s_own_entrypoint(bench: Bench, docker_client: DockerClient) -> None:
    with_args, with_nothing, with_command = Log(), Log(), Log()
    with variant(docker_client, Entrypoint=["echo", "from the entrypoint:"], Cmd=["default"]) as image:
        bench.run(bench.request(CommandLine((), ("x",)), "args", image=image), with_args)
        bench.run(bench.request(CommandLine((), ()), "nothing", image=image), with_nothing)
        bench.run(bench.request(CommandLine(("echo", "mine"), ()), "command", image=image), with_command)
    assert with_args.text == "from the entrypoint: x\n"
    assert with_nothing.text == "from the entrypoint: default\n"
    assert with_command.text == "mine\n"


def test_a_command_writes_outputs_where_the_host_reads_them(bench: Bench) -> None:
    assert bench.shell("echo 42 > $0/result").succeeded
    assert (bench.folder() / "result").read_text() == "42\n"


def test_the_workspace_is_writable_and_brought_artifacts_are_not(bench: Bench, tmp_path: Path) -> None:
    workspace, brought, missing = tmp_path / "workspace", tmp_path / "brought.txt", tmp_path / "missing"
    workspace.mkdir()
    brought.write_text("data")
    log = Log()
    script = f"cat {brought}; echo more > {brought}; echo shared > /kfp-workspace/file; test -e {missing} && echo there"
    mounts = tuple(Mount(path, str(path), read_only=True) for path in (brought, missing))
    bench.shell(script, log, workspace=workspace, input_mounts=mounts)
    assert "data" in log.text  # the two streams of a container have no common order
    assert "Read-only file system" in log.text
    assert "there" not in log.text
    assert (workspace / "file").read_text() == "shared\n"
    assert brought.read_text() == "data"
    assert not missing.exists()


def test_the_environment_is_that_of_the_component_and_then_that_of_the_runner(make_bench: MakeBench) -> None:
    bench = make_bench(environment={"BOTH": "runner", "RUNNER": "r"})
    log = Log()
    bench.shell("echo $BOTH $RUNNER $TASK $KFP_RETRY_INDEX", log, env={"BOTH": "task", "TASK": "t"}, retry_index=2)
    assert log.text == "runner r t 2\n"


def test_run_arguments_reach_the_engine(make_bench: MakeBench, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("of the user\n")
    bench = make_bench(
        working_dir="/tmp", hostname="here", network_mode="none", volumes=[f"{tmp_path / 'mine'}:/mine:ro"], tty=True
    )
    log = Log()
    assert bench.shell("pwd; hostname; cat /mine/file; ls /sys/class/net; test -t 1", log).succeeded
    assert log.text.splitlines() == ["/tmp", "here", "of the user", "lo"]


def test_an_invalid_run_argument_is_reported_by_the_engine(make_bench: MakeBench) -> None:
    bench = make_bench(mem_limit="a lot")
    with pytest.raises(RunnerError, match=r"(?s)did not create a container.*a lot.*arguments of the DockerRunner"):
        bench.shell("true")


# --- outcomes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [1, 3, 127, 255])
def test_an_exit_code_is_the_command_s_own(bench: Bench, code: int) -> None:
    assert bench.shell(f"exit {code}") == Outcome(exit_code=code)


def test_every_one_of_sixty_quick_failures_is_a_failure(make_bench: MakeBench) -> None:
    bench = make_bench(network_mode="none")
    requests = [bench.request(CommandLine(("sh", "-c", "exit 7"), ()), f"task-{n}") for n in range(60)]
    assert [bench.run(request) for request in requests] == [Outcome(exit_code=7)] * 60


def test_a_missing_program_is_reported_by_the_init_program(bench: Bench) -> None:
    outcome = bench.run(bench.request(CommandLine(("no-such-program",), ())))
    assert outcome.exit_code is None
    assert "could not be started: " in outcome.problem
    assert re.search("exec no-such-program( failed)?: No such file or directory", outcome.problem)


def test_a_signal_is_named(bench: Bench) -> None:
    # The signal comes back from the init program, perhaps just before a `signal.pause()`, which would not end then.
    killed = "import os, signal, time; signal.signal(15, lambda *_: os._exit(128 + 15)); os.kill(1, 15); time.sleep(2)"
    assert bench.run(bench.request(CommandLine(("python3", "-c", killed), ()))) == Outcome(signal=15)


@pytest.mark.parametrize(
    ("code", "number"),
    [
        ("os.kill(os.getpid(), signal.SIGTERM); time.sleep(9)", signal.SIGTERM),
        ("os.kill(os.getpid(), signal.SIGKILL); time.sleep(9)", signal.SIGKILL),
        ("signal.alarm(1); time.sleep(9)", signal.SIGALRM),
        ("os.abort()", signal.SIGABRT),
        ("os.kill(os.getppid(), signal.SIGTERM); time.sleep(9)", signal.SIGTERM),
    ],
)
def test_signals_have_the_effect_that_they_have_in_any_process(bench: Bench, code: str, number: int) -> None:
    command = CommandLine(("python3", "-c", f"import os, signal, time; {code}"), ())

    assert bench.run(bench.request(command)) == Outcome(signal=number)


def test_no_zombies_stay(bench: Bench) -> None:
    code = "(sleep 0.1 &); sleep 0.5; ! grep -l '^State:.Z' /proc/[0-9]*/status"

    assert bench.shell(code) == Outcome(exit_code=0)


def test_a_task_may_be_the_first_process_if_the_user_wants_it(make_bench: MakeBench) -> None:
    assert make_bench(init=False).shell("exit $(( $$ - 1 ))") == Outcome(exit_code=0)


def test_a_task_fails_if_a_child_was_killed_for_its_memory(bench: Bench) -> None:
    child = "python3 -c 'x = bytearray(300_000_000)'; exit 0"
    request = bench.request(CommandLine(("sh", "-c", child), ()), limits=Limits(memory=64 * 1024**2))

    assert bench.run(request) == Outcome(signal=9, out_of_memory=True)


def test_a_task_that_was_killed_for_its_memory_is_out_of_memory(make_bench: MakeBench) -> None:
    bench = make_bench(mem_limit="32m", memswap_limit="32m")
    hungry = "data = []\nwhile True: data.append(bytearray(b'x' * 1_000_000))"
    outcome = bench.run(bench.request(CommandLine(("python3", "-c", hungry), ())))
    assert outcome == Outcome(signal=9, out_of_memory=True)


def test_a_container_that_somebody_removed_has_failed(bench: Bench, docker_client: DockerClient) -> None:
    with ThreadPoolExecutor() as pool:
        running = pool.submit(bench.shell, "sleep 60")
        container = wait_for(lambda: containers_of(docker_client, bench.run_id, running=True))[0]
        docker_client.api.remove_container(container, force=True)
        outcome = running.result(timeout=20)
    assert not outcome.succeeded
    assert outcome.problem.startswith("how its container ended is unknown") or outcome.signal == signal.SIGKILL


# --- output ---------------------------------------------------------------------------------------------------------


def test_output_comes_live(bench: Bench) -> None:
    log = Log()
    assert bench.shell("echo first; sleep 1; echo second >&2", log).succeeded
    assert [data for _, data in log.pieces] == [b"first\n", b"second\n"]
    assert log.pieces[1][0] - log.pieces[0][0] > 0.8


def test_no_line_is_lost(bench: Bench) -> None:
    log = Log()
    assert bench.shell("seq 1 100000", log).succeeded
    assert log.text.splitlines() == [str(number) for number in range(1, 100_001)]


def test_output_is_bytes_with_or_without_a_last_newline(bench: Bench) -> None:
    log = Log()
    assert bench.shell(r"printf 'caf\303\251 \377\000 end'", log).succeeded
    assert b"".join(data for _, data in log.pieces) == b"caf\xc3\xa9 \xff\x00 end"


# --- parallel tasks, cancelling ---------------------------------------------------------------------------------------


def test_sixteen_tasks_run_at_once(make_bench: MakeBench, tmp_path: Path) -> None:
    bench = make_bench(network_mode="none")
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    # Each waits for all the others, so they only end if they run at the same time.
    script = "touch /kfp-workspace/$0; until [ $(ls /kfp-workspace | wc -l) = 16 ]; do sleep 0.1; done; echo $0"
    logs = [Log() for _ in range(16)]
    requests = [
        bench.request(CommandLine(("sh", "-c", script), (str(n),)), f"task-{n}", workspace=workspace) for n in range(16)
    ]
    with ThreadPoolExecutor(16) as pool:
        outcomes = list(pool.map(bench.run, requests, logs))
    assert outcomes == [Outcome(exit_code=0)] * 16
    assert [log.text for log in logs] == [f"{n}\n" for n in range(16)]


def start_and_cancel(bench: Bench, script: str) -> tuple[Outcome, str, float]:
    """Cancel a task once it has printed something; return its outcome, its log, and the seconds that it took to end."""
    log, cancel = Log(), Cancellation()
    request = bench.request(CommandLine(("python3", "-uc", script), ()))
    with ThreadPoolExecutor() as pool:
        running = pool.submit(bench.run, request, log, cancel)
        wait_for(lambda: log.pieces)
        start = time.monotonic()
        cancel.set()
        outcome = running.result(timeout=30)
    return outcome, log.text, time.monotonic() - start


def test_cancelling_interrupts_a_task_which_may_clean_up(bench: Bench, docker_client: DockerClient) -> None:
    script = "import time\ntry: print('started'); time.sleep(60)\nfinally: print('cleaned up')"
    outcome, text, seconds = start_and_cancel(bench, script)
    assert not outcome.succeeded
    assert "cleaned up" in text
    assert seconds < 10
    assert containers_of(docker_client, bench.run_id) == []


def test_a_task_that_ignores_the_interrupt_is_terminated(bench: Bench) -> None:
    script = "import signal, time\nsignal.signal(2, signal.SIG_IGN)\nprint('started')\ntime.sleep(60)"
    outcome, _, seconds = start_and_cancel(bench, script)
    assert outcome == Outcome(signal=15)
    assert 1.5 < seconds < 8


def test_a_task_that_ignores_both_signals_is_killed(bench: Bench, docker_client: DockerClient) -> None:
    ignore = "signal.signal(2, signal.SIG_IGN); signal.signal(15, signal.SIG_IGN)"
    script = f"import signal, time\n{ignore}\nprint('started')\ntime.sleep(60)"
    outcome, _, seconds = start_and_cancel(bench, script)
    assert outcome == Outcome(signal=9)
    assert 3.5 < seconds < 10
    assert containers_of(docker_client, bench.run_id) == []


def test_a_task_that_was_cancelled_before_it_started_ends_at_once(bench: Bench) -> None:
    cancel = Cancellation()
    cancel.set()
    start = time.monotonic()
    request = bench.request(CommandLine(("python3", "-c", "import time; time.sleep(60)"), ()))
    assert not bench.run(request, cancel=cancel).succeeded
    assert time.monotonic() - start < 10


def test_the_container_of_a_process_that_was_killed_is_swept_at_the_next_start(
    bench: Bench, docker_client: DockerClient
) -> None:
    killed = replace(Owner.current(), pid=2**22 + 1)  # and so was its reaper
    labels = {"standpipe.run": bench.run_id, **killed.labels}
    container = docker_client.containers.create(IMAGE, ["sleep", "60"], labels=labels)
    container.start()
    assert containers_of(docker_client, bench.run_id) == [container.id]
    assert bench.shell("true", name="next").succeeded
    assert containers_of(docker_client, bench.run_id) == []


def test_the_containers_of_others_are_not_swept(bench: Bench, docker_client: DockerClient) -> None:
    owner = Owner.current()
    elsewhere = replace(owner, namespace="pid:[1]", pid=2**22 + 1)
    labels = [{"standpipe.run": bench.run_id, **who.labels} for who in (owner, elsewhere)]
    made = [docker_client.containers.create(IMAGE, labels=label) for label in labels]
    assert bench.shell("true").succeeded
    left = containers_of(docker_client, bench.run_id)
    for container in made:
        container.remove()
    assert sorted(left) == sorted(str(container.id) for container in made)


# --- images and engines -----------------------------------------------------------------------------------------------


def test_an_image_that_does_not_exist_is_explained(bench: Bench) -> None:
    with pytest.raises(RunnerError) as caught:
        bench.shell("true", image="localhost:1/no-such/image:1.0")
    message = str(caught.value)
    assert message.startswith("The image localhost:1/no-such/image:1.0 is not on this machine, and could not be pulled")
    assert "connection refused" in message
    assert "docker load" in message
    assert bench.notices == ["Pulling the image localhost:1/no-such/image:1.0, which is not on this machine."]


def complaint(bench: Bench) -> str:
    with pytest.raises(RunnerError) as caught:
        bench.shell("true")
    return str(caught.value)


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # the SDK does not close a socket that nobody answers at
def test_without_an_engine_the_error_says_how_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    message = complaint(Bench(tmp_path))
    gc.collect()
    assert f"No container engine answers at unix://{tmp_path}/no.sock" in message
    assert "No such file or directory" in message
    assert "SubprocessRunner()" in message


# --- Python functions -------------------------------------------------------------------------------------------------


def test_a_python_function_runs_on_the_image_s_python(bench: Bench) -> None:
    log = Log()
    source = (
        "def work(a: int, b: str) -> str:\n    import sys\n    print('adding', a)\n    return sys.executable + b * a\n"
    )
    outcome, value = run_function(bench, source, log, a=2, b="é🚀")
    assert outcome == Outcome(exit_code=0)
    assert value in ("/usr/bin/python3é🚀é🚀", "/usr/local/bin/python3é🚀é🚀")
    assert log.text == "adding 2\n"


def test_a_value_of_ten_megabytes_goes_in_and_out(bench: Bench) -> None:
    value = "ü" * 5_000_000
    assert run_function(bench, "def work(a: str) -> str:\n    return a[::-1]\n", a=value) == (
        Outcome(exit_code=0),
        value,
    )


def test_a_python_function_prints_live(bench: Bench) -> None:
    log = Log()
    source = "def work():\n    import time\n    print('first')\n    time.sleep(1)\n    print('second')\n"
    outcome, _ = run_function(bench, source, log)
    assert outcome.succeeded
    assert log.pieces[-1][0] - log.pieces[0][0] > 0.8


def test_a_failure_has_the_user_s_traceback(bench: Bench) -> None:
    outcome, _ = run_function(bench, "def work():\n    raise ValueError('no such thing')\n")
    assert outcome.exit_code == 1
    assert "raise ValueError('no such thing')" in outcome.detail
    assert outcome.detail.rstrip().endswith("ValueError: no such thing")


def test_sys_exit_keeps_its_code(bench: Bench) -> None:
    outcome, _ = run_function(bench, "def work():\n    import sys\n    sys.exit(5)\n")
    assert outcome.exit_code == 5
