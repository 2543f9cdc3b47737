"""What a container sees of this machine: its own attempt, its inputs and the volumes of the run, and nothing else."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from standpipe import dsl, local
from standpipe.errors import TaskFailed
from standpipe.local import run

from .docker_engine import variant

if TYPE_CHECKING:
    from docker import DockerClient

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("docker_client")]

WORKSPACE = dsl.PipelineConfig(workspace=dsl.WorkspaceConfig(size="1Gi"))


@dsl.component
def write(text: str, data: dsl.Output[dsl.Dataset], folder: dsl.Output[dsl.Model]) -> str:
    import os

    with open(data.path, "w") as file:
        file.write(text)
    os.makedirs(folder.path)
    with open(os.path.join(folder.path, "part"), "w") as file:
        file.write(text)
    return text


@dsl.component
def look(
    data: dsl.Input[dsl.Dataset], folder: dsl.Input[dsl.Model], forbidden: list, own: dsl.Output[dsl.Dataset]
) -> dict:
    """Return what can be read, and what of this machine is mounted."""
    import os

    with open(data.path) as file, open(os.path.join(folder.path, "part")) as part:
        read = file.read() + part.read()
    with open(own.path, "w") as file:
        file.write("own")
    with open("/proc/self/mountinfo") as file:
        fields = [line.split() for line in file]
    root = os.path.dirname(os.path.dirname(os.path.dirname(own.path)))
    return {
        "read": read,
        "mounts": sorted(each[4] for each in fields if each[4].startswith(root)),
        "visible": [path for path in forbidden if os.path.exists(os.path.join(root, path))],
        "root": sorted(name for _, _, names in os.walk(root) for name in names),
    }


@dsl.pipeline(pipeline_config=WORKSPACE)
def looking(forbidden: list) -> dict:
    written = write(text="x")
    write(text="of another task")
    return look(data=written.outputs["data"], folder=written.outputs["folder"], forbidden=forbidden).outputs["Output"]


@dsl.component
def name_path(how: str, path: str, data: dsl.Output[dsl.Dataset]) -> str:
    import os

    if how == "uri":
        data.uri = path
    elif how == "custom path":
        data.custom_path = path
    elif how == "link":
        os.symlink(path, data.path)
    elif how == "metadata":
        data.metadata["_kfp_workspace"] = True
        data.uri = path
    elif how == "parents":
        data.uri = os.path.join(os.path.dirname(data.path), "..", "..", "..", path)
    return path


@dsl.component
def read_names(data: dsl.Input[dsl.Dataset]) -> str:
    import os

    return str(os.listdir(data.path))


@dsl.pipeline
def naming(how: str, path: str) -> str:
    return read_names(data=name_path(how=how, path=path).outputs["data"]).output


@dsl.pipeline
def importing_of_task(path: str) -> str:
    named = name_path(how="", path=path)
    return read_names(data=dsl.importer(named.outputs["Output"], dsl.Dataset).output).output


@dsl.pipeline
def importing(path: str) -> str:
    return read_names(data=dsl.importer(path, dsl.Dataset).output).output


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    (tmp_path / "canary").mkdir()
    (tmp_path / "canary" / "secret").write_text("secret")
    return tmp_path / "canary"


@pytest.fixture
def call(tmp_path: Path) -> Callable[..., Any]:
    """Run a pipeline in containers, and return its output."""

    def run_in_containers(pipeline: Any, options: dict[str, Any] | None = None, **arguments: Any) -> Any:
        runner = local.DockerRunner(network_mode="none")
        root = tmp_path / "root"
        return run(pipeline, arguments, runner=runner, pipeline_root=root, quiet=True, **options or {}).output

    return run_in_containers


def test_a_container_sees_its_attempt_and_its_inputs(tmp_path: Path, call: Callable[..., Any]) -> None:
    call(looking, {"enable_caching": True}, forbidden=[])
    (earlier,) = (path.name for path in (tmp_path / "root").iterdir() if path.is_dir())
    (tmp_path / "root" / earlier / "mine").touch()
    forbidden = ["runs.sqlite", "cache.sqlite", earlier]
    seen = call(looking, forbidden=forbidden)
    folder = max(path for path in (tmp_path / "root").iterdir() if path.is_dir())
    assert all((tmp_path / "root" / name).exists() for name in forbidden)
    assert seen["read"] == "xx"
    assert seen["mounts"] == [str(folder / path) for path in ("look", "write/data", "write/folder")]
    assert seen["visible"] == []
    assert seen["root"] == ["data", "log.txt", "own", "part", "request.json"]


@pytest.mark.parametrize("how", ["uri", "custom path", "link", "metadata"])
def test_a_path_that_a_task_names_is_refused(canary: Path, call: Callable[..., Any], how: str) -> None:
    with pytest.raises(
        TaskFailed, match=rf"'name-path' failed: its output 'data' names .*{canary}, which no container"
    ):
        call(naming, how=how, path=str(canary))


def test_a_path_that_leads_out_by_its_parents_is_refused(canary: Path, call: Callable[..., Any]) -> None:
    with pytest.raises(TaskFailed, match=rf"its output 'data' names .*{canary}, which no container may see"):
        call(naming, how="parents", path=canary.name)


def test_a_path_that_a_task_returns_is_not_imported(canary: Path, call: Callable[..., Any]) -> None:
    with pytest.raises(TaskFailed, match=f"'importer' failed: it cannot import {canary}"):
        call(importing_of_task, path=str(canary))
    assert call(importing, path=str(canary)) == "['secret']"


def test_a_task_that_writes_to_its_input_gets_a_hint(call: Callable[..., Any]) -> None:
    @dsl.component
    def overwrite(data: dsl.Input[dsl.Dataset]) -> None:
        with open(data.path, "a") as file:
            file.write("more")

    @dsl.pipeline
    def overwriting() -> None:
        overwrite(data=write(text="x").outputs["data"])

    with pytest.raises(TaskFailed, match=r"(?s)Read-only file system.*Copy the input first"):
        call(overwriting)


def test_a_hundred_inputs_and_nested_ones(call: Callable[..., Any]) -> None:
    @dsl.component
    def make(number: int, data: dsl.Output[dsl.Dataset]) -> None:
        with open(data.path, "w") as file:
            file.write(str(number))

    @dsl.component
    def whole(data: dsl.Output[dsl.Dataset], folder: dsl.Output[dsl.Dataset]) -> None:
        import os

        os.makedirs(folder.path)
        data.uri = os.path.join(folder.path, "part")
        with open(data.path, "w") as file:
            file.write("part")

    @dsl.component
    def total(items: dsl.Input[list[dsl.Dataset]], part: dsl.Input[dsl.Dataset], folder: dsl.Input[dsl.Dataset]) -> str:
        import os

        def read(path: str) -> str:
            with open(path) as file:
                return file.read()

        return f"{sum(int(read(item.path)) for item in items)} {read(part.path)} {os.listdir(folder.path)}"

    @dsl.pipeline
    def collecting(numbers: list) -> str:
        with dsl.ParallelFor(numbers, parallelism=8) as number:
            made = make(number=number)
        parts = whole()
        collected = dsl.Collected(made.outputs["data"])
        return total(items=collected, part=parts.outputs["data"], folder=parts.outputs["folder"]).output

    assert call(collecting, numbers=list(range(40))) == "780 part ['part']"


@pytest.mark.parametrize("group_access", [False, True])
@pytest.mark.parametrize("user", ["0", "1001"])
def test_what_containers_leave_is_for_the_user_or_the_group(
    tmp_path: Path, call: Callable[..., Any], docker_client: DockerClient, *, user: str, group_access: bool
) -> None:
    with variant(docker_client, User=user) as image:

        @dsl.component(base_image=image)
        def write_all(data: dsl.Output[dsl.Dataset], folder: dsl.Output[dsl.Dataset]) -> int:
            import os

            os.makedirs(os.path.join(folder.path, "deep"), mode=0o700)
            for path in (data.path, os.path.join(folder.path, "deep", "private"), "/kfp-workspace/shared"):
                with open(path, "w") as file:
                    file.write("x")
                os.chmod(path, 0o600)
            return os.getuid()

        @dsl.component(base_image=image)
        def read_all(
            data: dsl.Input[dsl.Dataset], folder: dsl.Input[dsl.Dataset], given: dsl.Input[dsl.Dataset]
        ) -> str:
            text = ""
            for path in (data.path, f"{folder.path}/deep/private", given.path, "/kfp-workspace/shared"):
                with open(path) as file:
                    text += file.read()
            return text

        @dsl.pipeline(pipeline_config=WORKSPACE)
        def passing(path: str) -> str:
            made = write_all()
            given = dsl.importer(path, dsl.Dataset, download_to_workspace=True)
            return read_all(data=made.outputs["data"], folder=made.outputs["folder"], given=given.output).output

        (tmp_path / "given").write_text("y")
        (tmp_path / "given").chmod(0o600)
        assert call(passing, {"group_access": group_access}, path=str(tmp_path / "given")) == "xxyx"
    (folder,) = (path for path in (tmp_path / "root").iterdir() if path.is_dir())
    assert stat.S_IMODE(folder.stat().st_mode) == (0o770 if group_access else 0o700)
    of_attempt = [folder / "read-all", *(folder / "read-all").rglob("*")]
    if user == "0":
        of_attempt += [folder / "write-all", *(folder / "write-all").rglob("*")]
    expected = {0o660, 0o770} if group_access else {0o600, 0o700}
    assert {stat.S_IMODE(path.stat().st_mode) for path in of_attempt} == expected
    assert {path.stat().st_uid for path in folder.rglob("*")} == {os.geteuid()}
