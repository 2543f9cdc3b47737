"""Containers that leave links, FIFOs, devices and endless files: such a task fails, and the host reads none of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from standpipe import dsl, local
from standpipe.errors import TaskFailed
from standpipe.history.records import Status
from standpipe.support.untrusted_files import remove_path

from .docker_engine import IMAGE

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("docker_client")]

#: What a shell puts at "$p", and what the host says of it.
KINDS = {
    "link to a file of the host": ('ln -s "$2" "$p"', "is a symbolic link"),
    "link to a device": ('ln -s /dev/zero "$p"', "is a symbolic link"),
    "FIFO": ('mkfifo "$p"', "is a FIFO"),
    "device": ('mknod "$p" c 1 5', "is a device"),
    "folder": ('mkdir "$p"', "is a folder"),
    "sparse": ('truncate -s 5G "$p"', "has 5 GiB: expected at most"),
}


@dsl.container_component
def leave(script: str, name: str, canary: str, text: dsl.OutputPath(str)):  # type: ignore[no-untyped-def,valid-type]
    return dsl.ContainerSpec(
        image=IMAGE, command=["sh", "-c", 'p="$(dirname "$3")/$1"; eval "$0"'], args=[script, name, canary, text]
    )


@dsl.container_component
def say():  # type: ignore[no-untyped-def]
    return dsl.ContainerSpec(image=IMAGE, command=["echo", "sibling"])


@dsl.pipeline
def hostile(script: str, name: str, canary: str) -> None:
    leave(script=script, name=name, canary=canary)
    say()


@pytest.mark.parametrize("name", ["executor_output.json", "text"])
@pytest.mark.parametrize("kind", KINDS)
def test_only_files_of_a_container_are_read(tmp_path: Path, kind: str, name: str) -> None:
    canary, root = tmp_path / "canary", tmp_path / "root"
    canary.write_text('{"parameterValues": {"text": "of the user"}}')
    script, message = KINDS[kind]
    arguments = {"script": script, "name": name, "canary": str(canary)}
    runner = local.DockerRunner(cap_add=["MKNOD"])  # which Podman does not give
    with pytest.raises(TaskFailed, match=f"cannot be read: .*/leave/{name} {message}"):
        local.run(hostile, arguments, runner=runner, pipeline_root=root, quiet=True)
    (run,) = local.runs(root)
    assert "of the user" not in str(run)
    assert run.task("say").status is Status.SUCCEEDED


def test_permissions_and_owners_do_not_change_behind_a_link(tmp_path: Path) -> None:
    """The task's user is another one, so that the host opens its folder and reclaims it."""
    outside, root = tmp_path / "outside", tmp_path / "root"
    outside.mkdir(mode=0o750)
    (outside / "canary").write_text("of the user")
    (outside / "canary").chmod(0o640)

    @dsl.container_component
    def swap(canary: str, text: dsl.OutputPath(str)):  # type: ignore[no-untyped-def,valid-type]
        script = 'echo x > "$1"; ln -s "$0" "$(dirname "$1")/link"; mkdir "$(dirname "$1")/sub"'
        return dsl.ContainerSpec(image=IMAGE, command=["sh", "-c", script], args=[canary, text])

    local.run(swap, {"canary": str(outside)}, runner=local.DockerRunner(user="1234"), pipeline_root=root, quiet=True)
    assert outside.stat().st_mode & 0o777 == 0o750
    assert (outside / "canary").stat().st_mode & 0o777 == 0o640
    assert {path.lstat().st_uid for path in outside.rglob("*")} == {outside.stat().st_uid}


@pytest.mark.parametrize("user", ["0", "1234"])
def test_folders_may_be_deeper_than_python_can_recurse(tmp_path: Path, user: str) -> None:
    @dsl.container_component
    def nest(text: dsl.OutputPath(str)):  # type: ignore[no-untyped-def,valid-type]
        script = 'echo x > "$0"; cd "$(dirname "$0")"; for i in $(seq 1500); do mkdir d && cd -P d; done'
        return dsl.ContainerSpec(image=IMAGE, command=["sh", "-c", script], args=[text])

    run = local.run(nest, runner=local.DockerRunner(user=user), pipeline_root=tmp_path, quiet=True)
    assert run.outputs["text"].strip() == "x"
    remove_path(tmp_path / local.runs(tmp_path)[0].id, tmp_path)


def test_an_importer_does_not_copy_what_links_in_the_workspace_lead_to(tmp_path: Path) -> None:
    canary, root = tmp_path / "canary", tmp_path / "root"
    canary.write_text("of the user")

    @dsl.container_component
    def leave_link(canary: str, text: dsl.OutputPath(str)):  # type: ignore[no-untyped-def,valid-type]
        script = 'mkdir /kfp-workspace/data; ln -s "$0" /kfp-workspace/data/link; run="$(dirname "$(dirname "$1")")"; '
        script += 'printf %s "$run/.workspace/data" > "$1"'
        return dsl.ContainerSpec(image=IMAGE, command=["sh", "-c", script], args=[canary, text])

    @dsl.pipeline(pipeline_config=dsl.PipelineConfig(workspace=dsl.WorkspaceConfig(size="1Gi")))
    def importing(canary: str) -> None:
        uri = leave_link(canary=canary).outputs["text"]
        dsl.importer(artifact_uri=uri, artifact_class=dsl.Dataset, download_to_workspace=True)

    with pytest.raises(TaskFailed, match="link, which a task probably created, leads to .*/canary, outside of"):
        local.run(importing, {"canary": str(canary)}, runner=local.DockerRunner(), pipeline_root=root, quiet=True)
    files = [path for path in root.rglob("*") if path.is_file() and not path.is_symlink()]
    assert [path for path in files if "of the user" in path.read_text("latin-1")] == []
