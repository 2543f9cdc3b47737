"""Attempts on another machine: one side of the tests is the program's, the other a node's with the same paths."""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from standpipe.artifact_stores.remote import RemoteArtifactStore
from standpipe.errors import StorageError
from standpipe.model.attempts import TaskRequest
from standpipe.model.cancellation import Cancellation
from standpipe.model.values import ArtifactValue
from standpipe.runners.transport.archive import RUNNERS, TRANSPORT, make_archive
from standpipe.runners.transport.bundle import pack_files, pack_request, unpack_files, unpack_request
from standpipe.runners.transport.node import (
    find_local_inputs,
    make_folder,
    provided,
    refuse_local_inputs,
    remove_folder,
    store_outputs,
)
from tests.artifact_stores.contract import put, write
from tests.artifact_stores.servers import Memory, memory
from tests.runners.transport.requests import DATASET, ROOT, build

__all__ = ["memory"]

#: Runs a block on the other machine, which has nothing but what the block before has left there.
OnNode = Callable[[], AbstractContextManager[None]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def on_node(tmp_path: Path, root: Path) -> OnNode:
    """Return a context in which the pipeline root is that of a node: the other one is elsewhere meanwhile."""
    here, node = tmp_path / "of-program", tmp_path / "of-node"

    @contextmanager
    def switch() -> Iterator[None]:
        root.rename(here)
        if node.exists():
            node.rename(root)
        try:
            yield
        finally:
            if root.exists():
                root.rename(node)
            here.rename(root)

    return switch


@pytest.fixture
def stored(root: Path, memory: Memory) -> ArtifactValue:
    """Return an artifact of an earlier task, in the object store."""
    store = RemoteArtifactStore(root, ROOT, 10**9)
    folder = root / "run-0" / "make"
    folder.mkdir(parents=True)
    uri = store.locate(folder, "data")
    write(store, uri, "content")
    return ArtifactValue("data", DATASET, uri, checksum=put(store, uri))


def path_of(request: TaskRequest, name: str) -> Path:
    (artifact,) = request.executor_input["inputs"]["artifacts"][name]["artifacts"]
    return Path(artifact["customPath"])


def run(request: TaskRequest, task: Callable[[], None] = lambda: None) -> tuple[dict[str, Any], bytes]:
    """Run a task as a node does; return the checksums of its outputs, and its small files."""
    assert make_folder(request)
    with provided(request, Cancellation()) as store:
        task()
        checksums = store_outputs(store, request, Cancellation())
    content = pack_files(request, succeeded=True)
    remove_folder(request)
    return checksums, content


def test_a_node_has_inputs_at_their_paths_and_stores_outputs(
    root: Path, stored: ArtifactValue, memory: Memory, on_node: OnNode
) -> None:
    request = build(root, stored)
    content, checksum = pack_request(request)

    def task() -> None:
        (request.folder / "model").write_text(path_of(request, "data").read_text().upper())
        (request.folder / "Output").write_text("7")
        (request.folder / "executor_output.json").write_text("{}")

    with on_node():
        checksums, files = run(unpack_request(content, checksum), task)
        assert [path.name for path in root.iterdir()] == [".payloads"]
    assert {uri: each.size for uri, each in checksums.items()} == {f"{ROOT}/run-1/loop/0/task/model": 7}
    unpack_files(request, files)
    assert sorted(path.name for path in request.folder.iterdir()) == ["Output", "executor_output.json"]
    assert (request.folder / "Output").read_text() == "7"
    model = ArtifactValue("model", DATASET, f"{ROOT}/run-1/loop/0/task/model", checksum=next(iter(checksums.values())))
    store = RemoteArtifactStore(root, ROOT, 10**9)
    with store.provide([model], Cancellation()):
        assert Path(store.task_path(model)).read_text() == "CONTENT"


def test_a_folder_that_the_task_makes_is_an_output(root: Path, memory: Memory, on_node: OnNode) -> None:
    request = build(root)

    def task() -> None:
        (request.folder / "model" / "deep").mkdir(parents=True)
        (request.folder / "model" / "deep" / "file").write_text("x")

    root.mkdir(exist_ok=True)
    with on_node():
        run(request, task)
    assert memory.keys("s3://data") == ["runs/run-1/loop/0/task/model/deep/file"]


def test_a_uri_or_a_path_of_the_task_is_stored(root: Path, tmp_path: Path, memory: Memory, on_node: OnNode) -> None:
    request = build(root)
    (tmp_path / "elsewhere").write_text("from another path")
    entry = f'{{"uri": "{ROOT}/own/name", "custom_path": "{tmp_path}/elsewhere"}}'

    def task() -> None:
        text = f'{{"artifacts": {{"model": {{"artifacts": [{entry}]}}}}}}'
        (request.folder / "executor_output.json").write_text(text)
        (root / "own").mkdir()

    with on_node():
        checksums, _ = run(request, task)
    assert list(checksums) == [f"{ROOT}/own/name"]
    assert memory.keys("s3://data") == ["runs/own/name"]


def test_an_executor_output_that_is_no_json_is_for_the_program_to_report(
    root: Path, memory: Memory, on_node: OnNode
) -> None:
    request = build(root)
    with on_node():
        checksums, files = run(request, lambda: put_text(request.folder / "executor_output.json", "{"))
    unpack_files(request, files)
    assert not checksums
    assert (request.folder / "executor_output.json").read_text() == "{"


def put_text(path: Path, text: str) -> None:
    path.write_text(text)


def test_an_input_without_a_checksum_is_at_the_path_of_the_program(root: Path, memory: Memory, on_node: OnNode) -> None:
    memory.write("s3://other/data", b"first")
    request = build(root, ArtifactValue("data", DATASET, "s3://other/data"))
    memory.write("s3://other/data", b"second, which the program does not know")
    read: list[str] = []
    with on_node():
        run(request, lambda: read.append(path_of(request, "data").read_text()))
    assert read == ["second, which the program does not know"]


def test_an_input_that_is_a_file_of_the_program_is_named(root: Path, tmp_path: Path, memory: Memory) -> None:
    request = build(root, ArtifactValue("data", DATASET, str(tmp_path / "data"), custom_path=str(tmp_path / "data")))
    inputs = find_local_inputs(request)
    assert inputs == {"data": str(tmp_path / "data")}
    error = refuse_local_inputs(request, inputs, "The node 10.0.0.7", "Or share a disk.")
    assert str(error) == (
        f"The task 'loop/0/task' reads input artifacts that are files of the program's machine: 'data' "
        f"({tmp_path}/data). The node 10.0.0.7 does not see them. Put them into the object store, and import their "
        "URIs. Or share a disk."
    )


def test_an_input_of_the_object_store_is_no_file_of_the_program(root: Path, stored: ArtifactValue) -> None:
    assert find_local_inputs(build(root, stored)) == {}


def test_a_folder_that_is_there_is_shared(root: Path, memory: Memory) -> None:
    assert not make_folder(build(root))


def test_folders_of_a_node_have_the_permissions_of_the_run(root: Path, memory: Memory, on_node: OnNode) -> None:
    request = build(root)
    with on_node():
        make_folder(request)
        for path in (root, request.folder.parent, request.folder):
            assert path.stat().st_mode & 0o777 == 0o700


def test_attempts_make_and_remove_their_folders_at_once(root: Path, memory: Memory, on_node: OnNode) -> None:
    request = build(root)
    loop = request.folder.parent.parent
    requests = [replace(request, folder=loop / str(number) / "task") for number in range(4)]

    def make_and_remove(each: TaskRequest) -> None:
        for _ in range(200):
            assert make_folder(each)
            remove_folder(each)

    with on_node(), ThreadPoolExecutor(4) as pool:
        list(pool.map(make_and_remove, requests))
        assert list(root.iterdir()) == []


@pytest.mark.parametrize("kind", ["file", "link"])
def test_a_root_that_a_node_cannot_make_is_an_error(root: Path, tmp_path: Path, memory: Memory, kind: str) -> None:
    request = build(root)
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("missing")
    other = tmp_path / kind
    with pytest.raises(StorageError, match=rf"cannot be made on its node: .*/{kind}.*: .* Set state_root, which is "):
        make_folder(replace(request, pipeline_root=other, folder=other / "run-1" / "task"))


def test_a_folder_is_made_through_no_link(root: Path, tmp_path: Path, memory: Memory, on_node: OnNode) -> None:
    request = build(root)
    with on_node():
        root.mkdir()
        (root / "run-1").symlink_to(tmp_path)
        with pytest.raises(StorageError, match="run-1 is a symbolic link: expected a folder"):
            make_folder(request)


def test_what_a_failed_task_leaves_unreadable_is_left_out(root: Path, memory: Memory, on_node: OnNode) -> None:
    request = build(root)
    with on_node():
        make_folder(request)
        (request.folder / "Output").mkdir()
        (request.folder / "error.json").write_text("{}")
        with pytest.raises(StorageError, match="Output is a folder: expected a regular file"):
            pack_files(request, succeeded=True)
        files = pack_files(request, succeeded=False)
    unpack_files(request, files)
    assert [path.name for path in request.folder.iterdir()] == ["error.json"]


def test_a_request_arrives_with_all_that_moves_its_files(root: Path, stored: ArtifactValue) -> None:
    request = build(root, stored, ArtifactValue("other", DATASET, "s3://other/data", {"rows": 1}))
    arrived = unpack_request(*pack_request(request))
    assert replace(arrived, program=request.program) == request
    assert arrived.transfers is not None
    assert arrived.transfers.inputs[0].checksum == stored.checksum


def test_a_request_that_was_changed_on_the_way_is_not_read(root: Path, memory: Memory) -> None:
    content, checksum = pack_request(build(root))
    with pytest.raises(StorageError, match="was changed on its way"):
        unpack_request(content + b"\0", checksum)


@pytest.mark.parametrize("name", ["log.txt", "../task@1/Output", "/etc/passwd", "Output/../log.txt", "model"])
def test_a_node_writes_no_other_file_of_the_program(root: Path, memory: Memory, name: str) -> None:
    request = build(root)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(name, "x")
    with pytest.raises(StorageError, match="has sent a file that is not one of its small files"):
        unpack_files(request, content.getvalue())
    assert not list(request.folder.iterdir())


def test_a_file_is_written_through_no_link(root: Path, tmp_path: Path, memory: Memory) -> None:
    request = build(root)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("Output", "x")
    (request.folder / "Output").symlink_to(tmp_path / "target")
    with pytest.raises(StorageError, match="it exists already"):
        unpack_files(request, content.getvalue())
    assert not (tmp_path / "target").exists()


@pytest.mark.parametrize("content", [b"", b"PK\x05\x06 nothing", b"x" * 1000])
def test_files_that_did_not_arrive_whole_are_an_error(root: Path, memory: Memory, content: bytes) -> None:
    with pytest.raises(StorageError, match=r"The files of the task 'loop/0/task' did not arrive whole"):
        unpack_files(build(root), content)


@pytest.mark.parametrize(
    ("parts", "modules"), [(TRANSPORT, ("transport.node", "transport.bundle")), (RUNNERS, ("process.runner",))]
)
def test_a_machine_imports_from_the_archive_as_it_is(
    tmp_path: Path, parts: tuple[str, ...], modules: tuple[str, ...]
) -> None:
    (tmp_path / "code.zip").write_bytes(make_archive(parts)[0])
    imports = ", ".join(f"standpipe.runners.{module}" for module in modules)
    code = f"import sys; sys.path.insert(0, 'code.zip'); import {imports}; print(standpipe.__file__)"
    answer = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert answer.stdout.strip() == "code.zip/standpipe/__init__.py", answer.stderr
