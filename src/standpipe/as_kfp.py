"""Answering to the name `kfp`, so that a script written for the KFP SDK runs unchanged."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

from standpipe import compiler, components, dsl, local
from standpipe.dsl import channels
from standpipe.inside import annotations as kfp_annotations
from standpipe.inside import artifacts
from standpipe.model.kfp import KFP_VERSION

#: The generated modules of kfp-pipeline-spec stay: protobuf registers a message only once.
_KEPT = "kfp.pipeline_spec"


def install_as_kfp() -> None:
    """Makes `import kfp` and its `dsl`, `local`, `compiler` and `components` mean Standpipe, in this process.

    To be called before anything else imports `kfp`; calling it again changes nothing. Other distributions that live
    below `kfp`, such as `kfp-kubernetes`, are still found.

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
    types = _package(
        "kfp.dsl.types",
        {
            "artifact_types": _known_as("kfp.dsl.types.artifact_types", artifacts),
            "type_annotations": _known_as("kfp.dsl.types.type_annotations", kfp_annotations),
        },
    )
    # `kfp.dsl` is a module of its own, because its `types` is not that of `standpipe.dsl`
    language = {name: getattr(dsl, name) for name in dsl.__all__}
    channel_module = _known_as("kfp.dsl.pipeline_channel", channels)
    kfp_dsl = _package("kfp.dsl", {**language, "types": types, "pipeline_channel": channel_module})
    kfp_dsl.__dict__["__all__"] = dsl.__all__
    kfp_dsl.__dict__["__getattr__"] = dsl.__getattr__
    _package("kfp.compiler.pipeline_spec_builder", {"to_protobuf_value": compiler.to_protobuf_value})
    kfp = _package(
        "kfp",
        {
            "compiler": _known_as("kfp.compiler", compiler),
            "components": _known_as("kfp.components", components),
            "dsl": kfp_dsl,
            "local": _known_as("kfp.local", local),
            "TYPE_CHECK": True,
            "__version__": KFP_VERSION,
            "__standpipe__": True,
            "__getattr__": _explain,
        },
    )
    elsewhere = PathFinder.find_spec("kfp")
    kfp.__path__ = list(elsewhere.submodule_search_locations or ()) if elsewhere else []


def _known_as(name: str, module: ModuleType) -> ModuleType:
    sys.modules[name] = module
    return module


def _package(name: str, members: Mapping[str, Any]) -> ModuleType:
    module = _known_as(name, ModuleType(name, __doc__))
    module.__spec__ = ModuleSpec(name, None, is_package=True)
    module.__path__ = []
    module.__dict__.update(members)
    return module


def _explain(name: str) -> Any:
    raise AttributeError(
        f"module 'kfp' has no attribute {name!r}: by standpipe.install_as_kfp() it is Standpipe, which has dsl, local, "
        "compiler and components. What talks to a cluster, such as kfp.Client, is in the KFP SDK: install it with "
        "`pip install kfp`, and use it in a process that does not call install_as_kfp()."
    )
