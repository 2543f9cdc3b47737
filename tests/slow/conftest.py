"""Fixtures of the slow tests: a real container engine and the KFP SDK."""

from .docker_engine import bench, docker_client, make_bench
from .notebook_kernels import execute_cells
from .oracle import compiled

__all__ = ["bench", "compiled", "docker_client", "execute_cells", "make_bench"]
