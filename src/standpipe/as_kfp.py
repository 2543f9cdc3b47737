"""Answering to the name `kfp`, so that a script written for the KFP SDK runs unchanged."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

from standpipe import compiler, components, dsl, local
from standpipe.inside import annotations as kfp_annotations
from standpipe.inside import artifacts
from standpipe.model.kfp import KFP_VERSION

_MODULES: dict[str, ModuleType] = {
    "kfp.compiler": compiler,
    "kfp.components": components,
    "kfp.dsl": dsl,
    "kfp.dsl.types.artifact_types": artifacts,
    "kfp.dsl.types.type_annotations": kfp_annotations,
    "kfp.local": local,
}


def install_as_kfp() -> None:
    """Makes `import kfp` and its `dsl`, `local`, `compiler` and `components` mean Standpipe, in this process.

    To be called before anything else imports `kfp`. Other distributions that live below `kfp`, such as
    `kfp-kubernetes`, are still found.
    """
    kfp = ModuleType("kfp", __doc__)
    elsewhere = PathFinder.find_spec("kfp")
    kfp.__path__ = list(elsewhere.submodule_search_locations or ()) if elsewhere else []
    kfp.__spec__ = ModuleSpec("kfp", None, is_package=True)
    kfp.__dict__["__version__"] = KFP_VERSION
    kfp.__dict__["TYPE_CHECK"] = True
    types = ModuleType("kfp.dsl.types")
    types.__path__ = []
    for name, module in {"kfp": kfp, "kfp.dsl.types": types, **_MODULES}.items():
        sys.modules[name] = module
    for name, module in _MODULES.items():
        parent, _, child = name.rpartition(".")
        if parent in ("kfp", "kfp.dsl.types"):
            setattr(sys.modules[parent], child, module)
