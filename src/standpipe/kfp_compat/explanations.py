"""Why a name or a module of `kfp` does not exist in Standpipe, and what to use instead."""

from __future__ import annotations

from collections.abc import Mapping

_COMPONENT = "decorate the function with `@dsl.component`"
_CONTAINER = "write the container as a function with `@dsl.container_component`"
_RUN = "call the pipeline, or `local.run(pipeline, arguments)`"
_KUBERNETES = "use `kfp.kubernetes`"

#: The names that only version 1 of KFP has (1.8.22), with what replaces them in version 2; empty if nothing does.
KFP_1: Mapping[str, Mapping[str, str]] = {
    "kfp": {
        "LocalClient": _RUN,
        "auth": "use `kfp.client`",
        "aws": _KUBERNETES,
        "azure": _KUBERNETES,
        "containers": _CONTAINER,
        "deprecated": "use `kfp.dsl`, `kfp.compiler` and `kfp.components`",
        "gcp": _KUBERNETES,
        "notebook": "use `@dsl.notebook_component`",
        "onprem": _KUBERNETES,
        "run_pipeline_func_locally": _RUN,
        "run_pipeline_func_on_cluster": "use `kfp.Client().create_run_from_pipeline_func`",
    },
    "kfp.compiler": {
        "VersionedDependency": "use `packages_to_install` of `@dsl.component`",
        "build_docker_image": "use `target_image` of `@dsl.component`",
        "build_python_component": "use `target_image` of `@dsl.component`",
    },
    "kfp.components": {
        "ComponentStore": "",
        "InputArtifact": "import `Input` and `Artifact` from `kfp.dsl`",
        "InputBinaryFile": "import `InputPath` from `kfp.dsl`",
        "InputPath": "import it from `kfp.dsl`",
        "InputTextFile": "import `InputPath` from `kfp.dsl`",
        "OutputArtifact": "import `Output` and `Artifact` from `kfp.dsl`",
        "OutputBinaryFile": "import `OutputPath` from `kfp.dsl`",
        "OutputPath": "import it from `kfp.dsl`",
        "OutputTextFile": "import `OutputPath` from `kfp.dsl`",
        "create_component_from_airflow_op": "",
        "create_component_from_func": _COMPONENT,
        "create_component_from_func_v2": _COMPONENT,
        "create_graph_component_from_pipeline_func": "decorate the function with `@dsl.pipeline`",
        "func_to_component_text": f"{_COMPONENT}, and compile it",
        "func_to_container_op": _COMPONENT,
        "load_component": "use `load_component_from_file`, `load_component_from_text` or `load_component_from_url`",
    },
    "kfp.dsl": {
        "BaseOp": _CONTAINER,
        "ContainerOp": _CONTAINER,
        "EXECUTION_ID_PLACEHOLDER": "use `dsl.PIPELINE_TASK_ID_PLACEHOLDER`",
        "InputArgumentPath": "use `InputPath`",
        "OpsGroup": "",
        "PipelineConf": "",
        "PipelineParam": "use `kfp.dsl.pipeline_channel.PipelineParameterChannel`",
        "PipelineVolume": _KUBERNETES,
        "RUN_ID_PLACEHOLDER": "use `dsl.PIPELINE_JOB_ID_PLACEHOLDER`",
        "ResourceOp": "",
        "Sidecar": "",
        "UserContainer": "",
        "VOLUME_MODE_ROM": _KUBERNETES,
        "VOLUME_MODE_RWM": _KUBERNETES,
        "VOLUME_MODE_RWO": _KUBERNETES,
        "VolumeOp": _KUBERNETES,
        "VolumeSnapshotOp": "",
        "get_pipeline_conf": "",
    },
    "kfp.v2": {"google": "use `PipelineJob` of the package google-cloud-aiplatform"},
}


def explain_missing(module: str, name: str, reason: str = "") -> str:
    """Return why a module of `kfp` does not have a name, and what to do.

    Args:
        module: a module of `kfp`.
        name: what it does not have: an attribute or a module.
        reason: what Standpipe says of the name, if it does.
    """
    if module == "kubeflow":
        return f"kubeflow.{name} is not installed in this environment. Install it with `pip install kubeflow`."
    if module == "kubeflow.pipelines" and name == "local":
        return "kubeflow.pipelines does not have `local`. Import it from KFP: `from kfp import local`."
    replacement = KFP_1.get(module, {}).get(name)
    if replacement is not None:
        instead = f" Instead, {replacement}." if replacement else ""
        return (
            f"{module}.{name} belongs to KFP 1: neither Standpipe nor the KFP SDK since 2.0 has it.{instead} KFP's "
            "documentation has a guide to migrate from version 1."
        )
    return (
        f"module {module!r} has no attribute {name!r} in Standpipe, which replaces `kfp` in this process. "
        f"{reason or 'Standpipe has the documented names of KFP. Scripts that use private names need the KFP SDK.'}"
    )
