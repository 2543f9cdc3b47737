"""Answering to the name `kfp`, so that a script written for the KFP SDK runs unchanged.

The modules of the SDK that users import are here by name, each a view of ours: what stands in `MODULES` is looked up
when it is asked for, so a name of ours is one of `kfp` as soon as it exists. What else lies below `kfp` where Python
looks for it is imported as it is: `kfp.kubernetes`, and the SDK's own `kfp.client` and `kfp.registry`. They import
`kfp.dsl` and `kfp.compiler` in turn and get ours, so that a client of the SDK takes pipelines of ours.
"""

from __future__ import annotations

import pkgutil
import sys
import warnings
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

from standpipe.errors import StandpipeError
from standpipe.model.kfp import KFP_VERSION

_ALL = "*"

#: The modules of `kfp` that are views of ours: for each, which names it has from which modules. What is called
#: otherwise in ours is written `theirs=ours`.
MODULES: Mapping[str, Mapping[str, str]] = {
    "kfp": {},
    "kfp.compiler": {"standpipe.compiler": _ALL},
    "kfp.compiler.compiler": {"standpipe.compiler": "Compiler"},
    "kfp.compiler.compiler_utils": {
        "standpipe.compiler": "KubernetesManifestOptions",
        "standpipe.errors": "InvalidTopologyException",
    },
    "kfp.compiler.pipeline_spec_builder": {"standpipe.compiler": "to_protobuf_value"},
    "kfp.components": {
        "standpipe.components": _ALL,
        "kfp.dsl": "base_component placeholders",
    },
    "kfp.components.load_yaml_utilities": {
        "standpipe.components": "load_component_from_file load_component_from_text load_component_from_url",
    },
    "kfp.dsl": {"standpipe.dsl": _ALL},
    "kfp.dsl.base_component": {"standpipe.dsl": "BaseComponent"},
    "kfp.dsl.component_decorator": {"standpipe.dsl": "component"},
    "kfp.dsl.component_task_config": {"standpipe.dsl": "TaskConfigField TaskConfigPassthrough"},
    "kfp.dsl.constants": {"standpipe.worker.constants": "WORKSPACE_MOUNT_PATH"},
    "kfp.dsl.container_component_class": {"standpipe.dsl": "ContainerComponent"},
    "kfp.dsl.container_component_decorator": {"standpipe.dsl": "container_component"},
    "kfp.dsl.for_loop": {"standpipe.dsl": "Collected"},
    "kfp.dsl.graph_component": {"standpipe.dsl": "GraphComponent"},
    "kfp.dsl.importer_component": {"standpipe.dsl.importing": "ImporterComponent"},
    "kfp.dsl.importer_node": {"standpipe.dsl": "importer"},
    "kfp.dsl.notebook_component_decorator": {"standpipe.dsl": "notebook_component"},
    "kfp.dsl.notebook_helpers": {"standpipe.dsl": "run_notebook"},
    "kfp.dsl.pipeline_channel": {"standpipe.dsl": "OneOf", "standpipe.dsl.tracing.channels": _ALL},
    "kfp.dsl.pipeline_config": {"standpipe.dsl": "KubernetesWorkspaceConfig PipelineConfig WorkspaceConfig"},
    "kfp.dsl.pipeline_context": {"standpipe.dsl": "pipeline"},
    "kfp.dsl.pipeline_task": {"standpipe.dsl": "PipelineTask", "standpipe.dsl.tracing.tasks": "TaskState"},
    "kfp.dsl.placeholders": {
        "standpipe.dsl": "ConcatPlaceholder IfPresentPlaceholder",
        "standpipe.dsl.placeholders": _ALL,
    },
    "kfp.dsl.python_component": {"standpipe.dsl": "PythonComponent"},
    "kfp.dsl.structures": {"standpipe.dsl": "ContainerSpec"},
    "kfp.dsl.task_config": {"standpipe.dsl": "TaskConfig"},
    "kfp.dsl.task_final_status": {"standpipe.dsl": "PipelineTaskFinalStatus"},
    "kfp.dsl.tasks_group": {
        "standpipe.dsl": "Condition Elif Else ExitHandler If ParallelFor",
        "standpipe.errors": "InvalidControlFlowException",
    },
    "kfp.dsl.types": {},
    "kfp.dsl.types.artifact_types": {"standpipe.worker.artifacts": _ALL},
    "kfp.dsl.types.type_annotations": {"standpipe.worker.annotations": _ALL},
    "kfp.dsl.types.type_utils": {"standpipe.errors": "InconsistentTypeException"},
    "kfp.dsl.utils": {"standpipe.model.kfp": "maybe_rename_for_k8s=kubernetes_name"},
    "kfp.dsl.yaml_component": {"kfp.components": "YamlComponent"},
    "kfp.local": {"standpipe.local": _ALL},
    "kfp.local.config": {"standpipe.local": "DockerRunner SubprocessRunner init"},
    "kfp.v2": {"kfp": "compiler components dsl"},
    "kfp.v2.compiler": {"kfp.compiler": _ALL},
    "kfp.v2.components": {"kfp.components": _ALL},
    "kfp.v2.dsl": {"kfp.dsl": _ALL},
    "kfp.version": {},
}

#: The generated modules of kfp-pipeline-spec stay: protobuf registers a message only once.
_KEPT = "kfp.pipeline_spec"

_OF_THE_SDK = {"Client", "cli", "client", "kubeflow_client", "registry"}


class NoSuchName(StandpipeError, AttributeError):
    """A module of `kfp` lacks a name, and the message says where it would come from."""

    exit_code = 4


class NoSuchModule(StandpipeError, ModuleNotFoundError):
    """There is no such module below `kfp`, and the message says where it would come from."""

    exit_code = 4


def install_as_kfp() -> None:
    """Makes `import kfp` and the modules below it mean Standpipe, in this process.

    To be called before anything else imports `kfp`; calling it again changes nothing. Other distributions that live
    below `kfp`, such as `kfp-kubernetes`, are still found, and so is what the KFP SDK has for talking to a cluster,
    where it is installed: `kfp.Client`, `kfp.registry`.

    Where the KFP SDK was imported already, a warning says so, and the next `import kfp` finds Standpipe; names that
    were imported before still mean the SDK.
    """
    found = sys.modules.get("kfp")
    if hasattr(found, "__standpipe__"):
        return
    if getattr(found, "__file__", None):
        warnings.warn(
            "The KFP SDK was imported before standpipe.install_as_kfp() was called: names that were imported from it "
            "still mean the SDK. Call install_as_kfp() first, or import them again.",
            stacklevel=2,
        )
    _forget_the_sdk()
    _install()


def _forget_the_sdk() -> None:
    for name in [name for name in sys.modules if name == "kfp" or name.startswith("kfp.")]:
        if not f"{name}.".startswith(f"{_KEPT}."):
            del sys.modules[name]


def _install() -> None:
    search_path = _search_path()
    for name in MODULES:
        sys.modules[name] = _View(name)
        parent, _, last = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], last, sys.modules[name])
    kfp = sys.modules["kfp"]
    kfp.__path__ = search_path
    kfp.__dict__.update(__version__=KFP_VERSION, TYPE_CHECK=True, __standpipe__=True)
    sys.modules["kfp.version"].__dict__["__version__"] = KFP_VERSION
    sys.meta_path.append(_Explainer())


def _search_path() -> list[str]:
    """The folders named `kfp` where Python looks for modules, the SDK's first."""
    elsewhere = PathFinder.find_spec("kfp")
    found = list(elsewhere.submodule_search_locations or ()) if elsewhere else []
    return list(pkgutil.extend_path(found, "kfp"))


class _View(ModuleType):
    """A module of `kfp` that has the names of modules of ours."""

    def __init__(self, name: str) -> None:
        super().__init__(name, __doc__)
        is_package = any(other.startswith(f"{name}.") for other in MODULES)
        self.__spec__ = ModuleSpec(name, None, is_package=is_package)
        if is_package:
            self.__path__: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name == "__all__" and MODULES[self.__name__]:
            return _names_in(self.__name__)
        if name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        if self.__name__ == "kfp" and name in ("Client", "client"):
            return _of_the_client(name)
        return _look_up(self.__name__, name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *_names_in(self.__name__)})


def _look_up(module: str, name: str) -> Any:
    """What a view has under a name; raises NoSuchName."""
    reason = ""
    for source, listed in MODULES[module].items():
        own_name = name if listed == _ALL else _names(listed).get(name)
        if own_name is None:
            continue
        try:
            return getattr(import_module(source), own_name)
        except AttributeError as error:
            reason = "" if "has no attribute" in str(error) else str(error)
    raise NoSuchName(_explain(module, name, reason))


def _names(listed: str) -> dict[str, str]:
    """The names of a view in an entry of `MODULES`, and what each is called in ours."""
    return {theirs: ours or theirs for theirs, _, ours in (name.partition("=") for name in listed.split())}


def _names_in(module: str) -> list[str]:
    """The public names that a view has."""
    names = {
        name
        for source, listed in MODULES[module].items()
        for name in (_public(import_module(source)) if listed == _ALL else _names(listed))
    }
    return sorted(name for name in names if hasattr(sys.modules[module], name))


def _public(module: ModuleType) -> Sequence[str]:
    listed: Sequence[str] = getattr(module, "__all__", ()) or [name for name in vars(module) if name[0] != "_"]
    return listed


def _of_the_client(name: str) -> Any:
    try:
        client = import_module("kfp.client")
    except NoSuchModule as error:
        raise NoSuchName(_explain("kfp", name)) from error
    return client if name == "client" else client.Client


class _Explainer:
    """Asked last for a module below `kfp`, it says why there is none.

    `from kfp import name` asks for a module, too, if there is no such attribute, and would hide the reason for that.
    """

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        module, _, last = name.rpartition(".")
        if module in MODULES and isinstance(sys.modules.get(module), _View):
            # `from … import` passes on only what is about another module than the one that it asked for itself
            raise NoSuchModule(self._reason(module, last), name=module)

    def _reason(self, module: str, name: str) -> str:
        try:
            _look_up(module, name)
        except NoSuchName as error:
            return str(error)
        return f"{module}.{name} is no module: import it with `from {module} import {name}`."


def _explain(module: str, name: str, reason: str = "") -> str:
    if module == "kfp" and name in _OF_THE_SDK:
        return (
            f"kfp.{name} is not part of Standpipe, which answers to `kfp` here: it is for talking to a cluster, and "
            "comes with the KFP SDK, which is not installed in this environment. Install it with `pip install kfp`. "
            "Whatever runs on this machine needs no SDK."
        )
    if module == "kfp" and name == "kubernetes":
        return "kfp.kubernetes is not installed in this environment. Install it with `pip install kfp-kubernetes`."
    return (
        f"module {module!r} has no attribute {name!r} in Standpipe, which answers to `kfp` here. "
        f"{reason or 'What KFP documents is here; scripts that use the inside of its SDK need that SDK.'}"
    )
