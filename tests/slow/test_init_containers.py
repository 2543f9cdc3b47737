"""Init containers and sidecars of tasks in real containers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from standpipe import dsl, local
from standpipe.errors import TaskFailed
from standpipe.kubernetes import add_init_container
from standpipe.model.attempts import CommandLine, InitContainer, Mount, Outcome, PodSettings
from standpipe.model.cancellation import Cancellation
from standpipe.model.resources import Limits

from .docker_engine import IMAGE, Bench, Log, MakeBench, command_of, containers_of, variant, wait_for

if TYPE_CHECKING:
    from docker import DockerClient

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("docker_client")]

#: A server that answers at a port with its own process id.
SERVER = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/exit":
            os._exit(3)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"hello")
http.server.HTTPServer(("localhost", 8123), Handler).serve_forever()
"""

#: A command that asks the server, as often as needed.
ASK = """
import sys, time, urllib.request
for _ in range(100):
    try:
        print(urllib.request.urlopen("http://localhost:8123").read().decode())
        break
    except OSError:
        time.sleep(0.1)
else:
    sys.exit("no answer")
"""


def init(name: str, script: str, **more: Any) -> InitContainer:
    return InitContainer(name, IMAGE, ("sh", "-c"), (script,), **more)


def server(**more: Any) -> InitContainer:
    return InitContainer("web", IMAGE, ("python3", "-c"), (SERVER,), is_sidecar=True, **more)


def run_pod(bench: Bench, script: str, *containers: InitContainer, **more: Any) -> tuple[Outcome, str]:
    """Run a shell script as a task with these containers, and return its outcome and its log."""
    log = Log()
    pod = PodSettings(init_containers=containers, **more.pop("pod", {}))
    request = bench.request(CommandLine(("sh", "-c", script), ()), pod=pod, **more)
    return bench.run(request, log), log.text


def test_init_containers_run_one_after_the_other_before_the_task(bench: Bench, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    mounts = (Mount(shared, "/in"),)
    outcome, log = run_pod(
        bench,
        "echo task >> /data/order; cat /data/order",
        init("first", "sleep 1; echo first >> /in/order; echo one; printf two", mounts=mounts),
        init("second", 'echo "second $WHO" >> /in/order', mounts=mounts, env={"WHO": "me"}),
        pod={"mounts": (Mount(shared, "/data"),)},
    )
    assert outcome.succeeded, log
    assert log == "[first] one\n[first] two\nfirst\nsecond me\ntask\n"
    assert (shared / "order").stat().st_uid == os.geteuid()


def test_an_init_container_has_neither_the_variables_nor_the_files_of_the_task(bench: Bench) -> None:
    script = f"echo [$TASK]; ls -d {bench.root} 2>/dev/null || echo none"
    outcome, log = run_pod(bench, "echo $TASK", init("look", script), env={"TASK": "t"})
    assert outcome.succeeded
    assert log == "[look] []\n[look] none\nt\n"


@pytest.mark.parametrize(
    ("script", "limits", "problem"),
    [
        ("echo about to fail; exit 3", Limits(), "its init container 'bad' exited with code 3"),
        ("kill -TERM 1; kill -TERM $$; sleep 9", Limits(), "its init container 'bad' was killed by signal 15"),
        ("tail /dev/zero", Limits(memory=32 * 2**20), "its init container 'bad' ran out of memory"),
    ],
)
def test_an_init_container_that_fails_fails_the_task(bench: Bench, script: str, limits: Limits, problem: str) -> None:
    outcome, log = run_pod(bench, "echo never", server(), init("bad", script, limits=limits), init("next", "echo next"))
    assert outcome.problem == problem
    assert "never" not in log
    assert "next" not in log


def test_a_program_that_is_missing_is_named(bench: Bench) -> None:
    bad = InitContainer("bad", IMAGE, ("no-such-program",))
    outcome, _ = run_pod(bench, "echo never", bad)
    assert outcome.problem.startswith("its init container 'bad' did not run: its container could not be started")
    assert "no-such-program" in outcome.problem
    outcome, log = run_pod(bench, "sleep 1", replace(bad, is_sidecar=True), name="other")
    assert outcome.succeeded  # as long as it does not need the sidecar
    assert "[bad] The sidecar did not run: its container could not be started" in log


def test_localhost_is_the_same_for_the_task_and_its_sidecars(bench: Bench) -> None:
    outcome, log = run_pod(bench, f"python3 -c '{ASK}'", server(), init("ask", f"python3 -c '{ASK}'"))
    assert outcome.succeeded, log
    assert "[ask] hello\n" in log
    assert "\nhello\n" in log


@pytest.mark.parametrize("run_args", [{"network_mode": "host"}, {"network_mode": "none"}, {"hostname": "pod-1"}])
def test_run_arguments_about_the_network_are_those_of_the_pod(make_bench: MakeBench, run_args: dict[str, str]) -> None:
    bench = make_bench(**run_args)
    outcome, log = run_pod(bench, f"python3 -c '{ASK}'; hostname", server())
    assert outcome.succeeded, log
    assert "hello" in log
    if "hostname" in run_args:
        assert "pod-1\n" in log


def test_a_sidecar_that_exits_starts_again_in_the_same_network(bench: Bench) -> None:
    crash = "import urllib.request; urllib.request.urlopen('http://localhost:8123/exit')"
    outcome, log = run_pod(
        bench, f"python3 -c '{ASK}' && (python3 -c \"{crash}\" 2>/dev/null; python3 -c '{ASK}')", server()
    )
    assert outcome.succeeded, log
    assert log.count("hello") == 2
    assert "[web] The sidecar exited with code 3. It starts again.\n" in log


def test_a_sidecar_ends_after_the_task_with_its_stop_signal(bench: Bench) -> None:
    script = "trap 'echo flushed; exit 0' TERM; echo ready; while :; do sleep 0.1; done"
    started = time.monotonic()
    outcome, log = run_pod(
        bench, "sleep 1; echo done", init("a", script, is_sidecar=True), init("b", script, is_sidecar=True)
    )
    assert outcome.succeeded
    assert log.endswith("done\n[b] flushed\n[a] flushed\n")  # in the reverse order
    assert time.monotonic() - started < 20


def test_a_sidecar_does_not_hide_that_the_task_failed(bench: Bench) -> None:
    outcome, _ = run_pod(bench, "exit 4", init("a", "sleep 1000", is_sidecar=True))
    assert outcome == Outcome(exit_code=4)


def test_capabilities_are_dropped_as_on_a_cluster(bench: Bench, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    os.chown(folder, 1000, 1000)  # as the folder of a PVC that belongs to the caller
    outcome, log = run_pod(
        bench,
        "true",
        init("own", "echo x > /data/x; chown 5 /data/x 2>/dev/null || echo refused", mounts=(Mount(folder, "/data"),)),
    )
    assert outcome.succeeded, log
    assert log == "[own] refused\n"
    assert (folder / "x").read_text() == "x\n"


@pytest.mark.parametrize(
    "containers",
    [(init("slow", "sleep 1000"),), (server(), init("slow", "sleep 1000")), (server(),)],
    ids=["init", "both", "sidecar"],
)
def test_a_cancel_ends_all_containers(
    bench: Bench, docker_client: DockerClient, containers: tuple[InitContainer, ...]
) -> None:
    cancel = Cancellation()
    request = bench.request(CommandLine(("sleep", "1000"), ()), pod=PodSettings(init_containers=containers))

    def is_waiting() -> bool:
        found = docker_client.api.containers(filters={"label": f"standpipe.run={bench.run_id}"})
        return any("sleep 1000" in " ".join(command_of(docker_client, container["Id"])) for container in found)

    with ThreadPoolExecutor() as pool:
        running = pool.submit(bench.run, request, None, cancel)
        try:
            wait_for(is_waiting, 60)
        finally:
            started = time.monotonic()
            cancel.set()
        outcome = running.result(timeout=60)
    assert not outcome.succeeded
    assert time.monotonic() - started < 20
    assert containers_of(docker_client, bench.run_id) == []


KILLED = """
import sys
from standpipe import dsl, local
from standpipe.kubernetes import add_init_container

@dsl.container_component
def wait():
    return dsl.ContainerSpec(image="python:3.11", command=["sleep", "1000"])

@dsl.pipeline
def killed():
    command, args = ["sh", "-c"], ["while :; do sleep 1; done"]
    add_init_container(wait(), "beside", "python:3.11", command, args, restart_policy="Always")

local.run(killed, runner=local.DockerRunner(), pipeline_root=sys.argv[1])
"""


def test_nothing_is_left_of_a_process_that_was_killed(docker_client: DockerClient, tmp_path: Path) -> None:
    program = tmp_path / "killed.py"
    program.write_text(KILLED)
    process = subprocess.Popen([sys.executable, program, tmp_path / "root"])
    filters = {"label": f"standpipe.pid={process.pid}"}
    wait_for(lambda: len(docker_client.api.containers(filters=filters)) == 3, 60)  # the task, its sidecar, the network
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_for(lambda: docker_client.api.containers(all=True, filters=filters) == [])


@dsl.component(base_image="python:3.11")
def read(attempts: str) -> str:
    with open("/shared/file") as file:
        return file.read()


@dsl.pipeline
def retried() -> str:
    task = read(attempts="")
    task.set_retry(2)
    task.platform_config["kubernetes"] = {"emptyDirMounts": [{"volumeName": "shared", "mountPath": "/shared"}]}
    script = "echo preparing; test -e /count/1 || { touch /count/1; exit 5; }; printf ready > /x/file"
    task.platform_config["kubernetes"]["pvcMount"] = [{"constant": "count", "mountPath": "/count"}]
    mounts = {"shared": "/x", "count": "/count"}
    add_init_container(task, "prepare", "python:3.11", ["sh", "-c"], [script], volume_mounts=mounts)
    return task.output


def test_init_containers_run_again_with_each_attempt(docker_client: DockerClient, tmp_path: Path) -> None:
    result = local.run(retried, runner=local.DockerRunner(), pipeline_root=tmp_path, quiet=True)
    assert result.output == "ready"


@dsl.pipeline
def failing() -> None:
    add_init_container(read(attempts=""), "prepare", "python:3.11", ["sh", "-c"], ["echo no disk; exit 7"])


def test_the_failure_report_names_the_init_container_and_shows_its_output(tmp_path: Path) -> None:
    with pytest.raises(TaskFailed) as caught:
        local.run(failing, runner=local.DockerRunner(), pipeline_root=tmp_path, quiet=True)
    assert "Task 'read' failed: its init container 'prepare' exited with code 7" in str(caught.value)
    assert "[prepare] no disk" in str(caught.value)


def test_a_timeout_includes_init_containers_and_ends_sidecars(docker_client: DockerClient, tmp_path: Path) -> None:
    @dsl.pipeline
    def slow() -> None:
        task = read(attempts="")
        task.platform_config["kubernetes"] = {"activeDeadlineSeconds": "3"}
        add_init_container(task, "beside", "python:3.11", ["sleep", "1000"], restart_policy="Always")
        add_init_container(task, "slow", "python:3.11", ["sleep", "1000"])

    with pytest.raises(TaskFailed, match="it was stopped by its timeout, after 3 s"):
        local.run(slow, runner=local.DockerRunner(), pipeline_root=tmp_path, quiet=True)
    (run,) = (path.name for path in tmp_path.iterdir() if path.is_dir() and path.name.startswith("slow-"))
    assert containers_of(docker_client, run) == []


def test_a_result_is_cached_with_its_init_containers(docker_client: DockerClient, tmp_path: Path) -> None:
    def run(text: str) -> str:
        @dsl.pipeline
        def cached() -> str:
            task = read(attempts="")
            task.platform_config["kubernetes"] = {"emptyDirMounts": [{"volumeName": "shared", "mountPath": "/shared"}]}
            args = [f"echo {text} > /shared/file"]
            add_init_container(task, "p", "python:3.11", ["sh", "-c"], args, volume_mounts={"shared": "/shared"})
            return task.output

        runner = local.DockerRunner()
        result = local.run(cached, runner=runner, pipeline_root=tmp_path, quiet=True, enable_caching=True)
        return str(result.output).strip()

    assert [run("one"), run("two"), run("one")] == ["one", "two", "one"]
    logs = list(tmp_path.rglob("log.txt"))
    assert len(logs) == 2


def test_an_image_without_sleep_is_not_asked_to_hold_the_network(bench: Bench, docker_client: DockerClient) -> None:
    with variant(docker_client, script="rm /usr/bin/sleep /bin/sleep; true") as image:
        outcome, log = run_pod(bench, f"python3 -c '{textwrap.dedent(ASK)}'", server(), image=image)
    assert outcome.problem or outcome.succeeded, log
    assert outcome.exit_code == 0, (outcome, log)
