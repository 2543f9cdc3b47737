"""Run Kubeflow pipelines without a cluster."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from standpipe import dsl, local

if TYPE_CHECKING:
    from standpipe import compiler, components, kubernetes
    from standpipe.kfp_compat.modules import install_as_kfp

__version__ = "0.1.0.dev0"

__all__ = ["compiler", "components", "dsl", "install_as_kfp", "kubernetes", "local"]


def __getattr__(name: str) -> Any:
    """Import a module that few programs need at its first use, to keep the import of `standpipe` fast."""
    if name in ("compiler", "components", "kubernetes"):
        return import_module(f"standpipe.{name}")
    if name == "install_as_kfp":
        return import_module("standpipe.kfp_compat.modules").install_as_kfp
    raise AttributeError(f"module 'standpipe' has no attribute {name!r}")
