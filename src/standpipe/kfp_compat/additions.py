"""Names that a later release of an extension of KFP has, added to the release that is installed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

#: For each module, the names that are added where it does not have them, and the modules of Standpipe that they are in.
ADDITIONS: Mapping[str, Mapping[str, str]] = {
    # merged after kfp-kubernetes 2.17.3 (kubeflow/pipelines#13651)
    "kfp.kubernetes": {"add_init_container": "standpipe.dsl.kubernetes.init_containers"},
}


class AdditionFinder(MetaPathFinder):
    """Finds the modules in `ADDITIONS` where they are installed, and adds names to them when they are loaded."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in ADDITIONS:
            return None
        spec = PathFinder.find_spec(name, path)
        if spec is not None and spec.loader is not None:
            spec.loader = _AddingLoader(spec.loader)
        return spec


class _AddingLoader(Loader):
    """Loads a module as another loader does, and adds names to it.

    Args:
        loader: the other loader.
    """

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        for name, source in ADDITIONS[module.__name__].items():
            if not hasattr(module, name):
                setattr(module, name, getattr(import_module(source), name))
                if "__all__" in vars(module):
                    vars(module)["__all__"] = [*vars(module)["__all__"], name]
