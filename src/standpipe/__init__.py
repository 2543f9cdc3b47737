"""Run Kubeflow pipelines where there is no cluster."""

from standpipe import compiler, components, dsl, local
from standpipe.as_kfp import install_as_kfp

__version__ = "0.1.0.dev0"

__all__ = ["compiler", "components", "dsl", "install_as_kfp", "local"]
