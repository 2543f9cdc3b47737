"""Fixtures of the slow tests: a real container engine and the KFP SDK."""

from .docker_engine import bench, docker_client, make_bench
from .oracle import compiled

__all__ = ["bench", "compiled", "docker_client", "make_bench"]
