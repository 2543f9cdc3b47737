"""Runs whose artifacts are in object stores: buckets in memory."""

from __future__ import annotations

import shutil
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from standpipe import dsl, local
from standpipe.artifact_stores import clients
from standpipe.artifact_stores.buckets import Bucket
from standpipe.artifact_stores.providers import Access
from standpipe.cli.main import main
from standpipe.dsl import Artifact, Dataset, Input, Output
from standpipe.errors import ArgumentError, StorageError, TaskFailed
from tests.artifact_stores.servers import Memory, memory

__all__ = ["memory"]

RUNNER = local.SubprocessRunner(use_venv=False)


@pytest.fixture
def options(tmp_path: Path, memory: Memory) -> dict[str, Any]:
    return {"runner": RUNNER, "pipeline_root": "s3://data/runs", "state_root": tmp_path / "state", "quiet": True}


@pytest.fixture
def local_options(tmp_path: Path, memory: Memory) -> dict[str, Any]:
    return {"runner": RUNNER, "pipeline_root": tmp_path / "root", "quiet": True}


@dsl.component
def write(text: str, data: Output[Dataset], tree: Output[Artifact]) -> None:
    import os

    with open(data.path, "w") as file:
        file.write(text)
    os.makedirs(f"{tree.path}/deep")
    with open(f"{tree.path}/deep/file", "w") as file:
        file.write(text)
    data.metadata["rows"] = 1


@dsl.component
def read(data: Input[Dataset], tree: Input[Artifact], fails_without: str = "") -> str:
    import os

    if fails_without and not os.path.exists(fails_without):
        raise RuntimeError("not yet")
    with open(data.path) as file, open(f"{tree.path}/deep/file") as other:
        return f"{data.uri} {file.read()} {other.read()}"


@dsl.pipeline
def passing(text: str = "content", fails_without: str = "") -> str:
    made = write(text=text)
    return read(data=made.outputs["data"], tree=made.outputs["tree"], fails_without=fails_without).output


@dsl.component
def read_one(data: Input[Dataset]) -> str:
    with open(data.path) as file:
        return file.read()


@dsl.component
def name(data: Input[Dataset]) -> str:
    return data.uri


@dsl.pipeline
def importing(uri: str) -> str:
    data = dsl.importer(artifact_uri=uri, artifact_class=Dataset, reimport=False)
    return read_one(data=data.output).output


@dsl.pipeline
def naming(uri: str) -> str:
    return name(data=dsl.importer(artifact_uri=uri, artifact_class=Dataset).output).output


def test_payloads_go_to_the_store_and_all_else_stays(options: dict[str, Any], memory: Memory, tmp_path: Path) -> None:
    text = local.run(passing, **options).output
    (run,) = local.runs(tmp_path / "state")
    assert text == f"s3://data/runs/{run.id}/write/data content content"
    assert memory.keys("s3://data") == [f"runs/{run.id}/write/data", f"runs/{run.id}/write/tree/deep/file"]
    assert sorted(path.name for path in (run.folder / "write").iterdir()) == [
        "executor_output.json",
        "log.txt",
        "request.json",
    ]
    artifact = next(each for each in run.artifacts if each.name == "data")
    assert (artifact.uri, artifact.size, artifact.metadata) == (f"s3://data/runs/{run.id}/write/data", 7, {"rows": 1})


def test_equal_tasks_are_cached_as_long_as_their_payloads_are_there(
    options: dict[str, Any], memory: Memory, tmp_path: Path
) -> None:
    options["enable_caching"] = True
    first = local.run(passing, **options).output
    assert local.run(passing, **options).output == first
    memory.write(first.split()[0], b"overwritten")
    local.run(passing, **options)
    run = local.runs(tmp_path / "state")[0]
    assert [bool(run.task(task).cached_from) for task in ("write", "read")] == [False, True]


def test_an_output_of_the_run_has_a_path_although_no_task_ran_here(
    options: dict[str, Any], memory: Memory, tmp_path: Path
) -> None:
    @dsl.pipeline
    def making() -> Dataset:
        return write(text="content").outputs["data"]

    options["enable_caching"] = True
    local.run(making, **options)
    shutil.rmtree(tmp_path / "state" / ".payloads")
    assert Path(local.run(making, **options).output.path).read_text() == "content"


def test_a_run_is_resumed_with_its_artifact_root(options: dict[str, Any], memory: Memory, tmp_path: Path) -> None:
    gate, state = tmp_path / "gate", tmp_path / "state"
    with pytest.raises(TaskFailed):
        local.run(passing, {"fails_without": str(gate)}, **options)
    before = memory.keys("s3://data")
    gate.touch()
    output = local.resume("latest", runner=RUNNER, pipeline_root=state, quiet=True).output
    assert output.startswith("s3://data/runs/")
    assert memory.keys("s3://data") == before, "nothing is uploaded again"


def test_a_resumed_run_uploads_to_its_artifact_root(options: dict[str, Any], memory: Memory, tmp_path: Path) -> None:
    with pytest.raises(TaskFailed):
        local.run(passing, {"fails_without": str(tmp_path / "gate")}, **options)
    (tmp_path / "gate").touch()
    local.resume("latest", from_task="write", runner=RUNNER, pipeline_root=tmp_path / "state", quiet=True)
    assert [key for key in memory.keys("s3://data") if "write@1/data" in key]


def test_a_payload_that_is_gone_is_made_again(options: dict[str, Any], memory: Memory, tmp_path: Path) -> None:
    with pytest.raises(TaskFailed):
        local.run(passing, {"fails_without": str(tmp_path / "gate")}, **options)
    for key in memory.keys("s3://data"):
        memory.delete(f"s3://data/{key}")
    (tmp_path / "gate").touch()
    local.resume("latest", runner=RUNNER, pipeline_root=tmp_path / "state", quiet=True)
    assert [key for key in memory.keys("s3://data") if "write@1/data" in key]


def test_a_task_is_rerun_with_the_artifact_root_of_its_run(
    options: dict[str, Any], memory: Memory, tmp_path: Path
) -> None:
    local.run(passing, **options)
    local.rerun_task("latest", "write", runner=RUNNER, pipeline_root=tmp_path / "state", quiet=True)
    rerun = local.runs(tmp_path / "state")[0]
    assert f"runs/{rerun.id}/write/data" in memory.keys("s3://data")


def test_the_placeholder_of_the_pipeline_root_is_the_artifact_root(options: dict[str, Any]) -> None:
    @dsl.component
    def same(root: str) -> str:
        return root

    @dsl.pipeline
    def placeholder() -> str:
        return same(root=dsl.PIPELINE_ROOT_PLACEHOLDER).output

    assert local.run(placeholder, **options).output == "s3://data/runs"


def test_the_caller_gets_artifacts_with_paths_that_can_be_passed_on(
    options: dict[str, Any], memory: Memory, tmp_path: Path
) -> None:
    data = local.run(write, {"text": "content"}, **options).outputs["data"]
    assert Path(data.path).read_text() == "content"
    shutil.rmtree(tmp_path / "state" / ".payloads")
    assert local.run(read_one, {"data": data}, **options).output == "content"


# --- artifacts of no run ----------------------------------------------------------------------------------------------


def test_an_importer_imports(local_options: dict[str, Any], memory: Memory) -> None:
    memory.write("gs://other/data.csv", b"a,b")
    assert local.run(importing, {"uri": "gs://other/data.csv"}, **local_options).output == "a,b"


def test_an_importer_of_nothing_fails_with_its_uri(local_options: dict[str, Any], memory: Memory) -> None:
    with pytest.raises(TaskFailed, match="it cannot import s3://other/none: nothing is there"):
        local.run(importing, {"uri": "s3://other/none"}, **local_options)


def test_what_is_imported_is_cached_by_content(local_options: dict[str, Any], memory: Memory, tmp_path: Path) -> None:
    local_options["enable_caching"] = True

    for content, is_cached in ((b"a", False), (b"a", True), (b"b", False), (b"a", True)):
        memory.write("s3://other/data", content)
        assert local.run(importing, {"uri": "s3://other/data"}, **local_options).output == content.decode()
        run = local.runs(tmp_path / "root")[0]
        assert [bool(run.task(task).cached_from) for task in ("importer", "read-one")] == [is_cached, is_cached]


def test_a_folder_is_imported(local_options: dict[str, Any], memory: Memory) -> None:
    for part in ("a", "b/c"):
        memory.write(f"s3://other/tree/{part}", part.encode())

    @dsl.component
    def files(data: Input[Dataset]) -> list[str]:
        import os

        return sorted(
            os.path.join(top, each)[len(data.path) :] for top, _, names in os.walk(data.path) for each in names
        )

    @dsl.pipeline
    def importing_tree() -> list[str]:
        return files(data=dsl.importer(artifact_uri="s3://other/tree/", artifact_class=Dataset).output).output

    assert local.run(importing_tree, **local_options).output == ["/a", "/b/c"]


def test_an_argument_is_downloaded(local_options: dict[str, Any], memory: Memory) -> None:
    memory.write("az://other/data", b"content")
    assert local.run(read_one, {"data": Dataset(uri="az://other/data")}, **local_options).output == "content"


def test_the_uri_alone_is_enough_for_a_task(
    local_options: dict[str, Any], memory: Memory, capfd: pytest.CaptureFixture[str]
) -> None:
    assert local.run(name, {"data": Dataset(uri="s3://other/none")}, **local_options).output == "s3://other/none"
    assert "Nothing is at s3://other/none. Tasks that only use its URI run; others will fail." in capfd.readouterr().err
    assert local.run(name, {"data": Dataset(uri="hdfs://other/a")}, **local_options).output == "hdfs://other/a"


def test_a_download_into_the_workspace(local_options: dict[str, Any], memory: Memory) -> None:
    memory.write("s3://other/data", b"content")

    @dsl.pipeline(pipeline_config=dsl.PipelineConfig(workspace=dsl.WorkspaceConfig(size="1Gi")))
    def downloading() -> str:
        data = dsl.importer(artifact_uri="s3://other/data", artifact_class=Dataset, download_to_workspace=True)
        return read_one(data=data.output).output

    assert local.run(downloading, **local_options).output == "content"


def test_the_web_is_imported_from(local_options: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "data").write_text("content")

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  as it is called there
            """Do nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(tmp_path / "served"))) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        uri = f"http://127.0.0.1:{server.server_port}"
        assert local.run(importing, {"uri": f"{uri}/data"}, **local_options).output == "content"
        with pytest.raises(TaskFailed, match="it cannot import http://.*/none: nothing is there"):
            local.run(importing, {"uri": f"{uri}/none"}, **local_options)
        server.shutdown()


def test_a_uri_that_no_client_takes_is_an_error(local_options: dict[str, Any]) -> None:
    with pytest.raises(TaskFailed, match="it cannot import s3://my bucket/data: .*invalid name of a bucket"):
        local.run(importing, {"uri": "s3://my bucket/data"}, **local_options)


# --- without the extra ------------------------------------------------------------------------------------------------


@pytest.fixture
def without_client(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("obstore", "obstore.store"):
        monkeypatch.setitem(sys.modules, module, None)


def test_a_root_in_a_store_needs_the_extra(without_client: None, tmp_path: Path) -> None:
    with pytest.raises(
        ArgumentError, match=r"obstore is not installed\. Install it with: pip install 'standpipe\[stores\]"
    ):
        local.run(passing, runner=RUNNER, pipeline_root="s3://data/runs", state_root=tmp_path)


def test_tasks_that_use_uris_need_no_extra(
    without_client: None, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = partial(local.run, runner=RUNNER, pipeline_root=tmp_path, quiet=True)
    assert run(naming, {"uri": "s3://data/a"}).output == "s3://data/a"
    assert "Cannot import s3://data/a: the package obstore is not installed. Install" in capfd.readouterr().err
    assert run(name, {"data": Dataset(uri="s3://data/b")}).output == "s3://data/b"


def test_this_machine_keeps_no_more_payloads_than_it_may(options: dict[str, Any], tmp_path: Path) -> None:
    local.run(write, {"text": "x" * 10_000}, payload_cache_size="15k", **options)
    kept = [path for path in (tmp_path / "state" / ".payloads").rglob("payload/**/*") if path.is_file()]
    kept += [path for path in (tmp_path / "state" / ".payloads").glob("*/payload") if path.is_file()]
    assert len(kept) == 1


# --- history and deletion ---------------------------------------------------------------------------------------------


def test_an_artifact_has_a_path_as_long_as_this_machine_has_a_copy(
    options: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    local.run(passing, **options)
    data = next(each for each in local.get_run("latest", tmp_path / "state").artifacts if each.name == "data")
    copy, exists = data.path, data.exists
    assert copy
    assert copy.read_text() == "content"
    assert exists
    assert main(["open", "latest", "data", "--cat", "--root", str(tmp_path / "state")]) == 0
    assert capsys.readouterr().out == "content"
    shutil.rmtree(tmp_path / "state" / ".payloads")
    copy, exists = data.path, data.exists
    assert (copy, exists) == (None, None)
    assert main(["artifacts", "latest", "--root", str(tmp_path / "state")]) == 0
    assert data.uri in capsys.readouterr().out


def test_a_deleted_run_leaves_nothing_in_the_store(
    options: dict[str, Any], memory: Memory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    local.run(passing, **options)
    local.run(passing, **options)
    newest, oldest = local.runs(tmp_path / "state")
    assert main(["delete", newest.id, "--root", str(tmp_path / "state")]) == 0
    assert {key.split("/")[1] for key in memory.keys("s3://data")} == {oldest.id}


def test_artifacts_that_cannot_be_deleted_are_named(
    options: dict[str, Any],
    memory: Memory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    local.run(passing, **options)
    (run,) = local.runs(tmp_path / "state")

    def fail(bucket: str, access: Access) -> Bucket:
        raise StorageError(f"Cannot use {bucket}: the server does not answer.")

    monkeypatch.setattr(clients, "connect", fail)
    assert main(["delete", "latest", "--root", str(tmp_path / "state")]) == 1
    assert f"remove those below s3://data/runs/{run.id} (Cannot use s3://data: the server" in capsys.readouterr().err
    assert local.runs(tmp_path / "state") == []


@pytest.mark.parametrize("variable", ["AWS_SECRET_ACCESS_KEY", "FSSPEC_SFTP_PASSWORD"])
def test_credentials_are_redacted(
    variable: str, options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "s3cr3t-k3y-of-the-test")

    @dsl.component
    def leak(variable: str) -> str:
        import os

        print(os.environ[variable])
        return os.environ[variable]

    local.run(leak, {"variable": variable}, **options)
    texts = {
        path.name: path.read_bytes()
        for path in (tmp_path / "state").rglob("*")
        if path.is_file() and path.name != "executor_output.json"  # the task's own file, which nobody else reads
    }
    assert [name for name, text in texts.items() if b"s3cr3t-k3y-of-the-test" in text] == []
    assert b"***" in texts["log.txt"]


def test_a_dry_run_looks_results_up_and_writes_nothing(options: dict[str, Any], memory: Memory, tmp_path: Path) -> None:
    options["enable_caching"] = True
    local.run(passing, **options)
    before = memory.keys("s3://data")
    assert all(task.cached_from for task in local.dry_run(passing, **options).run.tasks)
    memory.write("s3://other/data")
    reasons = local.dry_run(importing, {"uri": "s3://other/data"}, **options).uncached
    assert reasons["importer"] == "what is at its URI is not looked up"
    assert memory.keys("s3://data") == before
    assert len(local.runs(tmp_path / "state")) == 1
