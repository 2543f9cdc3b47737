"""Paths of this machine that tasks name: which of them containers may see."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from standpipe.execution.contract import OutputError
from standpipe.execution.host_paths import HostPaths, InputRefused
from standpipe.model.attempts import CommandLine, Mount, PodSettings, TaskRequest
from standpipe.model.refs import TaskRef
from standpipe.model.types import ArtifactType
from standpipe.model.values import ArtifactValue, Value

KIND = ArtifactType("system.Dataset")


def artifact(location: object, custom_path: object = "") -> ArtifactValue:
    return ArtifactValue("data", KIND, str(location), custom_path=str(custom_path))


class Machine:
    """A machine with a pipeline root that has two attempts, a workspace, and a folder of the caller."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "project" / "root"
        self.own, self.other = (self.root / "run" / name for name in ("own", "other"))
        for attempt in (self.own, self.other):
            attempt.mkdir(parents=True)
            for name in ("log.txt", "out"):
                (attempt / name).touch()
        (self.root / "runs.sqlite").touch()
        self.workspace = self.root / "run" / ".workspace"
        self.brought, self.canary = folder / "project" / "brought", folder / "canary"
        for path in (self.workspace, self.brought, self.canary):
            path.mkdir()
            (path / "file").touch()
        self.arguments: list[Value] = []
        self.paths = HostPaths(self.root, self.workspace, ("/kfp-workspace", "/mnt"), lambda: self.arguments)

    def check(self, named: ArtifactValue, *inputs: ArtifactValue, volumes: tuple[Mount, ...] = ()) -> Value:
        """Return the output of the attempt `own`, as other tasks get it."""
        pod = PodSettings(mounts=volumes)
        ref = TaskRef((("own", None),))
        request = TaskRequest("run", ref, 0, "image", CommandLine((), ()), {}, self.own, self.root, pod=pod)
        return self.paths.check_outputs({"out": named, "n": 1}, {"in": list(inputs)}, request)["out"]

    def mounts(self, *inputs: ArtifactValue) -> list[tuple[str, str]]:
        """Return the sources and paths of the mounts of a task with these inputs."""
        return [(str(mount.source), mount.path) for mount in self.paths.list_inputs({"in": list(inputs)}, ())]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize(
    "name", ["canary", "canary/file", "project/root", "project/root/runs.sqlite", "project/root/run", "project", ""]
)
@pytest.mark.parametrize("how", ["uri", "custom path", "parent folder", "link", "link of a folder"])
def test_a_task_must_not_name_what_it_cannot_read(machine: Machine, tmp_path: Path, name: str, how: str) -> None:
    path = tmp_path / name
    location: Path | str = path
    if how == "parent folder":
        location = f"{machine.own}/../../../../{name}"
    if how.startswith("link"):
        location = machine.own / "link"
        location.symlink_to(path.parent if how == "link of a folder" else path)
        location = location / path.name if how == "link of a folder" else location
    named = artifact("gs://bucket/out", location) if how == "custom path" else artifact(location)
    with pytest.raises(OutputError, match=rf"its output 'out' names .*{path.resolve()}, which no container may see"):
        machine.check(named)
    with pytest.raises(InputRefused, match=r"its input 'in' is at .*which no container may see.*Rerun the task"):
        machine.mounts(named)
    assert not machine.paths.may_use(named.location)


def test_a_task_must_not_name_what_another_one_has_left(machine: Machine) -> None:
    with pytest.raises(OutputError, match="no container may see"):
        machine.check(artifact(machine.other / "out"))
    assert machine.check(artifact(machine.other / "out"), artifact(machine.other / "out"))


@pytest.mark.parametrize("name", ["own", "own/out", "own/missing", ".workspace", ".workspace/file"])
def test_a_task_may_name_its_own_files_and_the_workspace(machine: Machine, name: str) -> None:
    named = artifact(machine.root / "run" / name)
    assert machine.check(named) == named
    assert machine.mounts(named) == ([] if "missing" in name else [(named.uri, named.uri)])
    assert machine.paths.may_use(named.uri)


@pytest.mark.parametrize(
    "uri", ["gs://bucket/object", "s3://b/..k", "text", "nul\0byte", "/kfp-workspace/x", "/nowhere"]
)
def test_what_is_no_file_of_this_machine_is_not_mounted(machine: Machine, uri: str) -> None:
    assert machine.check(artifact(uri)) == artifact(uri)
    assert machine.mounts(artifact(uri)) == []


@pytest.mark.parametrize("uri", ["gs://../etc", "minio://bucket/../../etc"])
def test_a_remote_uri_must_not_lead_out_of_its_mount_point(machine: Machine, uri: str) -> None:
    with pytest.raises(OutputError, match="no container may see"):
        machine.check(artifact(uri))
    assert not machine.paths.may_import(uri)


def test_a_path_in_a_volume_is_not_that_of_this_machine(machine: Machine) -> None:
    volume = Mount(machine.workspace, str(machine.canary))
    named = artifact(machine.canary / "file")
    assert machine.check(named, volumes=(volume,)) == named
    assert machine.paths.list_inputs({"in": named}, [volume]) == ()


def test_a_custom_path_in_the_container_is_that_of_the_copy(machine: Machine) -> None:
    named = artifact(machine.own / "out", machine.canary)
    assert machine.check(named) == artifact(machine.own / "out")
    inner = artifact(machine.own / "missing", machine.own / "out")
    assert machine.check(inner) == inner


def test_a_task_may_name_artifacts_that_the_caller_passed_in(machine: Machine) -> None:
    machine.arguments = ["text", str(machine.canary), [artifact(machine.brought)]]
    inner = artifact(machine.brought / "file")
    assert machine.check(inner) == inner
    assert machine.mounts(inner, artifact(machine.brought)) == [
        (str(machine.brought / "file"), str(machine.brought / "file")),
        (str(machine.brought), str(machine.brought)),
    ]
    with pytest.raises(OutputError):  # a text is not an artifact
        machine.check(artifact(machine.canary))


def test_a_folder_of_the_caller_above_the_root_does_not_open_the_root(machine: Machine) -> None:
    machine.arguments = [artifact(machine.root.parent)]
    assert machine.check(artifact(machine.brought))
    for path in (machine.root, machine.root / "runs.sqlite", machine.other):
        with pytest.raises(OutputError):
            machine.check(artifact(path))


def test_an_importer_may_import_what_no_task_has_made(machine: Machine) -> None:
    assert not machine.paths.may_import(str(machine.canary))
    assert not machine.paths.may_import(str(machine.other / "out"))
    assert machine.paths.may_import(str(machine.workspace / "file"))
    assert machine.paths.may_import("https://host/data")
    machine.paths.add_import(str(machine.canary))
    assert machine.paths.may_import(str(machine.canary / "file"))
    assert machine.mounts(artifact(machine.canary)) == [(str(machine.canary), str(machine.canary))]


def test_a_link_in_an_attempt_is_mounted_as_what_it_leads_to(machine: Machine) -> None:
    link = machine.other / "link"
    link.symlink_to("out")
    assert machine.mounts(artifact(link)) == [(str(machine.other / "out"), str(link))]


def test_a_volume_in_the_root_is_no_attempt(machine: Machine) -> None:
    volume = machine.root / "pvcs" / "data"
    volume.mkdir(parents=True)
    (volume / "log.txt").touch()
    assert not machine.paths.may_use(str(volume / "log.txt"))


def test_a_root_behind_a_link_is_the_same_root(machine: Machine, tmp_path: Path) -> None:
    os.symlink(machine.root, tmp_path / "shortcut")
    paths = HostPaths(tmp_path / "shortcut", None, (), list)
    (mount,) = paths.list_inputs({"in": artifact(tmp_path / "shortcut" / "run" / "other" / "out")}, ())
    assert mount.source == machine.other / "out"
    assert mount.path == str(tmp_path / "shortcut" / "run" / "other" / "out")


def test_a_mount_is_at_the_path_that_was_checked(machine: Machine) -> None:
    """An engine drops `..` from a path before it looks at links, which would mount the file of a task anywhere."""
    (machine.own / "a" / "b").mkdir(parents=True)
    (machine.own / "link").symlink_to("a/b")
    (machine.own / "file").touch()
    location = machine.own / "link" / ".." / ".." / "file"  # for an engine, `file` beside the attempt
    with pytest.raises(OutputError, match="which no container may see"):
        machine.check(artifact(location))
    with pytest.raises(InputRefused, match="which no container may see"):
        machine.mounts(artifact(location))
    plain = machine.own / "a" / ".." / "file"
    assert machine.mounts(artifact(plain)) == [(str(machine.own / "file"), str(plain))]


def test_an_importer_copies_nothing_from_a_path_at_which_containers_have_a_volume(machine: Machine) -> None:
    assert machine.paths.may_import("/mnt")
    assert not machine.paths.may_copy("/mnt")
    assert machine.paths.may_copy(str(machine.workspace / "file"))
    (machine.workspace / "link").symlink_to(machine.canary)
    assert not machine.paths.may_copy(str(machine.workspace / "link" / "file"))
