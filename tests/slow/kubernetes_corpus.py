"""Pipelines with settings of kfp-kubernetes, as users write them. Compiled by the KFP SDK and by Standpipe.

Run as a program with a folder, it compiles each one to `<folder>/<its name>.yaml`.
"""

import sys
import traceback
from pathlib import Path
from typing import NamedTuple

from kfp import compiler, dsl, kubernetes

ENTRIES = {}


def entry(pipeline):
    """A pipeline to compile, by the name of its function."""
    ENTRIES[pipeline.__name__] = pipeline
    return pipeline


@dsl.component
def work(text: str = "") -> str:
    return text


@dsl.component
def names() -> NamedTuple("Names", [("secret", str), ("config", str)]):
    return "s", "c"


@dsl.component
def listed() -> list:
    return [{"secret": "a"}, {"secret": "b"}]


@dsl.container_component
def shell(text: str):
    return dsl.ContainerSpec(image="alpine", command=["echo"], args=[text])


# --- each function by itself ------------------------------------------------------------------------------------------


@entry
def secret_env():
    task = work()
    kubernetes.use_secret_as_env(task, "db", {"user": "DB_USER", "password": "DB_PASSWORD"})


@entry
def secret_env_optional():
    task = work()
    kubernetes.use_secret_as_env(task, "db", {"user": "DB_USER"}, optional=True)


@entry
def secret_volume():
    task = work()
    kubernetes.use_secret_as_volume(task, "db", "/etc/db")


@entry
def secret_volume_optional():
    task = work()
    kubernetes.use_secret_as_volume(task, secret_name="db", mount_path="/etc/db", optional=True)


@entry
def config_map_env():
    task = work()
    kubernetes.use_config_map_as_env(task, "settings", {"mode": "MODE"})


@entry
def config_map_env_optional():
    task = work()
    kubernetes.use_config_map_as_env(task, "settings", {"mode": "MODE"}, optional=True)


@entry
def config_map_volume():
    task = work()
    kubernetes.use_config_map_as_volume(task, "settings", "/etc/settings", optional=True)


@entry
def pvc_mounted():
    kubernetes.mount_pvc(work(), pvc_name="data", mount_path="/data")


@entry
def pvc_mounted_at_a_sub_path():
    kubernetes.mount_pvc(work(), pvc_name="data", mount_path="/data", sub_path="a/b")


@entry
def pvc_created_mounted_deleted():
    claim = kubernetes.CreatePVC(
        pvc_name_suffix="-data",
        access_modes=["ReadWriteMany"],
        size="5Gi",
        storage_class_name="standard",
        annotations={"a": "b"},
        data_source={"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "old"},
    )
    one = work(text="1")
    two = work(text="2").after(one)
    kubernetes.mount_pvc(one, pvc_name=claim.outputs["name"], mount_path="/data")
    kubernetes.mount_pvc(two, pvc_name=claim.output, mount_path="/elsewhere", sub_path="two")
    kubernetes.DeletePVC(pvc_name=claim.outputs["name"]).after(two)


@entry
def pvc_created_by_name(name: str = "data"):
    claim = kubernetes.CreatePVC(pvc_name=name, access_modes=["ReadWriteOnce"], size="1Gi", volume_name="volume")
    kubernetes.mount_pvc(work(), pvc_name=claim.outputs["name"], mount_path="/data")


@entry
def empty_dir():
    kubernetes.empty_dir_mount(work(), "scratch", "/scratch")


@entry
def empty_dir_in_memory():
    kubernetes.empty_dir_mount(work(), "scratch", "/dev/shm", medium="Memory", size_limit="1Gi")


@entry
def ephemeral_volume():
    kubernetes.add_ephemeral_volume(work(), "scratch", "/scratch", ["ReadWriteOnce"], "10Gi")


@entry
def ephemeral_volume_in_full():
    kubernetes.add_ephemeral_volume(
        work(),
        volume_name="scratch",
        mount_path="/scratch",
        access_modes=["ReadWriteOnce", "ReadOnlyMany"],
        size="10Gi",
        storage_class_name="fast",
        labels={"l": "1"},
        annotations={"a": "2"},
    )


@entry
def field_path():
    task = work()
    kubernetes.use_field_path_as_env(task, "POD", "metadata.name")
    kubernetes.use_field_path_as_env(task, "RUN", "metadata.labels['pipeline/runid']")


@entry
def timeout():
    kubernetes.set_timeout(work(), 20)


@entry
def timeout_taken_back():
    kubernetes.set_timeout(kubernetes.set_timeout(work(), 20), 0)


@entry
def pull_policies():
    for policy in ("Always", "Never", "IfNotPresent"):
        kubernetes.set_image_pull_policy(work(), policy)


@entry
def pull_secrets():
    kubernetes.set_image_pull_secrets(work(), ["one", "two"])


@entry
def node_selector():
    task = work()
    kubernetes.add_node_selector(task, "zone", "a")
    kubernetes.add_node_selector(task, "disk", "ssd")


@entry
def node_selector_json():
    kubernetes.add_node_selector_json(work(), {"zone": "a", "disk": "ssd"})


@entry
def tolerations():
    task = work()
    kubernetes.add_toleration(task, key="gpu", operator="Equal", value="yes", effect="NoExecute", toleration_seconds=10)
    kubernetes.add_toleration(task, operator="Exists")
    kubernetes.add_toleration_json(task, {"key": "a", "operator": "Exists", "effect": "NoSchedule"})
    kubernetes.add_toleration_json(task, [{"key": "b"}, {"key": "c", "operator": "Equal", "value": "1"}])


@entry
def node_affinity():
    task = work()
    kubernetes.add_node_affinity(
        task,
        match_expressions=[{"key": "zone", "operator": "In", "values": ["a", "b"]}],
        match_fields=[{"key": "metadata.name", "operator": "NotIn", "values": ["n"]}],
    )
    kubernetes.add_node_affinity(task, match_expressions=[{"key": "disk", "operator": "Exists"}], weight=50)


@entry
def node_affinity_json():
    kubernetes.add_node_affinity_json(
        work(),
        {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}]
            }
        },
    )


@entry
def pod_metadata():
    task = work()
    kubernetes.add_pod_label(task, "team", "ml")
    kubernetes.add_pod_label(task, "tier", "1")
    kubernetes.add_pod_annotation(task, "note", "some text")


@entry
def security_context():
    kubernetes.set_security_context(work(), run_as_user=1000, run_as_group=0, run_as_non_root=True)
    kubernetes.set_security_context(work(), run_as_non_root=False)


# --- names that are values of the run ---------------------------------------------------------------------------------


@entry
def names_from_inputs(secret: str, config: str = "settings", claim: str = "data"):
    task = work()
    kubernetes.use_secret_as_env(task, secret, {"user": "DB_USER"})
    kubernetes.use_secret_as_volume(task, secret, "/etc/db")
    kubernetes.use_config_map_as_env(task, config, {"mode": "MODE"})
    kubernetes.use_config_map_as_volume(task, config, "/etc/settings", optional=True)
    kubernetes.mount_pvc(task, claim, "/data")
    kubernetes.set_image_pull_secrets(task, [secret, "fixed"])


@entry
def names_from_tasks():
    told = names()
    task = work(text=told.outputs["secret"])
    kubernetes.use_secret_as_env(task, told.outputs["secret"], {"user": "DB_USER"})
    other = shell(text="hello")
    kubernetes.use_secret_as_volume(other, told.outputs["secret"], "/etc/db")
    kubernetes.use_config_map_as_env(other, told.outputs["config"], {"mode": "MODE"})
    kubernetes.use_config_map_as_volume(other, told.outputs["config"], "/etc/settings")
    kubernetes.set_image_pull_secrets(other, [told.outputs["secret"]])


@entry
def json_from_inputs(selector: dict, toleration: list, affinity: dict):
    task = work()
    kubernetes.add_node_selector_json(task, selector)
    kubernetes.add_toleration_json(task, toleration)
    kubernetes.add_node_affinity_json(task, affinity)
    kubernetes.add_node_affinity_json(task, affinity)


@entry
def json_constants():
    task = work()
    kubernetes.add_node_selector_json(task, {"zone": "a"})
    kubernetes.add_node_selector(task, "disk", "ssd")
    kubernetes.add_node_affinity_json(task, {"preferredDuringSchedulingIgnoredDuringExecution": []})
    kubernetes.add_node_affinity(task, match_fields=[{"key": "metadata.name", "operator": "Exists"}], weight=1)
    terms = [{"weight": 2, "preference": {"matchExpressions": [{"key": "x", "operator": "Gt", "values": ["1"]}]}}]
    kubernetes.add_node_affinity_json(task, {"preferredDuringSchedulingIgnoredDuringExecution": terms})
    kubernetes.add_node_selector_json(task, {"zone": "b", "count": 1, "share": 0.5, "flag": True, "list": []})


@entry
def json_from_tasks():
    task = work()
    kubernetes.add_toleration_json(task, listed().output)
    kubernetes.add_toleration_json(task, listed().output)


@entry
def a_name_from_a_branch(flag: str = "yes"):
    with dsl.If(flag == "yes"):
        one = work(text="1")
    with dsl.Else():
        other = work(text="2")
    kubernetes.use_secret_as_env(work(), dsl.OneOf(one.output, other.output), {"user": "DB_USER"})


@entry
def an_artifact_as_a_name(data: dsl.Input[dsl.Dataset]):
    kubernetes.use_secret_as_env(work(), data, {"user": "DB_USER"})


@entry
def a_value_where_a_constant_is_expected(path: str):
    kubernetes.use_secret_as_volume(work(), "db", path)


@entry
def a_value_inside_text(team: str):
    kubernetes.use_secret_as_env(work(), f"{team}-db", {"user": f"{team}_USER"})
    kubernetes.add_pod_label(work(), "team", f"the {team}")


# --- many at once, and in pipelines within pipelines ------------------------------------------------------------------


@entry
def everything_on_one_task(secret: str = "db"):
    task = shell(text="x").set_env_variable("A", "1").set_memory_limit("1G").set_retry(2).set_display_name("All")
    kubernetes.use_secret_as_env(task, secret, {"user": "DB_USER"})
    kubernetes.use_secret_as_env(task, "other", {"token": "TOKEN"}, optional=True)
    kubernetes.use_secret_as_volume(task, "db", "/etc/db")
    kubernetes.use_config_map_as_env(task, "settings", {"mode": "MODE", "level": "LEVEL"})
    kubernetes.use_config_map_as_volume(task, "settings", "/etc/settings")
    kubernetes.mount_pvc(task, "data", "/data")
    kubernetes.mount_pvc(task, "more", "/more")
    kubernetes.empty_dir_mount(task, "scratch", "/scratch")
    kubernetes.add_ephemeral_volume(task, "big", "/big", ["ReadWriteOnce"], "10Gi")
    kubernetes.use_field_path_as_env(task, "POD", "metadata.name")
    kubernetes.set_timeout(task, 60)
    kubernetes.set_image_pull_policy(task, "Always")
    kubernetes.add_node_selector(task, "zone", "a")
    kubernetes.add_toleration(task, key="gpu", operator="Exists")
    kubernetes.add_pod_label(task, "team", "ml")
    kubernetes.set_security_context(task, run_as_user=1)


@entry
def the_same_component_with_and_without():
    kubernetes.set_timeout(work(text="a"), 1)
    work(text="b")
    kubernetes.set_timeout(work(text="c"), 3)


@dsl.component
def deep_work(text: str = "") -> str:
    return text


@dsl.component
def deep_names() -> NamedTuple("Names", [("secret", str), ("config", str)]):
    return "s", "c"


# Where labels of executors clash, as for a pipeline with settings that is used twice or next to a task of the same
# component, the SDK 2.17.3 may give one task the settings of the other, and not in every run the same. So here they
# have names of their own.
@dsl.pipeline
def inner(secret: str, text: str = "a") -> str:
    told = deep_names()
    task = deep_work(text=text)
    kubernetes.use_secret_as_env(task, secret, {"user": "DB_USER"})
    kubernetes.use_config_map_as_volume(task, told.outputs["config"], "/etc/settings")
    return task.output


@entry
def nested(secret: str = "db"):
    first = inner(secret=secret)
    task = work(text=first.output)
    kubernetes.use_secret_as_volume(task, secret, "/etc/db")


@entry
def nested_with_a_constant():
    inner(secret="fixed")


@dsl.pipeline
def middle(claim: str):
    kubernetes.mount_pvc(work(), claim, "/data")
    inner(secret="s", text="t")


@entry
def nested_twice():
    claim = kubernetes.CreatePVC(
        pvc_name_suffix="-x", access_modes=["ReadWriteOnce"], size="1Gi", storage_class_name="s"
    )
    middle(claim=claim.outputs["name"])


# --- in control flow --------------------------------------------------------------------------------------------------


@entry
def in_a_condition(secret: str, flag: str = "yes"):
    told = names()
    with dsl.If(flag == "yes"):
        task = work()
        kubernetes.use_secret_as_env(task, secret, {"user": "DB_USER"})
        kubernetes.use_config_map_as_env(task, told.outputs["config"], {"mode": "MODE"})
    with dsl.Else():
        kubernetes.use_secret_as_volume(work(), told.outputs["secret"], "/etc/db")


@entry
def in_a_loop(secret: str, claims: list):
    told = names()
    with dsl.ParallelFor(["a", "b"]) as item:
        task = work(text=item)
        kubernetes.use_secret_as_env(task, secret, {"user": "DB_USER"})
        kubernetes.mount_pvc(task, told.outputs["config"], "/data")
    with dsl.ParallelFor(claims):
        one = work()
        two = work()
        kubernetes.use_config_map_as_env(two, one.output, {"mode": "MODE"})


@entry
def by_the_item_of_a_loop():
    with dsl.ParallelFor(["a", "b"]) as item:
        kubernetes.use_secret_as_env(work(), item, {"user": "DB_USER"})
    with dsl.ParallelFor([{"secret": "a"}, {"secret": "b"}]) as item:
        kubernetes.use_secret_as_volume(work(), item.secret, "/etc/db")


@entry
def by_dicts_in_a_loop():
    with dsl.ParallelFor([{"key": "a", "operator": "Exists"}, {"key": "b", "operator": "Exists"}]) as item:
        kubernetes.add_toleration_json(work(), item)
    with dsl.ParallelFor([{"selector": {"zone": "a"}}]) as item:
        kubernetes.add_node_selector_json(work(), item.selector)
        kubernetes.set_image_pull_secrets(work(), [names().outputs["secret"]])


@entry
def by_collected_values():
    with dsl.ParallelFor(["a", "b"]) as item:
        inside = work(text=item)
    kubernetes.add_toleration_json(work(), dsl.Collected(inside.output))


@entry
def by_the_item_of_a_computed_loop():
    with dsl.ParallelFor(listed().output) as item:
        kubernetes.use_secret_as_env(work(), item.secret, {"user": "DB_USER"})


@entry
def in_an_exit_handler(secret: str):
    last = work(text="last")
    kubernetes.use_secret_as_env(last, secret, {"user": "DB_USER"})
    kubernetes.set_timeout(last, 30)
    with dsl.ExitHandler(last):
        told = names()
        kubernetes.use_secret_as_env(work(), told.outputs["secret"], {"user": "DB_USER"})
        kubernetes.use_config_map_as_volume(work(), secret, "/etc/settings")


@entry
def deep_down(secret: str, flag: str = "yes"):
    told = names()
    with dsl.ParallelFor([1, 2]), dsl.If(flag == "yes"), dsl.ParallelFor(["x"]) as item:
        task = work(text=item)
        kubernetes.use_secret_as_env(task, secret, {"user": "DB_USER"})
        kubernetes.mount_pvc(task, told.outputs["config"], "/data")
        inner(secret=secret)


@entry
def with_a_workspace(secret: str = "db"):
    kubernetes.use_secret_as_env(work(text=dsl.WORKSPACE_PATH_PLACEHOLDER), secret, {"user": "DB_USER"})


# --- to be run as well ------------------------------------------------------------------------------------------------


@dsl.component(base_image="python:3.11")
def look(variables: list, folders: list) -> dict:
    import os

    def files(folder: str) -> dict:
        found = {}
        for entry in os.scandir(folder):
            if entry.is_file():
                with open(entry) as file:
                    found[entry.name] = file.read()
        return found

    return {
        "env": {name: os.environ.get(name) for name in variables},
        "files": {folder: files(folder) for folder in folders},
    }


@dsl.component(base_image="python:3.11")
def write(path: str, text: str) -> str:
    import os

    with open(path, "w") as file:
        file.write(text)
    try:
        with open("/etc/run/db/new", "w"):
            return "a secret can be written"
    except OSError:
        return f"{os.listdir('/run-scratch')}"


@dsl.component(base_image="python:3.11")
def name_of(kind: str) -> str:
    return {"secret": "db", "config": "app"}[kind]


@dsl.component(base_image="python:3.11")
def linger(seconds: int):
    import time

    time.sleep(seconds)


@entry
def run_variables(secret: str = "db") -> dict:
    told = name_of(kind="config")
    task = look(variables=["DB_USER", "DB_PW", "MODE", "NONE", "NODE", "RUN"], folders=[])
    kubernetes.use_secret_as_env(task, secret, {"user": "DB_USER", "pw": "DB_PW"})
    kubernetes.use_config_map_as_env(task, told.output, {"mode": "MODE"})
    kubernetes.use_config_map_as_env(task, "none", {"mode": "NONE"}, optional=True)
    kubernetes.use_field_path_as_env(task, "NODE", "spec.nodeName")
    kubernetes.use_field_path_as_env(task, "RUN", "metadata.labels['pipeline/runid']")
    kubernetes.add_toleration(task, operator="Exists")
    return task.output


@entry
def run_volumes(secret: str = "db") -> dict:
    claim = kubernetes.CreatePVC(pvc_name="run-data", access_modes=["ReadWriteMany"], size="1Gi")
    writing = write(path="/run-data/note", text="kept")
    kubernetes.mount_pvc(writing, claim.output, "/run-data")
    kubernetes.use_secret_as_volume(writing, secret, "/etc/run/db")
    kubernetes.empty_dir_mount(writing, "scratch", "/run-scratch")
    folders = ["/etc/run/db", "/etc/run/app", "/etc/run/none", "/run-data", "/run-part", "/opt"]
    task = look(variables=[writing.output], folders=folders)
    kubernetes.use_secret_as_volume(task, secret, "/etc/run/db")
    kubernetes.use_config_map_as_volume(task, name_of(kind="config").output, "/etc/run/app")
    kubernetes.use_config_map_as_volume(task, "none", "/etc/run/none", optional=True)
    kubernetes.mount_pvc(task, claim.output, "/run-data")
    kubernetes.mount_pvc(task, claim.output, "/run-part", sub_path="part")
    kubernetes.add_ephemeral_volume(task, "fresh", "/opt", ["ReadWriteOnce"], "1Gi")
    kubernetes.DeletePVC(pvc_name=claim.output).after(task)
    return task.output


@entry
def run_in_a_loop() -> list:
    with dsl.ParallelFor(["one", "two"]) as item, dsl.If(item != "none"):
        task = look(variables=["DB_USER"], folders=[])
        kubernetes.use_secret_as_env(task, item, {"user": "DB_USER"})
    return dsl.Collected(task.output)


@entry
def run_too_long():
    kubernetes.set_timeout(linger(seconds=60), 1)


def main(folder: Path) -> None:
    for name, function in ENTRIES.items():
        config = dsl.PipelineConfig(workspace=dsl.WorkspaceConfig(size="1Gi")) if "workspace" in name else None
        try:
            pipeline = dsl.pipeline(name=name.replace("_", "-"), pipeline_config=config)(function)
            compiler.Compiler().compile(pipeline, str(folder / f"{name}.yaml"))
        except Exception:  # noqa: BLE001 - what it is does not matter: both SDKs must refuse it
            (folder / f"{name}.error").write_text(traceback.format_exc(), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
