"""Run Kubeflow pipelines without a cluster."""

from __future__ import annotations

TYPE_CHECKING = False  # `typing` takes longer to import than some commands of the command line take
if TYPE_CHECKING:
    from typing import Any

    from standpipe import compiler, components, dsl, kubernetes, local
    from standpipe.kfp_compat.modules import install_as_kfp

__version__ = "0.1.0.dev0"

__all__ = ["compiler", "components", "dsl", "install_as_kfp", "kubernetes", "local"]


def __getattr__(name: str) -> Any:
    """Import a module at its first use, to keep the import of `standpipe` fast."""
    from importlib import import_module  # costs time, and the command line does without

    if name in ("compiler", "components", "dsl", "kubernetes", "local"):
        return import_module(f"standpipe.{name}")
    if name == "install_as_kfp":
        return import_module("standpipe.kfp_compat.modules").install_as_kfp
    raise AttributeError(f"module 'standpipe' has no attribute {name!r}")
