"""Run Kubeflow pipelines without a cluster."""

from __future__ import annotations

TYPE_CHECKING = False  # what type checkers take as true; `typing` takes longer to import than all that is here
if TYPE_CHECKING:
    from typing import Any

    from standpipe import compiler, components, dsl, kubernetes, local
    from standpipe.kfp_compat.modules import install_as_kfp

__version__ = "0.1.0.dev0"

__all__ = ["compiler", "components", "dsl", "install_as_kfp", "kubernetes", "local"]


def __getattr__(name: str) -> Any:
    """Import a module at its first use: the command line needs none of them for its help."""
    from importlib import import_module  # this, too

    if name == "install_as_kfp":
        return import_module("standpipe.kfp_compat.modules").install_as_kfp
    if name in __all__:
        return import_module(f"standpipe.{name}")
    raise AttributeError(f"module 'standpipe' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
