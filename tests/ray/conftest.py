"""The tests of the runner on Ray clusters, which `make test-clusters` runs in an environment that has Ray."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from standpipe import local
from tests.ray.clusters import cluster

collect_ignore_glob = [] if find_spec("ray") else ["test_*.py"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all tests of this folder as slow; Ray leaves warnings about its own files and processes."""
    for item in items:
        if "tests/ray/" in item.nodeid:
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.filterwarnings("default"))


warnings.filterwarnings("ignore", category=FutureWarning, module="ray.*")


@pytest.fixture(scope="module")
def single_node() -> Iterator[local.RayRunner]:
    """Return a runner on a cluster of one node, until the end of the module: a process is connected to one cluster."""
    with cluster(num_cpus=12, object_store_memory=100 * 1024**2) as started:
        runner = local.RayRunner(started.address, use_venv=False)
        yield runner
        runner.task_runner.close()
