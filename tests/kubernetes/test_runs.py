"""Runs in pods: each kind of component, artifacts, faults of tasks and of the cluster, and what is left afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from standpipe import dsl, local
from standpipe.dsl import Dataset, Input, Model, Output
from standpipe.errors import TaskFailed, UnsupportedError
from standpipe.model.events import AttemptFailed
from standpipe.runners.api import LocalRunner
from standpipe.store.reading import run_facts, run_rows
from tests.artifact_stores.servers import S3Server, free_port, provide_minio_secret, s3_server
from tests.kubernetes.clusters import REAL_SERVER, Cluster, TestCluster, any_cluster
from tests.kubernetes.pods import Image
from tests.kubernetes.requests import Request
from tests.kubernetes.storage import ApiError
from tests.processes import CHECKOUT, wait_until
from tests.wheels import make_wheel

IMAGE = "python:3.11"

# --- components -------------------------------------------------------------------------------------------------------


@dsl.component(base_image=IMAGE)
def make(size: int, data: Output[Dataset]) -> int:
    print("making", size)
    with open(data.path, "w") as file:
        file.write("x" * size)
    data.metadata["size"] = size
    return size * 2


@dsl.component(base_image=IMAGE)
def measure(data: Input[Dataset], doubled: int) -> str:
    with open(data.path) as file:
        return f"{len(file.read())} {data.metadata['size']} {doubled}"


@dsl.pipeline
def chain(size: int = 5) -> str:
    made = make(size=size)
    return measure(data=made.outputs["data"], doubled=made.outputs["Output"]).output


@dsl.component(base_image=IMAGE)
def make_folder(model: Output[Model]) -> None:
    import os

    os.makedirs(os.path.join(model.path, "deep", "deeper"))
    for name in ("a.txt", "deep/b.txt", "deep/deeper/c.txt"):
        with open(os.path.join(model.path, name), "w") as file:
            file.write(name)


@dsl.component(base_image=IMAGE)
def list_folder(model: Input[Model]) -> list:
    import os

    return sorted(
        os.path.relpath(os.path.join(top, name), model.path) for top, _, names in os.walk(model.path) for name in names
    )


@dsl.pipeline
def folders() -> list:
    return list_folder(model=make_folder().outputs["model"]).output


@dsl.container_component
def shout(text: str, result: dsl.OutputPath(str), loud: Output[Dataset]) -> dsl.ContainerSpec:  # type: ignore[valid-type]
    script = 'mkdir -p "$(dirname "$1")" "$(dirname "$2")" && echo "said $0" && printf %s "$0!" | tee "$1" > "$2"'
    return dsl.ContainerSpec("debian:12", ["sh", "-c", script], [text, result, loud.path])


@dsl.component(base_image=IMAGE)
def read(loud: Input[Dataset], text: str) -> str:
    with open(loud.path) as file:
        return f"{file.read()} {text}"


@dsl.pipeline
def shouting() -> str:
    said = shout(text="hello")
    return read(loud=said.outputs["loud"], text=said.outputs["result"]).output


@dsl.component(base_image=IMAGE)
def square(number: int) -> int:
    return number * number


@dsl.component(base_image=IMAGE)
def total(numbers: list[int]) -> int:
    return sum(numbers)


@dsl.pipeline
def squares() -> int:
    with dsl.ParallelFor([1, 2, 3]) as number:
        each = square(number=number)
    return total(numbers=dsl.Collected(each.output)).output


@dsl.component(base_image=IMAGE)
def fail(message: str) -> None:
    raise ValueError(message)


@dsl.component(base_image=IMAGE)
def fail_first() -> str:
    import os

    attempt = os.environ["KFP_RETRY_INDEX"]
    if attempt == "0":
        raise RuntimeError("not yet")
    return attempt


@dsl.pipeline
def stubborn() -> str:
    return fail_first().set_retry(num_retries=2).output


@dsl.component(base_image=IMAGE)
def eat() -> None:
    block = bytearray(512 * 1024**2)
    for position in range(0, len(block), 4096):
        block[position] = 1


@dsl.pipeline
def hungry() -> None:
    eat().set_memory_limit("100Mi")


@dsl.component(base_image=IMAGE)
def wait(seconds: float) -> str:
    import time

    print("started", flush=True)
    time.sleep(seconds)
    return "done"


@dsl.component(base_image=IMAGE)
def print_bytes(count: int) -> None:
    import sys
    import time

    for number in range(count):
        sys.stdout.buffer.write(b"%d \xff\r50%%\n" % number)
        sys.stdout.buffer.flush()
        time.sleep(0.05)


@dsl.component(base_image=IMAGE)
def variables() -> dict:
    import os

    return dict(os.environ)


@dsl.component(base_image="example.org/nobody/has:1")
def unpullable() -> None: ...


#: For faults that only the server in this process has.
in_process = pytest.mark.skipif(REAL_SERVER in os.environ, reason="a real server has no such faults")

# --- fixtures ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with s3_server(free_port()) as (server, _):
        yield server


SECRET = "secret-of-the-store"


class Place:
    """A cluster with an S3 server, and ways to run pipelines there.

    Attributes:
        cluster: the cluster.
        root: the folder of the state of runs.
    """

    def __init__(self, started: Cluster, root: Path) -> None:
        self.cluster = started
        self.root = root
        self.runners: list[local.KubernetesRunner] = []

    def runner(self, **options: Any) -> local.KubernetesRunner:
        runner = local.KubernetesRunner(**{"store_secret": "s3", **options})
        self.runners.append(runner)
        return runner

    def run(self, pipeline: Any, arguments: Any = None, runner: LocalRunner | None = None, **options: Any) -> Any:
        options = {"quiet": True, "state_root": self.root, "pipeline_root": "s3://data/runs", **options}
        return local.run(pipeline, arguments or {}, runner=runner or self.runner(), **options)

    @contextmanager
    def running(self, pipeline: Any, arguments: Any = None, **options: Any) -> Iterator[dict[str, Any]]:
        """Run a pipeline in a thread during a block; its result or its error is then in the value."""
        result: dict[str, Any] = {}

        def run() -> None:
            try:
                result["run"] = self.run(pipeline, arguments, **options)
            except TaskFailed as error:
                result["error"] = error

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield result
        finally:
            thread.join(120)
            assert not thread.is_alive()

    def logs(self) -> list[bytes]:
        return [path.read_bytes() for path in sorted(self.root.glob("*/**/log.txt"))]

    def wait_for(self, text: bytes, count: int = 1) -> None:
        assert wait_until(lambda: sum(text in log for log in self.logs()) >= count, 60), self.logs()

    def names(self, kind: str) -> list[str]:
        return [each["metadata"]["name"] for each in self.cluster.client.find(kind, self.cluster.namespace)]

    def created(self) -> list[str]:
        """Return the requests that have created a Job."""
        return [line for line in self.test_cluster.faults.requests if line.startswith("create jobs")]

    @property
    def test_cluster(self) -> TestCluster:
        """The cluster, if it is in this process."""
        assert isinstance(self.cluster, TestCluster)
        return self.cluster

    def lost_attempts(self) -> list[AttemptFailed]:
        (row,) = run_rows(self.root)
        return [fact for _, fact in run_facts(self.root, row) if isinstance(fact, AttemptFailed) and fact.is_lost]


@pytest.fixture
def place(tmp_path: Path, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    credentials = {
        "AWS_ENDPOINT_URL": s3.url,
        "AWS_ACCESS_KEY_ID": "key-of-the-store",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1",
    }
    for name, value in credentials.items():
        monkeypatch.setenv(name, value)
    with any_cluster(tmp_path / "cluster") as started:
        monkeypatch.setenv("KUBECONFIG", str(started.kubeconfig(tmp_path / "kubeconfig")))
        metadata = {"name": "s3", "namespace": started.namespace}
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": credentials}
        started.client.create("secrets", secret)
        place = Place(started, tmp_path / "state")
        yield place
        for runner in place.runners:
            runner.task_runner.close()
        assert wait_until(lambda: not place.names("jobs") and not place.names("pods"), 30), "nothing is left"


def keys(s3: S3Server) -> bytes:
    return s3.call("GET", "/data")


# --- what tasks do ----------------------------------------------------------------------------------------------------


def test_values_and_artifacts_go_from_pod_to_pod(place: Place, s3: S3Server) -> None:
    run = place.run(chain, {"size": 7})

    assert run.output == "7 7 14"
    assert b"making 7\n" in b"".join(place.logs())
    assert b"/make/data</Key>" in keys(s3)
    assert b".standpipe" not in keys(s3)


@pytest.fixture
def visible() -> Iterator[Path]:
    """A folder that containers see: they have a `/tmp` and a `/dev/shm` of their own."""
    with tempfile.TemporaryDirectory(dir=Path.home(), prefix=".standpipe-test-") as folder:
        yield Path(folder)


def test_packages_are_installed_in_the_pod(place: Place, visible: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", str(visible / "image")], check=True)
    place.cluster.images["example.org/plain:1"] = Image((str(visible / "image" / "bin"),))
    wheel = make_wheel(visible, "of_a_test", "1.5")

    def versions() -> str:
        import importlib.util

        import of_a_test  # type: ignore[import-not-found]

        return f"{of_a_test.version} {importlib.util.find_spec('obstore')}"

    component = dsl.component(base_image="example.org/plain:1", packages_to_install=[str(wheel)])(versions)

    assert place.run(component).output == "1.5 None"


@in_process
def test_a_second_run_uses_the_cache(place: Place) -> None:
    runner = place.runner()
    place.run(chain, {"size": 8}, runner, enable_caching=True)
    before = len(place.created())

    assert place.run(chain, {"size": 8}, runner, enable_caching=True).output == "8 8 16"
    assert len(place.created()) == before == 2


def test_folders_are_artifacts(place: Place) -> None:
    assert place.run(folders).output == ["a.txt", "deep/b.txt", "deep/deeper/c.txt"]


def test_container_components_run_in_their_image(place: Place) -> None:
    assert place.run(shouting).output == "hello! hello!"
    assert b"said hello\n" in place.logs()


def test_loops_run_in_pods_of_their_own(place: Place) -> None:
    assert place.run(squares).output == 1 + 4 + 9


def test_runs_at_the_same_time_do_not_meet(place: Place) -> None:
    with place.running(chain, {"size": 3}) as first, place.running(squares) as second:
        pass

    assert (first["run"].output, second["run"].output) == ("3 3 6", 14)


def test_a_task_does_not_see_the_credentials_to_the_store(place: Place) -> None:
    seen = place.run(variables).output

    assert SECRET not in str(seen)
    assert not any(name.startswith("AWS_") for name in seen)
    assert seen["KFP_RETRY_INDEX"] == "0"


@pytest.mark.parametrize("form", ["providers", "the secret of KFP's own store"])
def test_the_program_uses_the_credentials_that_the_run_has(
    place: Place, s3: S3Server, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """Pods have those of their Secret, and nothing is in the environment of the program."""
    objects = provide_minio_secret(s3, form, monkeypatch)

    assert place.run(chain, {"size": 7}, pipeline_root="minio://data/runs", kubernetes=objects).output == "7 7 14"
    assert set(s3.signers) == {"AKIAMINIO", "key-of-the-store"}
    assert b".standpipe" not in keys(s3)


@in_process
def test_a_log_has_each_byte_once_although_connections_break(place: Place) -> None:
    stop = threading.Event()

    def break_often() -> None:
        while not stop.wait(0.4):
            place.test_cluster.server.break_streams()

    breaker = threading.Thread(target=break_often)
    breaker.start()
    try:
        place.run(print_bytes, {"count": 60})
    finally:
        stop.set()
        breaker.join()

    assert place.logs() == [b"".join(b"%d \xff\r50%%\n" % number for number in range(60))]


# --- tasks that fail --------------------------------------------------------------------------------------------------


def test_the_traceback_of_a_task_is_that_of_its_author(place: Place) -> None:
    with pytest.raises(TaskFailed) as caught:
        place.run(fail, {"message": "no such luck"})

    assert "ValueError: no such luck" in str(caught.value)
    assert "raise ValueError(message)" in str(caught.value)
    assert "standpipe/worker" not in str(caught.value)


def test_a_failed_task_is_retried(place: Place) -> None:
    assert place.run(stubborn).output == "1"


def test_a_task_that_is_killed_for_its_memory_says_so(place: Place) -> None:
    with pytest.raises(TaskFailed, match="(?i)out of memory|memory limit|ran out"):
        place.run(hungry)


def test_an_image_that_nobody_has_is_an_error_soon(place: Place) -> None:
    with pytest.raises(TaskFailed, match=r"its image example\.org/nobody/has:1 cannot be pulled: .*not found"):
        place.run(unpullable)


# --- faults of the cluster --------------------------------------------------------------------------------------------


def running_pod(place: Place) -> str:
    (pod,) = place.names("pods")
    return pod


@pytest.mark.parametrize("how", ["delete", "evict", "preempt", "lose", "shut_down"])
def test_a_pod_that_is_lost_runs_again(place: Place, how: str) -> None:
    started = place.cluster
    first = next(iter(started.nodes))
    actions: dict[str, Callable[[str], object]] = {
        "delete": lambda pod: started.client.delete("pods", started.namespace, pod),
        "evict": lambda pod: started.evict(pod),
        "preempt": lambda pod: started.preempt(pod),
        "lose": lambda pod: started.lose(first),
        "shut_down": lambda pod: started.shut_down(first),
    }
    with place.running(wait, {"seconds": 5.0}) as result:
        place.wait_for(b"started")
        started.add_node("node-1")
        actions[how](running_pod(place))

    assert result["run"].output == "done"
    (lost,) = place.lost_attempts()
    assert "its pod was" in lost.failure.message


@in_process
def test_the_api_server_may_be_away_for_a_while(place: Place) -> None:
    with place.running(wait, {"seconds": 4.0}) as result:
        place.wait_for(b"started")
        place.test_cluster.faults.down = True
        place.test_cluster.server.break_streams()
        time.sleep(8)
        place.test_cluster.faults.down = False

    assert result["run"].output == "done"


@in_process
def test_a_watch_that_is_too_old_begins_again(place: Place) -> None:
    with place.running(wait, {"seconds": 4.0}) as result:
        place.wait_for(b"started")
        for _ in range(4):
            place.test_cluster.storage.compact()
            place.test_cluster.server.break_streams()
            time.sleep(0.5)

    assert result["run"].output == "done"
    assert not place.lost_attempts()


@in_process
def test_a_busy_server_is_asked_again(place: Place) -> None:
    refused: list[str] = []

    def reject(request: Request) -> ApiError | None:
        if request.verb in ("create", "list") and len(refused) < 3:
            refused.append(request.verb)
            return ApiError(429, "TooManyRequests", "the server is busy")
        return None

    place.test_cluster.faults.rejects = reject
    assert place.run(square, {"number": 3}).output == 9
    assert len(refused) == 3


@in_process
def test_a_missing_permission_is_an_error(place: Place) -> None:
    def reject(request: Request) -> ApiError | None:
        if (request.verb, request.resource.plural) == ("create", "jobs"):
            return ApiError(403, "Forbidden", 'jobs.batch is forbidden: User "ann" cannot create resource "jobs"')
        return None

    place.test_cluster.faults.rejects = reject
    with pytest.raises(TaskFailed, match='User "ann" cannot create resource "jobs"') as caught:
        place.run(square, {"number": 3})
    assert "Ask for the permissions" in str(caught.value)


def test_the_capacity_is_that_of_all_nodes(place: Place) -> None:
    place.cluster.add_node(
        f"{next(iter(place.cluster.nodes))}-more", {"cpu": "2500m", "memory": "1Gi", "nvidia.com/gpu": "2"}
    )

    capacity = place.runner().task_runner.capacity()

    assert (capacity.cpu, capacity.memory, capacity.gpus) == (6.5, 9 * 1024**3, ("0", "1"))


@in_process
def test_the_capacity_is_unknown_where_nodes_may_not_be_listed(place: Place) -> None:
    def reject(request: Request) -> ApiError | None:
        return ApiError(403, "Forbidden", "nodes is forbidden") if request.resource.plural == "nodes" else None

    place.test_cluster.faults.rejects = reject

    assert place.runner().task_runner.capacity().cpu > 1_000_000


def test_a_pod_without_a_node_waits_with_a_notice(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    place.cluster.lose(next(iter(place.cluster.nodes)))
    with place.running(square, {"number": 3}, quiet=False) as result:
        assert wait_until(lambda: "waits: " in capfd.readouterr().err, 60)
        place.cluster.add_node("node-1")

    assert result["run"].output == 9


@in_process
def test_a_job_without_a_pod_is_told_where_its_events_may_not_be_read(
    place: Place, capfd: pytest.CaptureFixture[str]
) -> None:
    def reject(request: Request) -> ApiError | None:
        return ApiError(403, "Forbidden", "events is forbidden") if request.resource.plural == "events" else None

    place.test_cluster.faults.rejects = reject
    place.cluster.restrict()
    with place.running(square, {"number": 3}, quiet=False) as result:
        notice = "Task 'square' has no pod yet: events, which say why, cannot be read. Look with: kubectl describe job "
        assert wait_until(lambda: notice in capfd.readouterr().err, 60)
        place.cluster.restrict("privileged")

    assert result["run"].output == 9


def test_an_account_that_is_missing_is_told_before_anything_runs(place: Place) -> None:
    with pytest.raises(TaskFailed, match="has no ServiceAccount 'nobody', which service_account names"):
        place.run(square, {"number": 3}, place.runner(service_account="nobody"))


@in_process
def test_a_secret_that_is_missing_is_told_before_anything_runs(place: Place) -> None:
    with pytest.raises(TaskFailed, match="the namespace '.*' has no Secret 'missing', which store_secret names"):
        place.run(square, {"number": 3}, place.runner(store_secret="missing"))
    assert not place.created()


def test_wrong_credentials_in_pods_are_an_error_that_names_the_store(place: Place, s3: S3Server) -> None:
    metadata = {"name": "none", "namespace": place.cluster.namespace}
    values = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}"}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": values}
    place.cluster.client.create("secrets", secret)

    with pytest.raises(TaskFailed, match="Cannot use s3://data/runs"):
        place.run(square, {"number": 3}, place.runner(store_secret="none"))


@in_process
def test_artifacts_on_this_machine_are_an_error_before_anything_runs(place: Place) -> None:
    with pytest.raises(UnsupportedError, match="pipeline_root='s3://bucket/prefix'"):
        place.run(square, {"number": 3}, pipeline_root=place.root)
    assert not place.created()
    assert not list(place.root.glob("square-*"))


# --- stops ------------------------------------------------------------------------------------------------------------

SCRIPT = """
import sys
sys.path.insert(0, {checkout!r})
from tests.kubernetes.test_runs import wait
from standpipe import dsl, local

@dsl.pipeline
def waiting(seconds: float) -> str:
    return wait(seconds=seconds).output

local.init(runner=local.KubernetesRunner(store_secret="s3"), pipeline_root="s3://data/runs", state_root={root!r})
if __name__ == "__main__":
    print("result:", waiting(seconds=float(sys.argv[1])).output)
"""


@contextmanager
def program(place: Place, tmp_path: Path, seconds: float) -> Iterator[subprocess.Popen[str]]:
    """Start a program that runs a pipeline, in a session of its own."""
    script = tmp_path / "waiting.py"
    script.write_text(SCRIPT.format(checkout=str(CHECKOUT), root=str(place.root)))
    environ = {**os.environ, "PYTHONPATH": str(CHECKOUT / "src")}
    process = subprocess.Popen(
        [sys.executable, str(script), str(seconds)],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def test_ctrl_c_leaves_nothing(place: Place, tmp_path: Path) -> None:
    with program(place, tmp_path, 60.0) as process:
        place.wait_for(b"started")
        process.send_signal(signal.SIGINT)
        printed, _ = process.communicate(timeout=60)

    assert process.returncode != 0
    assert "Traceback" not in printed.partition("KeyboardInterrupt")[0].replace(
        "Traceback (most recent call last)", "", 1
    )
    assert wait_until(lambda: not place.names("jobs") and not place.names("pods"), 20)


def test_a_second_ctrl_c_kills_at_once(place: Place, tmp_path: Path) -> None:
    with program(place, tmp_path, 60.0) as process:
        place.wait_for(b"started")
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)

    assert wait_until(lambda: not place.names("jobs") and not place.names("pods"), 20)


def test_a_run_whose_program_was_killed_is_resumed_and_its_pods_are_removed(place: Place, tmp_path: Path) -> None:
    with program(place, tmp_path, 15.0) as process:
        place.wait_for(b"started")
        process.kill()
        process.wait()
    (left,) = place.names("jobs")

    options: dict[str, Any] = {"state_root": place.root, "pipeline_root": "s3://data/runs", "quiet": True}
    with ThreadPoolExecutor(1) as pool:
        resumed = pool.submit(local.resume, "latest", runner=place.runner(), **options)
        assert wait_until(lambda: left not in place.names("jobs"), 30)
        assert not resumed.done()
        assert resumed.result(60).output == "done"
