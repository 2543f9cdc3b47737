"""The module `kfp` as an alias of Standpipe, so that a script written for the KFP SDK runs unchanged.

`MODULES` lists the modules of the SDK that users import. Each is a view of modules of Standpipe: a name is looked up
there when it is accessed, so that a name that is added to Standpipe is in `kfp` at once. Other modules below `kfp` are
imported from `sys.path`: `kfp.kubernetes` and `kfp.pipeline_spec`, whether they are distributions of their own or parts
of the SDK (KEP-12548), and the SDK's `kfp.client` and `kfp.registry`. They import `kfp.dsl` and `kfp.compiler`, which
are Standpipe's, so that a client of the SDK accepts pipelines of Standpipe. Where the SDK is not installed, stand-ins
replace what talks to a cluster (`cluster.py`).

`FALLBACKS` lists modules that are views only where they are not installed. `kubeflow.pipelines` of the package
`kubeflow` has the same modules as `kfp`, and imports them from there where it is installed.
"""

from __future__ import annotations

import pkgutil
import sys
import warnings
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

from standpipe.errors import StandpipeError
from standpipe.kfp_compat.additions import AdditionFinder
from standpipe.kfp_compat.cluster import CLIENT_TYPES, CLUSTER_MODULES
from standpipe.kfp_compat.explanations import explain_missing
from standpipe.model.kfp import KFP_VERSION

_ALL = "*"

#: The modules of `kfp` that are views: for each, the modules of Standpipe that its names come from. A name that is
#: different in Standpipe is written `kfp_name=standpipe_name`.
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
    "kfp.dsl.component_factory": {
        "standpipe.dsl": (
            "create_component_from_func=component create_container_component_from_func=container_component"
        ),
    },
    "kfp.dsl.component_task_config": {"standpipe.dsl": "TaskConfigField TaskConfigPassthrough"},
    "kfp.dsl.constants": {"standpipe.worker.constants": "WORKSPACE_MOUNT_PATH"},
    "kfp.dsl.container_component_artifact_channel": {
        "standpipe.dsl.placeholders": "ContainerComponentArtifactChannel",
    },
    "kfp.dsl.container_component_class": {"standpipe.dsl": "ContainerComponent"},
    "kfp.dsl.container_component_decorator": {"standpipe.dsl": "container_component"},
    "kfp.dsl.for_loop": {"standpipe.dsl": "Collected"},
    "kfp.dsl.graph_component": {"standpipe.dsl": "GraphComponent"},
    "kfp.dsl.importer_component": {"standpipe.dsl.importing": "ImporterComponent"},
    "kfp.dsl.importer_node": {"standpipe.dsl": "importer"},
    "kfp.dsl.notebook_component_decorator": {"standpipe.dsl": "notebook_component"},
    "kfp.dsl.notebook_helpers": {"standpipe.dsl": "run_notebook"},
    "kfp.dsl.pipeline_channel": {
        "standpipe.dsl": "OneOf",
        "standpipe.dsl.tracing.conditions": "ConditionOperation=Comparison",
        "standpipe.dsl.tracing.channels": _ALL,
    },
    "kfp.dsl.pipeline_config": {"standpipe.dsl": "KubernetesWorkspaceConfig PipelineConfig WorkspaceConfig"},
    "kfp.dsl.pipeline_context": {"standpipe.dsl": "pipeline"},
    "kfp.dsl.pipeline_task": {"standpipe.dsl": "PipelineTask", "standpipe.dsl.tracing.tasks": "TaskState"},
    "kfp.dsl.placeholders": {
        "standpipe.dsl": "ConcatPlaceholder IfPresentPlaceholder",
        "standpipe.dsl.placeholders": _ALL,
    },
    "kfp.dsl.python_component": {"standpipe.dsl": "PythonComponent"},
    "kfp.dsl.structures": {
        "standpipe.dsl": "ContainerSpec TaskConfig TaskConfigPassthrough",
        "standpipe.dsl.specs": (
            "ComponentSpec ContainerSpecImplementation Implementation ImporterSpec InputSpec OutputSpec ResourceSpec"
        ),
    },
    "kfp.dsl.task_config": {"standpipe.dsl": "TaskConfig"},
    "kfp.dsl.task_final_status": {"standpipe.dsl": "PipelineTaskFinalStatus"},
    "kfp.dsl.tasks_group": {
        "standpipe.dsl": "Condition Elif Else ExitHandler If ParallelFor",
        "standpipe.dsl.tracing.conditions": "ConditionBranches",
        "standpipe.dsl.tracing.groups": "TasksGroup",
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

#: The generated modules of kfp-pipeline-spec stay imported, because protobuf registers a message only once.
_PROTOBUF_MODULES = "kfp.pipeline_spec"

#: The modules below `kfp` that are imported when they are first used: from `sys.path`, or as stand-ins.
_IMPORTED = {"cli", "client", "kubeflow_client", "kubernetes", "pipeline_spec", "registry"}

#: The modules that are views where kfp-kubernetes and the package `kubeflow` are not installed (its names: 0.5.0).
FALLBACKS: Mapping[str, Mapping[str, str]] = {
    "kfp.kubernetes": {"standpipe.kubernetes": _ALL},
    "kubeflow": {},
    "kubeflow.pipelines": {
        "kfp": "compiler components dsl kubernetes",
        "kfp.kubeflow_client": f"{CLIENT_TYPES} KubernetesBackendConfig PipelinesClient constants",
    },
}


class NoSuchName(StandpipeError, AttributeError):
    """A module of `kfp` does not have a name. The message says which package provides it."""

    exit_code = 4


class NoSuchModule(StandpipeError, ModuleNotFoundError):
    """A module below `kfp` does not exist. The message says which package provides it."""

    exit_code = 4


def install_as_kfp() -> None:
    """Make `import kfp` import Standpipe, in this process.

    Call it before anything imports `kfp`. Further calls change nothing. Other distributions below `kfp`, such as
    `kfp-kubernetes`, can still be imported. So can the parts of the KFP SDK that talk to a cluster, if it is installed:
    `kfp.Client` and `kfp.registry`.

    If the KFP SDK is already imported, this warns, and the next `import kfp` imports Standpipe; names that were
    imported before still refer to the SDK.
    """
    imported = sys.modules.get("kfp")
    if hasattr(imported, "__standpipe__"):
        return
    if getattr(imported, "__file__", None):
        warnings.warn(
            "The KFP SDK was imported before standpipe.install_as_kfp() was called: names that were imported from it "
            "still refer to the SDK. Call install_as_kfp() first, or import them again.",
            stacklevel=2,
        )
    _remove_sdk_modules()
    _install()


def _remove_sdk_modules() -> None:
    for name in [name for name in sys.modules if name == "kfp" or name.startswith("kfp.")]:
        if not f"{name}.".startswith(f"{_PROTOBUF_MODULES}."):
            del sys.modules[name]


def _install() -> None:
    search_path, is_sdk_installed = _find_search_path()
    views = MODULES if is_sdk_installed else {**MODULES, **CLUSTER_MODULES}
    for name, sources in views.items():
        is_package = any(other.startswith(f"{name}.") for other in views)
        sys.modules[name] = _View(name, sources, is_package=is_package)
        parent, _, last = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], last, sys.modules[name])
    kfp = sys.modules["kfp"]
    kfp.__path__ = search_path
    kfp.__dict__.update(__version__=KFP_VERSION, TYPE_CHECK=True, __standpipe__=True)
    sys.modules["kfp.version"].__dict__["__version__"] = KFP_VERSION
    sys.meta_path.append(_LastFinder())
    sys.meta_path.insert(0, AdditionFinder())


def _find_search_path() -> tuple[list[str], bool]:
    """Return the folders `kfp` in the folders of `sys.path`, the SDK's first, and whether the SDK is installed."""
    sdk = PathFinder.find_spec("kfp")
    folders = list(sdk.submodule_search_locations or ()) if sdk else []
    return list(pkgutil.extend_path(folders, "kfp")), sdk is not None and sdk.origin is not None


class _View(ModuleType):
    """A module with names of other modules.

    Args:
        name: its name.
        sources: the modules that its names come from, as in `MODULES`.
        is_package: whether it has modules below it.
    """

    def __init__(self, name: str, sources: Mapping[str, str], *, is_package: bool) -> None:
        super().__init__(name, __doc__)
        self._sources = sources
        self.__spec__ = ModuleSpec(name, None, is_package=is_package)
        if is_package:
            self.__path__: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name == "__all__" and self._sources:
            return _list_names(self)
        if name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        if self.__name__ == "kfp" and (name == "Client" or name in _IMPORTED):
            return _import(name)
        return _look_up(self, name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *_list_names(self)} - {"_sources"})


def _import(name: str) -> Any:
    """Return a module below `kfp`, or the SDK's client.

    Raises:
        NoSuchName: if it is not installed.
    """
    try:
        module = import_module("kfp.client" if name == "Client" else f"kfp.{name}")
    except NoSuchModule as error:
        raise NoSuchName(str(error)) from error
    if name == "pipeline_spec":
        import_module(f"{_PROTOBUF_MODULES}.pipeline_spec_pb2")  # users of the SDK find it imported
    return module.Client if name == "Client" else module


def _look_up(view: _View, name: str) -> Any:
    """Return the object that a view has under a name.

    Raises:
        NoSuchName: if the view does not have it.
    """
    reason = ""
    for source, listed in view._sources.items():
        own_name = name if listed == _ALL else _parse_names(listed).get(name)
        if own_name is None:
            continue
        try:
            return getattr(import_module(source), own_name)
        except NoSuchName:
            raise
        except AttributeError as error:
            reason = "" if "has no attribute" in str(error) else str(error)
    raise NoSuchName(explain_missing(view.__name__, name, reason))


def _parse_names(listed: str) -> dict[str, str]:
    """Return the names of a view in an entry of `MODULES`, with the name of each in Standpipe."""
    return {name: own_name or name for name, _, own_name in (entry.partition("=") for entry in listed.split())}


def _list_names(view: _View) -> list[str]:
    """Return the public names of a view."""
    names = {
        name
        for source, listed in view._sources.items()
        for name in (_list_public(import_module(source)) if listed == _ALL else _parse_names(listed))
    }
    return sorted(name for name in names if hasattr(view, name))


def _list_public(module: ModuleType) -> Sequence[str]:
    listed: Sequence[str] = getattr(module, "__all__", ()) or [name for name in vars(module) if name[0] != "_"]
    return listed


class _LastFinder(MetaPathFinder, Loader):
    """The last finder: it is asked only for modules that are not installed.

    It makes the modules in `FALLBACKS`. For other modules below a view, it raises an error that says why the
    module does not exist; `from kfp import name` also looks for a module if there is no such attribute, and would hide
    the error about that.
    """

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if name in FALLBACKS:
            return ModuleSpec(name, self, is_package=True)
        parent, _, last = name.rpartition(".")
        view = sys.modules.get(parent)
        if isinstance(view, _View):
            # `from … import` passes this error on, because its name is that of another module
            raise NoSuchModule(self._explain(view, last), name=parent)
        return None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _View(spec.name, FALLBACKS[spec.name], is_package=True)

    def exec_module(self, module: ModuleType) -> None:
        """Do nothing: a view is complete from the start."""

    def _explain(self, view: _View, name: str) -> str:
        if view.__name__ == "kfp" and name in _IMPORTED:  # a look-up would import it again
            return explain_missing("kfp", name)
        try:
            _look_up(view, name)
        except NoSuchName as error:
            return str(error)
        return f"{view.__name__}.{name} is not a module: import it with `from {view.__name__} import {name}`."
