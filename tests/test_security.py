"""Hostile names, links and URIs: no file is written outside of the roots, and none is writable for all users."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from standpipe import dsl, local
from standpipe.errors import StandpipeError, TaskFailed
from standpipe.ir import emit
from standpipe.local import FakeRunner
from standpipe.model.attempts import Outcome
from standpipe.model.plan import (
    Command,
    Component,
    Constant,
    Container,
    Dag,
    ExecutorRef,
    FromInput,
    Importer,
    Node,
    Plan,
)
from standpipe.model.types import ArtifactOutput, ArtifactType, ParameterInput, ParameterOutput, ParameterType
from standpipe.runners.api import LocalRunner

STRING = ParameterType.STRING
DATASET = ArtifactType("system.Dataset")
HOSTILE = [
    "../up",
    "../../../up",
    "..",
    ".",
    "/absolute",
    "a/../../up",
    "nul\0byte",
    "new\nline",
    "x" * 3000,
    "@1",
    "~",
]


@pytest.fixture
def places(tmp_path: Path) -> Iterator[Path]:
    """Return a folder for the pipeline root and the workspace, and check that no other file is written near it."""
    before = set(tmp_path.parent.iterdir())
    yield tmp_path
    assert {path.name for path in tmp_path.iterdir()} <= {"root", "workspace", "given.yaml", "outside"}
    assert set(tmp_path.parent.iterdir()) == before
    assert not Path("/absolute").exists()
    assert not list((tmp_path / "outside").glob("*"))


def run(places: Path, target: Any, runner: LocalRunner | None = None, **arguments: Any) -> Any:
    return local.run(
        target,
        arguments,
        runner=runner or FakeRunner(),
        pipeline_root=places / "root",
        workspace_root=places / "workspace",
        quiet=True,
    )


class Writing(FakeRunner):
    """Tasks that write each output to its path in the executor input, as containers do."""

    def open(self) -> Any:
        class Tasks(type(super().open())):  # type: ignore[misc]
            def run(self, request: Any, *, log: Any, cancel: Any) -> Outcome:
                log.write(b"written\n")
                outputs = request.executor_input["outputs"]
                for parameter in outputs["parameters"].values():
                    Path(parameter["outputFile"]).write_text("x")
                for artifacts in outputs["artifacts"].values():
                    Path(artifacts["artifacts"][0]["uri"]).write_text("payload")
                return Outcome(exit_code=0)

        return Tasks()


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_leads_out_of_the_pipeline_root(places: Path, name: str) -> None:
    outputs: dict[str, ParameterOutput | ArtifactOutput] = {
        name: ParameterOutput(STRING),
        f"{name}-data": ArtifactOutput(DATASET),
    }
    leaf = Component(ExecutorRef("exec"), {}, outputs)
    inner = Component(Dag({name: Node(name, "leaf")}))
    plan = Plan(
        name,
        Component(Dag({name: Node(name, "inner")})),
        {"leaf": leaf, "inner": inner},
        {"exec": Container("image", Command())},
        display_name=name,
    )
    run(places, component_from_plan(plan), Writing())
    logs = list((places / "root").rglob("log.txt"))
    assert [log.parent.parent.parent.parent for log in logs] == [places / "root"]
    assert len([path for path in logs[0].parent.iterdir() if path.is_file()]) == 3


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_in_a_compiled_file_leads_out_of_the_pipeline_root(places: Path, name: str) -> None:
    @dsl.container_component
    def taskword(outword: dsl.OutputPath(str), dataword: dsl.Output[dsl.Dataset]) -> dsl.ContainerSpec:  # type: ignore[valid-type]
        return dsl.ContainerSpec(image="image", command=["run", outword, dataword.path])

    @dsl.pipeline
    def pipeword() -> None:
        taskword()

    compiled = json.dumps(emit(pipeword.plan))
    for word in ("taskword", "pipeword", "outword", "dataword"):
        assert word in compiled
        compiled = compiled.replace(word, json.dumps(f"{name}{word[0]}" if word == "dataword" else name)[1:-1])
    (places / "given.yaml").write_text(compiled)
    run(places, places / "given.yaml", Writing())
    (log,) = (places / "root").rglob("log.txt")
    assert log.parent.parent.parent == places / "root"
    assert len([path for path in log.parent.iterdir() if path.is_file()]) == 3


def component_from_plan(plan: Plan) -> Any:
    from standpipe.dsl.components import component_from_plan

    return component_from_plan(plan)


@pytest.mark.parametrize(
    "uri",
    [
        "http://127.0.0.1:9/../../../up",
        "http://127.0.0.1:9/a/../../../../../up",
        "http://127.0.0.1:9/" + "x" * 5000,
        "http://127.0.0.1:9/nul\0byte",
        "http://127.0.0.1:9/new\nline",
        "http://[",
        "http://",
        "file:///../../up",
        "gs://../../up",
        "../up",
        "nul\0byte",
        "",
    ],
)
def test_no_uri_leads_out_of_the_workspace(places: Path, uri: str) -> None:
    made = Component(ExecutorRef("import"), {"uri": ParameterInput(STRING)}, {"artifact": ArtifactOutput(DATASET)})
    importer = Importer(FromInput("uri"), DATASET, download_to_workspace=True)
    root = Component(Dag({"import": Node("import", "importer", {"uri": Constant(uri)})}))
    with pytest.raises(TaskFailed, match="^Task 'import' failed: it "):
        run(places, component_from_plan(Plan("p", root, {"importer": made}, {"import": importer})))
    assert [path for path in (places / "workspace").rglob("*") if path.is_file()] == []


def test_downloads_do_not_follow_links_out_of_the_workspace(places: Path) -> None:
    (places / "outside").mkdir()
    source = places / "root" / "model" / "deep"
    source.mkdir(parents=True)
    (source / "weights").write_text("w")
    copy = places / "workspace" / ".artifacts" / str(source.parent).lstrip("/")

    @dsl.pipeline
    def imports(uri: str) -> None:
        dsl.importer(uri, dsl.Model, download_to_workspace=True)

    for link in (copy / "deep", copy, places / "workspace" / ".artifacts"):
        subprocess.run(["rm", "-rf", str(places / "workspace")], check=True)
        link.parent.mkdir(parents=True)
        link.symlink_to(places / "outside")
        with pytest.raises(TaskFailed, match=r"leads out of .*workspace to .*outside.*Remove the link"):
            run(places, imports, uri=str(source.parent))


@pytest.mark.parametrize(
    ("where", "error"),
    [("victim", ""), ("victim/log.txt", ""), *((name, "is a symbolic link") for name in ("inner", "loop", "loop/0"))],
)
def test_tasks_do_not_follow_links_of_other_tasks_out_of_the_run(places: Path, where: str, error: str) -> None:
    outside = places / "outside"
    outside.mkdir()

    def attack(run: str) -> dict[str, Any]:
        (folder,) = (places / "root").glob("attacked-*")
        link = folder / where.replace("loop", "for-loop-2").replace("inner", "victims")
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(outside / "log.txt" if link.name == "log.txt" else outside)
        return {"Output": "done"}

    @dsl.component
    def attacker(run: str) -> str:
        return run

    @dsl.component
    def victim(text: str) -> str:
        return text

    @dsl.pipeline
    def victims(text: str) -> None:
        victim(text=text)

    @dsl.pipeline
    def attacked() -> None:
        first = attacker(run="")
        victim(text=first.output)
        victims(text=first.output)
        with dsl.ParallelFor([1]):
            victim(text=first.output)

    give = {"Output": "x"}
    runner = FakeRunner(attacker=attack, victim=lambda **_: give, victim_2=lambda **_: give)
    with pytest.raises(TaskFailed, match=error) if error else nullcontext():
        run(places, attacked, runner)
    assert list(outside.iterdir()) == []


def test_mounts_do_not_follow_links_out_of_a_volume(places: Path) -> None:
    from standpipe.pods.claims import Claims

    claims = Claims({}, places / "root" / "pvcs")
    (places / "outside").mkdir()
    (claims.folder("data") / "link").symlink_to(places / "outside")
    with pytest.raises(StandpipeError, match="leads out of"):
        claims.folder("data", "link/sub")


@pytest.mark.parametrize("wish", ["/etc/standpipe-test", "../../up"])
def test_artifact_properties_do_not_create_files(places: Path, wish: str) -> None:
    @dsl.component
    def tell(wish: str, data: dsl.Output[dsl.Dataset]) -> None:
        data.uri = wish
        data.custom_path = wish
        data.name = wish
        data.metadata[wish] = wish

    @dsl.component
    def take(data: dsl.Input[dsl.Dataset]) -> str:
        return str(data.metadata)

    @dsl.pipeline
    def passing(wish: str) -> str:
        return take(data=tell(wish=wish).outputs["data"]).output

    assert run(places, passing, local.SubprocessRunner(use_venv=False), wish=wish).output == str({wish: wish})
    assert not Path("/etc/standpipe-test").exists()
