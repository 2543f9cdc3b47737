"""The modules that `import kfp` finds in a task, with what the KFP SDK has at run time.

If the task's environment has the SDK itself, that is used.
"""

from __future__ import annotations

import importlib.util
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Callable, Dict, List, NoReturn

from . import annotations as type_annotations
from . import artifacts, constants, status

#: The names that `from kfp.dsl import *` imports into a component, as with the SDK where `_KFP_RUNTIME=true`.
RUNTIME_NAMES = (
    "Input",
    "Output",
    "InputPath",
    "OutputPath",
    "PipelineTaskFinalStatus",
    "TaskConfig",
    "Artifact",
    "ClassificationMetrics",
    "Dataset",
    "HTML",
    "Markdown",
    "Metrics",
    "Model",
    "SlicedClassificationMetrics",
    "get_uri",
    "PIPELINE_JOB_NAME_PLACEHOLDER",
    "PIPELINE_JOB_RESOURCE_NAME_PLACEHOLDER",
    "PIPELINE_JOB_ID_PLACEHOLDER",
    "PIPELINE_TASK_NAME_PLACEHOLDER",
    "PIPELINE_TASK_ID_PLACEHOLDER",
    "PIPELINE_TASK_EXECUTOR_OUTPUT_PATH_PLACEHOLDER",
    "PIPELINE_TASK_EXECUTOR_INPUT_PLACEHOLDER",
    "PIPELINE_ROOT_PLACEHOLDER",
    "PIPELINE_JOB_CREATE_TIME_UTC_PLACEHOLDER",
    "PIPELINE_JOB_SCHEDULE_TIME_UTC_PLACEHOLDER",
    "WORKSPACE_PATH_PLACEHOLDER",
    "run_notebook",
)

#: Names with which authors define components and pipelines, which tasks do not.
_DEFINING = ("component", "container_component", "notebook_component", "pipeline")

_MARKERS = ("EmbeddedInput", "InputAnnotation", "OutputAnnotation", "EmbeddedAnnotation")


def install() -> bool:
    """Make `kfp` and its modules importable, unless they are already; return whether the SDK itself is installed."""
    if "kfp" not in sys.modules:
        spec = importlib.util.find_spec("kfp")
        if spec is not None and spec.origin is not None:
            return True
        # Packages such as kfp-pipeline-spec put modules into a namespace package `kfp`: they stay importable.
        _install(list(spec.submodule_search_locations or ()) if spec else [])
    return not hasattr(sys.modules["kfp"], "__standpipe__")


def _install(search_path: List[str]) -> None:
    artifact_types = _module("kfp.dsl.types.artifact_types", _public(artifacts))
    annotations_module = _module("kfp.dsl.types.type_annotations", _public(type_annotations))
    types = _module("kfp.dsl.types", {"artifact_types": artifact_types, "type_annotations": annotations_module})
    own: Dict[str, Dict[str, Any]] = {
        "constants": {"WORKSPACE_MOUNT_PATH": constants.WORKSPACE_MOUNT_PATH},
        "notebook_helpers": {"run_notebook": _run_notebook},
        "task_config": {"TaskConfig": status.TaskConfig},
        "task_final_status": {"PipelineTaskFinalStatus": status.PipelineTaskFinalStatus},
    }
    modules = {"types": types, **{name: _module(f"kfp.dsl.{name}", members) for name, members in own.items()}}
    dsl = _module("kfp.dsl", {**runtime_names(), **modules, "__all__": list(RUNTIME_NAMES)})
    kfp = _module("kfp", {"dsl": dsl, "__version__": constants.KFP_VERSION, "__standpipe__": True})
    for package, path in ((kfp, search_path), (dsl, []), (types, [])):
        package.__path__ = path
        package.__dict__["__getattr__"] = _explain(package.__name__)


def runtime_names() -> Dict[str, Any]:
    """Return the names of `kfp.dsl` at run time with their objects."""
    known = {
        **vars(constants),
        **vars(status),
        **vars(artifacts),
        **vars(type_annotations),
        "run_notebook": _run_notebook,
    }
    return {name: known[name] for name in (*RUNTIME_NAMES, *_MARKERS)}


def _module(name: str, members: Dict[str, Any]) -> ModuleType:
    module = ModuleType(name, "Stands in for the KFP SDK in a task.")
    module.__spec__ = ModuleSpec(name, None)
    module.__dict__.update(members)
    sys.modules[name] = module
    return module


def _public(module: ModuleType) -> Dict[str, Any]:
    return {name: member for name, member in vars(module).items() if not name.startswith("_")}


def _explain(module: str) -> Callable[[str], NoReturn]:
    def missing(name: str) -> NoReturn:
        defining = " A module that tasks import cannot define components: move what they use into one of its own."
        raise AttributeError(
            f"module {module!r} has no attribute {name!r} in a running task, which has only artifacts, annotations and "
            "placeholders. To use the whole KFP SDK there, add 'kfp' to packages_to_install."
            f"{defining if name in _DEFINING else ''}"
        )

    return missing


def _run_notebook(**kwargs: Any) -> NoReturn:
    """Stands in for `dsl.run_notebook`, which notebook components define themselves."""
    raise NotImplementedError("dsl.run_notebook needs a component with a notebook: use @dsl.notebook_component")
