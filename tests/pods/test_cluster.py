"""Settings of kfp-kubernetes on tasks that run here, up to what the runner is asked for."""

from __future__ import annotations

import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from standpipe import dsl, local
from standpipe.errors import ArgumentError, RunnerError, SpecError, TaskFailed
from standpipe.execution import attempt
from standpipe.model.attempts import Outcome, TaskRequest
from standpipe.model.cancellation import Cancellation
from standpipe.model.ports import Log
from standpipe.runners.api import LocalRunner
from standpipe.support.timers import cancel_after


class Seen(NamedTuple):
    """What a runner was asked for, and what was in the mounted folders then."""

    request: TaskRequest
    files: dict[str, dict[str, bytes]]
    modes: dict[str, int]


class Watching(LocalRunner):
    """Notes what it is asked for, by task, and does what it was told instead of the task."""

    def __init__(self, **behaviours: Callable[[TaskRequest, Cancellation], Outcome]) -> None:
        self.behaviours = behaviours
        self.seen: dict[str, Seen] = {}

    def open(self) -> Any:
        return self

    def run(self, request: TaskRequest, *, log: Log, cancel: Cancellation) -> Outcome:
        mounts = request.pod.mounts
        self.seen[str(request.task)] = Seen(
            request,
            {mount.path: {f.name: f.read_bytes() for f in mount.source.iterdir() if f.is_file()} for mount in mounts},
            {mount.path: stat.S_IMODE(mount.source.stat().st_mode) for mount in mounts},
        )
        behaviour = self.behaviours.get(request.task.name)
        return behaviour(request, cancel) if behaviour else Outcome(exit_code=0)

    def close(self) -> None:
        """Nothing is open."""

    def workspace_path(self, workspace: Path) -> str:
        return str(workspace)


@dsl.component
def work(text: str = "") -> None:
    pass


@dsl.component
def names() -> str:
    return "db"


def tell(request: TaskRequest, _: Cancellation) -> Outcome:
    """Behaves as a task whose output is `db`."""
    Path(request.executor_input["outputs"]["parameters"]["Output"]["outputFile"]).write_text("db")
    return Outcome(exit_code=0)


def configured(task: dsl.PipelineTask, **config: Any) -> dsl.PipelineTask:
    task.platform_config["kubernetes"] = config
    return task


def constant(name: str) -> dict[str, Any]:
    return {"runtimeValue": {"constant": name}}


def as_env(name: dict[str, Any], optional: bool = False, kind: str = "secret", **variables: str) -> dict[str, Any]:
    pairs = [{f"{kind}Key": key, "envVar": variable} for key, variable in variables.items()]
    return {f"{kind}NameParameter": name, "keyToEnv": pairs, "optional": optional}


def as_volume(name: str, path: str, optional: bool = False, kind: str = "secret") -> dict[str, Any]:
    return {f"{kind}NameParameter": constant(name), "mountPath": path, "optional": optional}


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Watching]:
    def run(
        config: dict[str, Any], kubernetes: object = None, *, runner: Watching | None = None, **arguments: Any
    ) -> Watching:
        @dsl.pipeline
        def one() -> None:
            configured(work(), **config)

        runner = runner or Watching()
        local.run(one, arguments, runner=runner, pipeline_root=tmp_path / "root", quiet=True, kubernetes=kubernetes)
        return runner

    return run


OBJECTS = {
    "secrets": {"db": {"user": "me", "pw": "s3cret", "raw": b"\xff"}},
    "configmaps": {"app": {"mode": "fast"}},
}


def test_secrets_config_maps_and_fields_become_variables(run: Callable[..., Watching]) -> None:
    config = {
        "secretAsEnv": [
            as_env(constant("db"), user="USER_NAME", pw="PW"),
            as_env(constant("none"), optional=True, x="X"),
            as_env(constant("db"), optional=True, none="Y"),
        ],
        "configMapAsEnv": [as_env(constant("app"), kind="configMap", mode="MODE")],
        "fieldPathAsEnv": [
            {"name": "POD", "fieldPath": "metadata.name"},
            {"name": "NS", "fieldPath": "metadata.namespace"},
            {"name": "RUN", "fieldPath": "metadata.labels['pipeline/runid']"},
            {"name": "TEAM", "fieldPath": "metadata.labels['team']"},
            {"name": "NOTE", "fieldPath": "metadata.annotations['note']"},
            {"name": "IP", "fieldPath": "status.podIP"},
        ],
        "podMetadata": {"labels": {"team": "ml"}},
    }
    request = run(config, OBJECTS).seen["work"].request
    env = dict(request.pod.env)
    assert env.pop("POD") == f"{request.run}-work"
    assert len(env.pop("RUN")) == 36
    assert env == {
        "USER_NAME": "me",
        "PW": "s3cret",
        "MODE": "fast",
        "NS": "default",
        "TEAM": "ml",
        "NOTE": "",
        "IP": "127.0.0.1",
    }


def test_secrets_are_in_nothing_that_a_run_leaves(run: Callable[..., Watching], tmp_path: Path) -> None:
    config = {"secretAsEnv": [as_env(constant("db"), pw="PW")], "secretAsVolume": [as_volume("db", "/etc/db")]}
    failing = Watching(work=lambda *_: Outcome(exit_code=1))
    with pytest.raises(TaskFailed) as caught:
        run(config, OBJECTS, runner=failing)
    assert failing.seen["work"].request.pod.env == {"PW": "s3cret"}
    left = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert [file for file in left if b"s3cret" in file.read_bytes()] == []
    assert "s3cret" not in str(caught.value)
    assert not failing.seen["work"].request.pod.mounts[0].source.exists()


def test_volumes_are_folders_while_the_task_runs(run: Callable[..., Watching], tmp_path: Path) -> None:
    config = {
        "secretAsVolume": [as_volume("db", "/etc/db"), as_volume("none", "/etc/none", optional=True)],
        "configMapAsVolume": [as_volume("app", "/etc/app", kind="configMap")],
        "emptyDirMounts": [{"volumeName": "e", "mountPath": "/scratch"}],
        "genericEphemeralVolume": [{"volumeName": "g", "mountPath": "/big", "size": "1Gi"}],
        "pvcMount": [
            {"constant": "data", "mountPath": "/data", "pvcNameParameter": constant("data")},
            {"constant": "data", "mountPath": "/part", "pvcNameParameter": constant("data"), "subPath": "a/b"},
        ],
    }
    seen = run(config, OBJECTS).seen["work"]
    assert seen.files == {
        "/etc/db": {"user": b"me", "pw": b"s3cret", "raw": b"\xff"},
        "/etc/none": {},
        "/etc/app": {"mode": b"fast"},
        "/scratch": {},
        "/big": {},
        "/data": {},
        "/part": {},
    }
    mounts = {mount.path: mount for mount in seen.request.pod.mounts}
    assert {path for path, mount in mounts.items() if mount.read_only} == {"/etc/db", "/etc/none", "/etc/app"}
    assert seen.modes["/scratch"] == 0o777
    assert {path for path, mount in mounts.items() if not mount.temporary} == {"/data", "/part"}
    private = mounts["/etc/db"].source.parent
    assert not private.exists()
    assert mounts["/data"].source == tmp_path / "root" / "pvcs" / "data"
    assert mounts["/part"].source == tmp_path / "root" / "pvcs" / "data" / "a" / "b"
    assert mounts["/part"].source.is_dir()


def test_names_come_from_where_the_task_stands(tmp_path: Path) -> None:
    @dsl.pipeline
    def inner(secret: str) -> None:
        told = names()
        task = work().after(told)
        from_task = {"taskOutputParameter": {"producerTask": "names", "outputParameterKey": "Output"}}
        pairs = [
            as_env({"componentInputParameter": "secret"}, user="A"),
            as_env(from_task, pw="B"),
        ]
        configured(task, secretAsEnv=pairs)

    @dsl.pipeline
    def outer(first: str) -> None:
        inner(secret=first)
        inner(secret="other")

    objects = {"secrets": {"one": {"user": "1"}, "other": {"user": "2"}, "db": {"pw": "3"}}}
    runner = Watching(names=tell)
    local.run(outer, {"first": "one"}, runner=runner, pipeline_root=tmp_path, quiet=True, kubernetes=objects)
    assert runner.seen["inner/work"].request.pod.env == {"A": "1", "B": "3"}
    assert runner.seen["inner-2/work"].request.pod.env == {"A": "2", "B": "3"}


def test_each_iteration_of_a_loop_has_its_own_names(tmp_path: Path) -> None:
    @dsl.pipeline
    def looping() -> None:
        with dsl.ParallelFor(["one", "other"]) as item:
            told = names()
            task = work(text=item).after(told)
            from_item = {"componentInputParameter": "pipelinechannel--loop-item-param-1"}
            from_task = {"taskOutputParameter": {"producerTask": "names", "outputParameterKey": "Output"}}
            configured(task, secretAsEnv=[as_env(from_item, user="A"), as_env(from_task, pw="B")])

    objects = {"secrets": {"one": {"user": "1"}, "other": {"user": "2"}, "db": {"pw": "3"}}}
    runner = Watching(names=tell)
    local.run(looping, {}, runner=runner, pipeline_root=tmp_path, quiet=True, kubernetes=objects)
    envs = [seen.request.pod.env for task, seen in sorted(runner.seen.items()) if task.endswith("/work")]
    assert envs == [{"A": "1", "B": "3"}, {"A": "2", "B": "3"}]


def test_a_name_from_an_input_without_a_value_omits_the_setting(tmp_path: Path) -> None:
    @dsl.pipeline
    def one(secret: str = None) -> None:  # type: ignore[assignment]  # noqa: RUF013 - as users of KFP write it
        name = {"componentInputParameter": "secret"}
        configured(work(), secretAsEnv=[as_env(name, user="A")])

    runner = Watching()
    local.run(one, {}, runner=runner, pipeline_root=tmp_path, quiet=True)
    assert runner.seen["work"].request.pod.env == {}


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (
            {"secretAsEnv": [as_env(constant("x"), k="A")]},
            ["the secret 'x'", "secrets/x/k", "its secrets are 'db'", "optional"],
        ),
        (
            {"secretAsEnv": [as_env(constant("db"), k="A")]},
            ["the key 'k' of the secret 'db'", "its keys are 'pw', 'raw', 'user'"],
        ),
        ({"secretAsVolume": [as_volume("x", "/x")]}, ["the secret 'x'", "secrets:\n  x:\n    <key>: <value>"]),
        ({"configMapAsVolume": [as_volume("x", "/x", kind="configMap")]}, ["the config map 'x'", "configmaps/x/"]),
        ({"secretAsEnv": [as_env(constant("db"), raw="A")]}, ["the key 'raw' of the secret 'db' is not text"]),
        ({"secretAsEnv": [as_env(constant(""), raw="A")]}, ["is empty"]),
        (
            {"secretAsEnv": [as_env({"componentInputParameter": "nope"}, a="A")]},
            ["the input 'nope', which its pipeline does not have"],
        ),
        ({"pvcMount": [{"constant": "A_B", "mountPath": "/x"}]}, ["invalid PVC name 'A_B'"]),
        ({"fieldPathAsEnv": [{"name": "A", "fieldPath": "spec.x"}]}, ["unknown pod field 'spec.x'", "metadata.name"]),
        ({"emptyDirMounts": [{"mountPath": "/x"}, {"mountPath": "/x/"}]}, ["two volumes are mounted at /x"]),
    ],
)
def test_a_missing_object_fails_the_task_with_a_fix(
    run: Callable[..., Watching], config: dict[str, Any], words: list[str]
) -> None:
    with pytest.raises(TaskFailed) as caught:
        run(config, OBJECTS)
    assert "Task 'work' failed: " in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_without_a_source_the_message_says_that_nothing_provides_it(run: Callable[..., Watching]) -> None:
    with pytest.raises(TaskFailed, match=r"it requires the secret 'db', but nothing provides it"):
        run({"secretAsVolume": [as_volume("db", "/x")]})


def test_a_missing_object_is_reported_once_and_not_retried(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    @dsl.pipeline
    def retried() -> None:
        name = {"taskOutputParameter": {"producerTask": "names", "outputParameterKey": "Output"}}
        configured(work().after(names()), secretAsEnv=[as_env(name, x="X")]).set_retry(5, backoff_duration="60s")

    with pytest.raises(TaskFailed) as caught:
        local.run(retried, {}, runner=Watching(names=tell), pipeline_root=tmp_path, quiet=False)
    lines = capsys.readouterr().out.splitlines()
    reports = [line for line in lines if "requires the key 'x' of the secret 'db'" in line or "the secret 'db'" in line]
    assert len(reports) == 1
    assert "attempt" not in reports[0]
    assert "k8s.yaml" not in "".join(lines)  # the remedy is in the error
    assert str(caught.value).count("secrets:\n  db:\n    x: <value>") == 1


def test_a_malformed_setting_is_found_before_the_run(run: Callable[..., Watching], tmp_path: Path) -> None:
    where = r"platforms\.kubernetes\.deploymentSpec\.executors\.exec-work\.activeDeadlineSeconds"
    with pytest.raises(SpecError, match=where):
        run({"activeDeadlineSeconds": "soon"})
    assert not (tmp_path / "root").exists()


def test_ignored_settings_are_reported_once(
    run: Callable[..., Watching], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    @dsl.pipeline
    def several() -> None:
        for _ in range(3):
            config = {"tolerations": [{"key": "a"}], "nodeSelector": {"labels": {"a": "b"}}, "brandNew": 1}
            configured(work(), **config, emptyDirMounts=[{"mountPath": "/x", "sizeLimit": "1Gi"}])

    (tmp_path / "k8s.yaml").write_text("kind: Deployment")
    local.run(several, {}, runner=Watching(), pipeline_root=tmp_path, quiet=True, kubernetes=tmp_path / "k8s.yaml")
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 5
    for what in ("tolerations", "node selectors", "setting brandNew", "size limit of an emptyDir", "Deployment"):
        assert len([line for line in told if what in line]) == 1


def wait(request: TaskRequest, cancel: Cancellation) -> Outcome:
    stopped = threading.Event()
    cancel.on_set(stopped.set)
    assert stopped.wait(20)
    return Outcome(signal=15)


def refuse(request: TaskRequest, cancel: Cancellation) -> Outcome:
    wait(request, cancel)
    raise RunnerError("it was cancelled")


@pytest.mark.parametrize("behaviour", [wait, refuse])
def test_a_timeout_stops_the_attempt_and_is_named(
    run: Callable[..., Watching], behaviour: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt, "cancel_after", lambda seconds, cancel: cancel_after(seconds / 100, cancel))
    with pytest.raises(TaskFailed, match=r"it was stopped by its timeout, after 1 s \(kubernetes.set_timeout\)"):
        run({"activeDeadlineSeconds": "1"}, runner=Watching(work=behaviour))


def test_a_task_that_is_faster_than_its_timeout_fails_or_succeeds_by_itself(run: Callable[..., Watching]) -> None:
    def fail(*_: object) -> Outcome:
        raise RunnerError("no engine")

    run({"activeDeadlineSeconds": str(10**12)})
    with pytest.raises(TaskFailed, match="no engine"):
        run({"activeDeadlineSeconds": "100"}, runner=Watching(work=fail))


def test_settings_for_containers_are_handed_on(run: Callable[..., Watching]) -> None:
    config = {
        "imagePullPolicy": "Always",
        "enabledSharedMemory": {"size": "64Mi"},
        "securityContext": {"runAsUser": "1", "runAsNonRoot": True},
        "podMetadata": {"labels": {"l": "1"}, "annotations": {"a": "2"}},
    }
    pod = run(config).seen["work"].request.pod
    assert (pod.pull_policy, pod.shared_memory, pod.user, pod.group) == ("Always", 64 * 2**20, 1, None)
    assert pod.non_root
    assert pod.labels == {"l": "1", "a": "2"}


CREATE = """
components:
  comp-claim:
    executorLabel: exec-claim
    inputDefinitions: {parameters: {pvc_name: {parameterType: STRING}}}
    outputDefinitions: {parameters: {name: {parameterType: STRING}}}
deploymentSpec: {executors: {exec-claim: {container: {image: argostub/createpvc}}}}
pipelineInfo: {name: claiming}
root:
  dag:
    outputs: {parameters: {name: {valueFromParameter: {outputParameterKey: name, producerSubtask: claim}}}}
    tasks:
      claim:
        componentRef: {name: comp-claim}
        inputs: {parameters: {pvc_name: {runtimeValue: {constant: data}}}}
        taskInfo: {name: claim}
  outputDefinitions: {parameters: {name: {parameterType: STRING}}}
schemaVersion: 2.1.0
sdkVersion: kfp-2.17.3
"""
DELETE = "".join(line for line in CREATE.splitlines(True) if "output" not in line).replace("createpvc", "deletepvc")


def test_claims_are_made_and_removed_without_a_runner(tmp_path: Path) -> None:
    runner, root = Watching(), tmp_path / "root"
    create, delete = tmp_path / "create.yaml", tmp_path / "delete.yaml"
    create.write_text(CREATE)
    delete.write_text(DELETE)
    task = local.run(create, runner=runner, pipeline_root=root, quiet=True)
    assert task.output == "data"
    assert (root / "pvcs" / "data").is_dir()
    (log,) = root.glob("claiming-*/claim/log.txt")
    assert "The PVC data is the folder" in log.read_text()
    local.run(delete, runner=runner, pipeline_root=root, quiet=True)
    assert not (root / "pvcs" / "data").exists()
    with pytest.raises(TaskFailed, match="unknown PVC 'data'"):
        local.run(delete, runner=runner, pipeline_root=root, quiet=True)
    assert runner.seen == {}


def test_an_option_that_makes_no_sense_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"kubernetes='.*none.yaml': there is no such file or folder"):
        local.init(runner=Watching(), kubernetes=tmp_path / "none.yaml")
    with pytest.raises(ArgumentError, match="expected a file, a folder or a mapping"):
        local.init(runner=Watching(), kubernetes=5)  # type: ignore[arg-type]
