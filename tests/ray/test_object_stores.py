"""Runs on Ray clusters whose artifacts are in an object store: a real S3 server, and no disk that nodes share.

Each node is a raylet in a mount namespace of its own, in which the folder above the state root is an empty file system
of its own: it has the path, and nothing of what the program or another node has written below it. Where this machine
allows no namespaces, only the example is run, on nodes that share the disk.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from standpipe import dsl, local
from standpipe.dsl import Artifact, Dataset, Input, Output, OutputPath
from standpipe.errors import TaskFailed
from standpipe.history import Status
from tests.artifact_stores.servers import S3Server, free_port, s3_server
from tests.processes import CHECKOUT, wait_until
from tests.ray.clusters import TestCluster, cluster, has_namespaces, kill_all, separate_node

HAS_NAMESPACES = has_namespaces()
separate = pytest.mark.skipif(not HAS_NAMESPACES, reason="this machine allows no mount namespaces")


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with s3_server(free_port()) as (server, _), pytest.MonkeyPatch.context() as environ:
        environ.setenv("AWS_ENDPOINT_URL", server.url)
        environ.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
        environ.setenv("AWS_SECRET_ACCESS_KEY", "s3cr3t-k3y-of-the-test")
        environ.setenv("AWS_REGION", "us-east-1")
        yield server


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a state root in a folder that the nodes do not share."""
    folder = tmp_path_factory.mktemp("own") / "state"
    folder.mkdir()
    return folder


@pytest.fixture(scope="module")
def nodes(s3: S3Server, state: Path) -> Iterator[TestCluster]:
    """Return a cluster of a head node without CPUs, and two nodes with two each."""
    with cluster(num_cpus=0, object_store_memory=100 * 1024**2) as started, ExitStack() as separated:
        for _ in range(2):
            if HAS_NAMESPACES:
                separated.enter_context(separate_node(started, state.parent))
            else:
                started.add_node(num_cpus=2, object_store_memory=100 * 1024**2)
        yield started


@pytest.fixture
def options(nodes: TestCluster, state: Path) -> Iterator[dict[str, Any]]:
    runner = local.RayRunner(nodes.address, use_venv=False)
    yield {"runner": runner, "pipeline_root": "s3://data/runs", "state_root": state, "quiet": True}
    runner.task_runner.close()


@dsl.component
def write(
    number: int,
    data: Output[Dataset],
    tree: Output[Artifact],
    note: OutputPath(str),  # type: ignore[valid-type]
    node: OutputPath(int),  # type: ignore[valid-type]
) -> str:
    import os
    import time

    time.sleep(2)  # so that one node does not run all
    with open(data.path, "w") as file:
        file.write(f"content {number}")
    os.makedirs(f"{tree.path}/deep")
    with open(f"{tree.path}/deep/file", "w") as file:
        file.write("of a tree")
    with open(note, "w") as file:
        file.write("a note")
    with open(node, "w") as file:
        file.write(str(os.stat(data.path).st_dev))
    data.metadata["rows"] = 1
    return os.path.dirname(data.path)


@dsl.component
def read(every: Input[list[Dataset]], trees: Input[list[Artifact]], folders: list[str], nodes: list[int]) -> dict:
    import os

    contents = []
    for data in every:
        with open(data.path) as file:
            contents.append(file.read())
    for tree in trees:
        with open(f"{tree.path}/deep/file") as file:
            assert file.read() == "of a tree"
    return {
        "contents": sorted(contents),
        "nodes": len(set(nodes)),
        "folders": [folder for folder in folders if os.path.exists(folder)],
    }


@dsl.pipeline
def passing() -> dict:
    with dsl.ParallelFor([0, 1, 2, 3]) as number:
        made = write(number=number)
    return read(
        every=dsl.Collected(made.outputs["data"]),
        trees=dsl.Collected(made.outputs["tree"]),
        folders=dsl.Collected(made.outputs["Output"]),
        nodes=dsl.Collected(made.outputs["node"]),
    ).output


@separate
def test_tasks_of_nodes_without_a_shared_disk_exchange_artifacts(options: dict[str, Any], state: Path) -> None:
    output = local.run(passing, **options).output
    assert output == {"contents": [f"content {number}" for number in range(4)], "nodes": 2, "folders": []}

    run = local.get_run("latest", state)
    assert run.status is Status.SUCCEEDED
    data = next(each for each in run.artifacts if each.name == "data")
    assert data.uri == f"s3://data/runs/{run.id}/for-loop-2/0/write/data"
    assert (data.size, data.metadata) == (9, {"rows": 1})
    assert not (state / ".payloads").exists(), "nothing passes through the machine of the program"
    names = [path.name for path in (run.folder / "for-loop-2" / "0" / "write").iterdir()]
    assert sorted(names) == ["executor_output.json", "log.txt", "node", "note"]


@separate
def test_equal_tasks_are_cached(options: dict[str, Any], state: Path) -> None:
    @dsl.pipeline(name="twice")
    def twice() -> str:
        return write(number=7).outputs["Output"]

    local.run(twice, **options)
    local.run(twice, enable_caching=True, **options)
    local.run(twice, enable_caching=True, **options)
    assert local.get_run("latest", state).task("write").cached_from


@dsl.component
def fail(data: Input[Dataset], made: Output[Dataset]) -> None:
    with open(made.path, "w") as file:
        file.write("incomplete")
    with open(data.path) as file:
        raise ValueError(f"no good: {file.read()}")


@dsl.pipeline
def failing() -> None:
    fail(data=write(number=1).outputs["data"])


@separate
def test_a_failure_arrives_with_its_line_and_nothing_is_stored(
    options: dict[str, Any], state: Path, s3: S3Server
) -> None:
    with pytest.raises(TaskFailed, match="ValueError: no good: content 1"):
        local.run(failing, **options)
    run = local.get_run("latest", state)
    failure = run.task("fail").attempts[-1].failure
    assert failure is not None
    assert failure.location is not None
    assert failure.location.code == 'raise ValueError(f"no good: {file.read()}")'
    assert (run.folder / "fail" / "error.json").exists()
    assert f"{run.id}/fail/" not in s3.call("GET", f"/data?list-type=2&prefix=runs/{run.id}").decode()


@separate
def test_an_import_of_a_file_of_this_machine_is_refused_by_its_node(
    options: dict[str, Any], state: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    (state / "table").write_text("of the program")

    @dsl.component
    def show(data: Input[Dataset]) -> str:
        with open(data.path) as file:
            return file.read()

    @dsl.pipeline
    def importing(uri: str) -> str:
        return show(data=dsl.importer(artifact_uri=uri, artifact_class=Dataset).output).output

    with pytest.raises(
        TaskFailed, match=r"input artifacts that are files of the program's machine: 'data' .*The node [0-9.]+ does not"
    ):
        local.run(importing, {"uri": str(state / "table")}, **options)
    shared = tmp_path_factory.mktemp("shared") / "table"
    shared.write_text("of all")
    assert local.run(importing, {"uri": str(shared)}, **options).output == "of all", "this folder is not hidden"


@separate
def test_a_workspace_of_this_machine_is_refused_by_a_node(options: dict[str, Any]) -> None:
    config = dsl.PipelineConfig(workspace=dsl.WorkspaceConfig(size="1Gi"))

    @dsl.component
    def look(folder: str) -> bool:
        import os

        return os.path.isdir(folder)

    @dsl.pipeline(pipeline_config=config)
    def working() -> bool:
        return look(folder=dsl.WORKSPACE_PATH_PLACEHOLDER).output

    with pytest.raises(TaskFailed, match=r"as its workspace or as volumes: .*The node [0-9.]+ does not see them"):
        local.run(working, **options)


@separate
def test_nodes_that_do_not_see_the_pipeline_root_are_named_before_the_first_task(
    options: dict[str, Any], state: Path
) -> None:
    @dsl.component
    def one() -> int:
        return 1

    with pytest.raises(TaskFailed, match=r"Nodes of the Ray cluster do not see the folder .*/state: .*, .*They need"):
        local.run(one, {}, runner=options["runner"], pipeline_root=state, quiet=True)


@separate
def test_an_error_of_the_store_names_the_node(options: dict[str, Any], s3: S3Server) -> None:
    s3.fault = lambda method, path, body: 403 if method == "PUT" and path.endswith("/made") else 0

    @dsl.component
    def make(made: Output[Dataset]) -> None:
        with open(made.path, "w") as file:
            file.write("x")

    try:
        with pytest.raises(TaskFailed, match=r"(?s)Cannot use s3://data/runs/.*This was on the node [0-9.]+\."):
            local.run(make, {}, **options)
    finally:
        s3.fault = lambda method, path, body: 0


@separate
def test_a_run_is_resumed_on_nodes_with_what_is_stored(options: dict[str, Any], state: Path, tmp_path: Path) -> None:
    @dsl.component
    def check(data: Input[Dataset], gate: str) -> str:
        import os

        if not os.path.exists(gate):
            raise RuntimeError("not yet")
        with open(data.path) as file:
            return file.read()

    @dsl.pipeline
    def gated(gate: str) -> str:
        return check(data=write(number=5).outputs["data"], gate=gate).output

    gate = tmp_path / "gate"  # which the nodes see
    with pytest.raises(TaskFailed):
        local.run(gated, {"gate": str(gate)}, **options)
    gate.touch()
    resumed = local.resume("latest", runner=options["runner"], pipeline_root=state, quiet=True)
    assert resumed.output == "content 5"
    assert len(local.get_run("latest", state).task("write").attempts) == 1


def test_the_iris_example_runs_on_nodes_with_its_artifacts_in_a_bucket(nodes: TestCluster, state: Path) -> None:
    command = [sys.executable, "-m", "standpipe", "run", "--runner", "ray", "--root", "s3://data/iris"]
    command += ["--state-root", str(state), str(CHECKOUT / "examples" / "iris.py")]
    environ = {**os.environ, "RAY_ADDRESS": nodes.address, "PYTHONPATH": str(CHECKOUT / "src")}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    run = local.get_run("latest", state)
    uris = [artifact.uri for artifact in run.artifacts]
    assert len(uris) > 5
    assert all(uri.startswith(f"s3://data/iris/{run.id}/") for uri in uris)
    assert "| **virginica** |" in done.stdout, "the report of the better model, of which this machine gets a copy"


PROGRAM = """
import sys
from standpipe import dsl, local
from standpipe.dsl import Dataset, Output

@dsl.component
def make(mark: str, slow: Output[Dataset]) -> None:
    for path in (slow.path, mark):
        with open(path, "w") as file:
            file.write("x")

if __name__ == "__main__":
    address, state, mark = sys.argv[1:]
    local.init(local.RayRunner(address, use_venv=False), "s3://data/slow", state_root=state, quiet=True)
    make(mark=mark)
"""


@separate
def test_ctrl_c_does_not_wait_for_an_upload_of_a_node(
    nodes: TestCluster, s3: S3Server, state: Path, tmp_path: Path
) -> None:
    script, mark = tmp_path / "program.py", tmp_path / "mark"
    script.write_text(PROGRAM)
    is_uploading = threading.Event()

    def delay(method: str, path: str, body: bytes) -> int:
        if method == "PUT" and path.endswith("/slow"):
            is_uploading.set()
            time.sleep(60)
        return 0

    s3.fault = delay
    try:
        process = subprocess.Popen(
            [sys.executable, str(script), nodes.address, str(state), str(mark)],
            env={**os.environ, "PYTHONPATH": str(CHECKOUT / "src")},
            stderr=subprocess.PIPE,
            text=True,
        )
        assert is_uploading.wait(90)
        start = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    finally:
        s3.fault = lambda method, path, body: 0
    assert time.monotonic() - start < 30
    assert errors.rstrip().endswith("KeyboardInterrupt")


@separate
def test_what_is_lost_with_a_node_is_made_again_on_another_one(s3: S3Server, state: Path, tmp_path: Path) -> None:
    @dsl.component
    def make(number: int, folder: str, data: Output[Dataset]) -> None:
        import os
        import time

        with open(f"{folder}/starts.txt", "a") as file:  # the nodes share this folder
            file.write(f"{number} {os.getpid()}\n")
        time.sleep(8)
        with open(data.path, "w") as file:
            file.write(str(number))

    @dsl.component
    def total(every: Input[list[Dataset]]) -> int:
        numbers = []
        for data in every:
            with open(data.path) as file:
                numbers.append(int(file.read()))
        return sum(numbers)

    @dsl.pipeline
    def summing(folder: str) -> int:
        with dsl.ParallelFor([1, 2, 3, 4]) as number:
            made = make(number=number, folder=folder)
        return total(every=dsl.Collected(made.outputs["data"])).output

    starts = tmp_path / "starts.txt"

    def kill_one(node: int) -> None:
        if wait_until(lambda: starts.exists() and len(starts.read_text().splitlines()) == 4, 60):
            kill_all(node)

    with (
        cluster(num_cpus=0, object_store_memory=100 * 1024**2) as started,
        separate_node(started, state.parent) as node,
        separate_node(started, state.parent),
    ):
        runner = local.RayRunner(started.address, use_venv=False)
        killer = threading.Thread(target=kill_one, args=(node,))
        killer.start()
        try:
            options = {"runner": runner, "pipeline_root": "s3://data/runs", "state_root": state, "quiet": True}
            assert local.run(summing, {"folder": str(tmp_path)}, **options).output == 10
        finally:
            killer.join()
            runner.task_runner.close()
    assert len(starts.read_text().splitlines()) == 6
    run = local.get_run("latest", state)
    keys = re.findall("<Key>(.*?)</Key>", s3.call("GET", f"/data?list-type=2&prefix=runs/{run.id}").decode())
    assert sorted(f"s3://data/{key}" for key in keys) == sorted(artifact.uri for artifact in run.artifacts)
    assert len(keys) == 4
