"""Which attempts have the same cache key, a different one, or none."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from standpipe.artifact_stores.local import LocalArtifactStore
from standpipe.execution.cache.keys import collect_import_inputs, collect_task_inputs
from standpipe.execution.checksums import payload_digest
from standpipe.execution.requests import build_request
from standpipe.model.attempts import InitContainer, Mount, PodSettings
from standpipe.model.cancellation import Cancellation
from standpipe.model.component_changes import code_digest
from standpipe.model.events import StartAttempt
from standpipe.model.plan import (
    Caching,
    Command,
    Component,
    Container,
    Importer,
    OwnModule,
    Plan,
    PythonFunction,
    SourceLocation,
    SourceSection,
)
from standpipe.model.refs import TaskRef
from standpipe.model.resources import Limits, ResourceRequest
from standpipe.model.templates import parse_argument
from standpipe.model.types import ArtifactInput, ArtifactOutput, ArtifactType, ParameterInput, ParameterType
from standpipe.model.values import ArtifactValue, Checksum, Value
from standpipe.pods.native import NativeCluster
from standpipe.pods.provisions import Provisions
from tests.plans import RUN, leaf

DATASET = ArtifactType("system.Dataset")
ROOT = Path("/no/such/root")
STORE = LocalArtifactStore([ROOT])
POD, NEEDS = PodSettings(), ResourceRequest()
TASK = TaskRef((("task", None),))
SOURCE = "def f(x):\n    return x\n"
FUNCTION = PythonFunction(
    "f", SOURCE, ("pandas==2", "numpy"), ("https://index",), artifact_classes={"m.A": "class A: 1"}
)
COMPONENT = leaf(
    {"x": ParameterInput(ParameterType.STRUCT, optional=True), "data": ArtifactInput(DATASET, optional=True)},
    {"out": ArtifactOutput(DATASET)},
)


def checksum(location: str, algorithm: str = "") -> Checksum | None:
    return STORE.checksum(location, Cancellation(), algorithm)


def digest(of: ArtifactValue) -> str | None:
    return payload_digest(of, STORE, checksum)


def key(
    program: Command | PythonFunction = FUNCTION,
    component: Component = COMPONENT,
    *,
    env: dict[str, str] | None = None,
    pod: PodSettings = POD,
    caching: Caching | None = Caching(),
    task: TaskRef = TASK,
    folder: str = "run-1",
    fingerprint: str = "image",
    workspace: Path | None = None,
    resources: ResourceRequest = NEEDS,
    debug: bool = False,
    **inputs: Value,
) -> str:
    """Return the key of an attempt; empty if its result is not cached."""
    run = RUN._replace(id=folder, uuid=RUN.uuid if folder == "run-1" else "7f9619ff-8b86-4d01-b42d-00cf4fc964ff")
    plan = Plan("test", component, {"leaf": component}, {"exec": Container("image", program, env or {})})
    command = StartAttempt(task, "leaf", inputs, caching=caching, resources=resources)
    request = build_request(
        plan,
        run,
        command,
        pod,
        folder=Path("/root-of-all", folder, "task"),
        workspace=workspace,
        store=STORE,
        debug=debug,
    )
    inputs_of_key = collect_task_inputs(
        command,
        component,
        program,
        request,
        workspace_paths=[str(workspace)] if workspace else [],
        field=lambda name: run.placeholder(task, name),
        fingerprint=lambda request: fingerprint,
        digest=digest,
    )
    return inputs_of_key.compute_key() if inputs_of_key else ""


def artifact(path: object, **changes: Any) -> ArtifactValue:
    return replace(ArtifactValue("a", DATASET, str(path)), **changes)


def test_the_key_does_not_depend_on_the_run() -> None:
    assert len(key()) == 64
    assert key() == key(folder="run-2", task=TaskRef((("another", 3),)), resources=ResourceRequest(cpu_limit=2))


@pytest.mark.parametrize(
    "source",
    [
        "def f(x):\n    return x  # the same\n",
        "# above\n\ndef f( x ):\n\n    return (\n        x\n    )\n",
    ],
)
def test_the_key_does_not_depend_on_comments_and_formatting(source: str) -> None:
    assert key(replace(FUNCTION, source=source)) == key()


def test_the_key_does_not_depend_on_where_the_source_comes_from() -> None:
    sections = (SourceSection(1, 2, SourceLocation("/pipeline.py", 7)),)
    assert key(replace(FUNCTION, sections=sections)) == key()


def test_the_key_does_not_depend_on_the_order_of_packages() -> None:
    assert key(replace(FUNCTION, packages=("numpy", "pandas==2"))) == key()


@pytest.mark.parametrize(
    "changes",
    [
        {"source": "def f(x):\n    return -x\n"},
        {"source": "def f(x):\n    'x'\n    return x\n"},
        {"source": "def f(x)\n    return x\n"},
        {"name": "g"},
        {"packages": ("pandas==3", "numpy")},
        {"index_urls": ("https://other",)},
        {"use_venv": True},
        {"artifact_classes": {"m.A": "class A: 2"}},
        {"modules": (OwnModule("m", "x = 1"),)},
    ],
)
def test_the_key_depends_on_every_part_of_a_function(changes: dict[str, Any]) -> None:
    assert key(replace(FUNCTION, **changes)) not in ("", key())


def test_of_a_module_the_name_the_kind_and_the_code_count() -> None:
    def with_module(*module: Any) -> str:
        return key(replace(FUNCTION, modules=(OwnModule(*module),)))

    expected = with_module("m", "x = 1", "/a/m.py")

    assert with_module("m", "x = 1  # one", "/b/m.py") == expected
    assert with_module("n", "x = 1", "/a/m.py") != expected
    assert with_module("m", "x = 2", "/a/m.py") != expected
    assert with_module("m", "x = 1", "/a/m/__init__.py", True) != expected


def test_a_module_that_may_read_files_has_no_key() -> None:
    assert key(replace(FUNCTION, modules=(OwnModule("m", "open(__file__)"),))) == ""


def test_code_that_does_not_parse_is_its_text() -> None:
    assert code_digest("def f(:  # a") != code_digest("def f(:  # b")
    assert code_digest("x = '\udcff'") != code_digest("x = '\udcfe'")
    assert code_digest("(" * 10_000 + ")" * 10_000) == code_digest("(" * 10_000 + ")" * 10_000)


@pytest.mark.parametrize(
    "changes",
    [
        {"env": {"A": "a"}},
        {"pod": PodSettings(env={"A": "a"})},
        {"pod": PodSettings(mounts=(Mount(Path("/"), "/scratch", temporary=True),))},
        {"pod": PodSettings(init_containers=(InitContainer("init", "busybox"),))},
        {"fingerprint": "other"},
        {"x": {"a": 1, "b": 2}},
        {"component": replace(COMPONENT, outputs={"model": ArtifactOutput(ArtifactType("system.Model"))})},
        {"component": leaf({**COMPONENT.inputs, "more": ArtifactInput(DATASET)}, COMPONENT.outputs)},
    ],
)
def test_the_key_depends_on_all_other_inputs_and_settings(changes: dict[str, Any]) -> None:
    assert key(**changes) not in ("", key())


def test_values_that_code_can_distinguish_have_different_keys() -> None:
    values: list[Value] = [1, 1.0, True, "1", None, [1], {"a": 1, "b": 2}, {"b": 2, "a": 1}]
    assert len({key(x=value) for value in values}) == len(values)


def test_variables_have_no_order_and_pod_variables_take_precedence() -> None:
    assert (
        key(env={"A": "a", "B": "b"})
        == key(env={"B": "b", "A": "a"})
        == key(env={"A": "a"}, pod=PodSettings(env={"B": "b"}))
    )
    assert key(env={"A": "a"}, pod=PodSettings(env={"A": "b"})) == key(env={"A": "b"})


def test_an_artifact_is_its_type_its_metadata_and_its_content(tmp_path: Path) -> None:
    for name, content in (("one", "a"), ("two", "a"), ("three", "b")):
        (tmp_path / name).write_text(content)
    one = key(data=artifact(tmp_path / "one"))
    assert one == key(data=artifact(tmp_path / "two", name="b"))
    others = [
        artifact(tmp_path / "three"),
        artifact(tmp_path / "none"),
        artifact(tmp_path / "one", metadata={"k": 1}),
        artifact(tmp_path / "one", type=ArtifactType("system.Model")),
    ]
    assert one not in [key(data=other) for other in others]
    assert key(data=[artifact(tmp_path / "one"), artifact(tmp_path / "three")]) != one


def test_a_checksum_is_trusted_as_long_as_its_signature_holds(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_text("a")
    time.sleep(0.02)
    good = checksum(str(file))
    assert good is not None
    believed = artifact(file, checksum=replace(good, digest="sha256:00"))
    wrong = key(data=believed)
    assert wrong != key(data=artifact(file))
    assert key(data=artifact(file, checksum=replace(good, digest="sha256:00", signature=""))) == key(
        data=artifact(file)
    )
    file.write_text("b")
    assert key(data=believed) == key(data=artifact(file)) != wrong


def test_a_remote_artifact_is_its_uri_and_one_of_a_run_without_payload_its_metadata() -> None:
    assert key(data=artifact("gs://b/1")) != key(data=artifact("gs://b/2"))
    assert key(data=artifact("/none/1", metadata={"n": 1})) != key(data=artifact("/none/2", metadata={"n": 1}))
    assert key(data=artifact(f"{ROOT}/1", metadata={"n": 1})) == key(data=artifact(f"{ROOT}/2", metadata={"n": 1}))


def test_the_key_depends_on_all_of_an_init_container_but_its_name_and_limits() -> None:
    init = InitContainer("init", "busybox", ("sh",), ("a",), {"A": "1"}, (Mount(Path("/"), "/x", temporary=True),))
    others = [
        replace(init, image="alpine"),
        replace(init, command=("bash",)),
        replace(init, args=("b",)),
        replace(init, env={"A": "2"}),
        replace(init, mounts=()),
        replace(init, is_sidecar=True),
    ]
    keys = {key(pod=PodSettings(init_containers=containers)) for containers in [(init,), *((o,) for o in others)]}
    assert len(keys) == len(others) + 1
    same = replace(init, name="other", limits=Limits(cpu=1.0))
    assert key(pod=PodSettings(init_containers=(same,))) == key(pod=PodSettings(init_containers=(init,)))


def test_secrets_in_files_count_by_their_content(tmp_path: Path) -> None:
    keys = set()
    for folder, content in (("1", "a"), ("2", "b"), ("3", "a")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "password").write_text(content)
        keys.add(key(pod=PodSettings(mounts=(Mount(tmp_path / folder, "/s", read_only=True, temporary=True),))))
    assert len(keys) == 2


def command(*arguments: str) -> Command:
    return Command(tuple(map(parse_argument, arguments)))


def test_a_command_is_its_text_with_the_values_about_the_run() -> None:
    writing = command("sh", "{{$.outputs.artifacts['out'].path}}", "{{$.inputs.parameters['x']}}")
    assert key(writing) == key(writing, folder="run-2") != key(command("sh"))
    for text in (
        "{{$.pipeline_job_uuid}}",
        '{"IfPresent": {"InputName": "x", "Then": ["{{$.pipeline_job_uuid}}"]}}',
        '{"IfPresent": {"InputName": "x", "Then": "a", "Else": "{{$.pipeline_job_uuid}}"}}',
        '{"Concat": ["a", "{{$.pipeline_job_uuid}}"]}',
        "{{$.json_escape[1].pipeline_job_uuid}}",
    ):
        assert key(command(text)) == key(command(text)) != key(command(text), folder="run-2")


@pytest.mark.parametrize(
    "changes",
    [
        {"caching": None},
        {"caching": Caching(enabled=False)},
        {"caching": Caching(enabled=False, key="mine")},
        {"fingerprint": ""},
        {"debug": True},
        {"pod": PodSettings(mounts=(Mount(Path("/claims/a"), "/a"),))},
        {"pod": PodSettings(pull_policy="Always")},
        {"workspace": Path("/space"), "x": {"path": "/space/file"}},
        {"workspace": Path("/space"), "data": ArtifactValue("a", DATASET, "x://y", custom_path="/space/a")},
        {"data": ArtifactValue("a", DATASET, "/dev/null")},
        {"pod": PodSettings(mounts=(Mount(Path("/none"), "/a", read_only=True),))},
    ],
)
def test_some_results_are_never_cached(changes: dict[str, Any]) -> None:
    assert key(**changes) == ""


def test_a_workspace_does_not_prevent_caching() -> None:
    assert key(workspace=Path("/space"), x={"path": "/other"}) != ""


def test_a_custom_cache_key_replaces_everything_but_the_component() -> None:
    mine = Caching(key="mine")
    other = replace(FUNCTION, source="def f(): pass")
    assert key(caching=mine) == key(other, caching=mine, x={}, env={"A": "a"}, fingerprint="")
    assert key(caching=mine) not in (key(), key(caching=Caching(key="yours")))
    assert key(caching=mine) != key(component=leaf({}, {}), caching=mine)


def import_key(artifact: ArtifactValue, **changes: Any) -> str:
    importer = Importer("", DATASET, **{name: changes.pop(name) for name in changes.keys() & {"reimport"}})
    command = StartAttempt(TASK, "leaf", {}, caching=changes.get("caching", Caching()))
    inputs = collect_import_inputs(command, COMPONENT, importer, artifact, digest)
    return inputs.compute_key() if inputs else ""


def test_an_import_is_identified_by_its_content_or_its_remote_uri(tmp_path: Path) -> None:
    for name, content in (("one", "a"), ("two", "a"), ("three", "b")):
        (tmp_path / name).write_text(content)
    one, two, three = (import_key(artifact(tmp_path / name)) for name in ("one", "two", "three"))
    assert one == two != three
    assert import_key(artifact("gs://b/1")) != import_key(artifact("gs://b/2"))
    assert import_key(artifact("gs://b/1"), caching=Caching(key="k")) == import_key(
        artifact("gs://b/2"), caching=Caching(key="k")
    )
    for forbidden in ({"reimport": True}, {"caching": None}, {"caching": Caching(enabled=False)}):
        assert import_key(artifact("gs://b/1"), **forbidden) == ""
    assert import_key(artifact("/dev/null")) == ""


# --- fixed keys -------------------------------------------------------------------------------------------------------

SETTINGS = {
    "secretAsEnv": [{"secretName": "db", "keyToEnv": [{"secretKey": "k", "envVar": "PW"}], "optional": False}],
    "fieldPathAsEnv": [{"name": "POD", "fieldPath": "metadata.name"}],
    "configMapAsVolume": [{"configMapName": "my.settings", "mountPath": "/settings"}],
    "emptyDirMounts": [{"volumeName": "scratch", "mountPath": "/scratch", "medium": "Memory"}],
    "initContainers": [
        {
            "name": "first",
            "image": "busybox",
            "command": ["true"],
            "volumeMounts": [{"volumeName": "scratch", "mountPath": "/x"}],
        }
    ],
    "securityContext": {"runAsUser": 1000, "runAsNonRoot": True},
    "imagePullPolicy": "IfNotPresent",
    "nodeSelector": {"labels": {"disk": "ssd"}},
    "podMetadata": {"labels": {"team": "blue"}},
}


def pod_of(settings: dict[str, Any]) -> PodSettings:
    """Return what a task with settings has in a pod of a real cluster."""
    platforms = {"kubernetes": {"deploymentSpec": {"executors": {"exec": settings}}}}
    plan = Plan("test", COMPONENT, {}, {}, platforms=platforms)
    with NativeCluster(plan, pytest.fail, Provisions(), pytest.fail).pod("exec", RUN, TASK, 0) as pod:
        return pod


def key_of_command(pod: PodSettings) -> str:
    return key(command("sh", "-c", "{{$.inputs.parameters['x']}}"), pod=pod, x={"b": 1, "a": 2})


def test_keys_are_those_by_which_results_are_stored_already() -> None:
    settings_of_this_machine = PodSettings(
        env={"A": "a"},
        mounts=(Mount(Path("/none"), "/scratch", temporary=True),),
        init_containers=(InitContainer("init", "busybox", ("sh",), ("-c", "true"), {"B": "b"}),),
    )
    assert key_of_command(PodSettings()) == "045c5d726a733da38f5b3966ddfa8128cfb363c00736e865d5e83ba1163e6ea1"
    assert (
        key_of_command(settings_of_this_machine) == "50e652d985f8c4a6f6aaa28d2c1208bf986b9916cbd73b40460e0344cc80016b"
    )
    assert key_of_command(pod_of(SETTINGS)) == "74d774bd1cfacdb116f135bbad7e68b1964e13be377744f51664f3a47958f3a7"


def test_labels_and_nodes_of_pods_do_not_count() -> None:
    scheduling = {name: SETTINGS[name] for name in ("nodeSelector", "podMetadata", "imagePullPolicy")}
    assert key_of_command(pod_of(scheduling)) == key_of_command(PodSettings())
