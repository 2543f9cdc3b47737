"""The tests of the runner on Kubernetes, which `make test-clusters` runs in an environment with its schemas.

They have a server of their own, whose nodes need root for the mounts of containers.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.kubernetes.clusters import Cluster

collect_ignore_glob = [] if find_spec("kubernetes_validate") and find_spec("lightkube") else ["test_*.py"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all tests of this folder as slow, and skip them without the rights that nodes need."""
    for item in items:
        if "tests/kubernetes/" in item.nodeid:
            item.add_marker(pytest.mark.slow)
            if os.geteuid() != 0:
                item.add_marker(pytest.mark.skip(reason="the nodes of the test cluster need root"))


@pytest.fixture
def any_kubernetes(tmp_path: Path) -> Iterator[Cluster]:
    """A cluster of one node; with `STANDPIPE_KUBERNETES_SERVER="https://... TOKEN"`, one with that API server."""
    from tests.kubernetes.clusters import any_cluster

    with any_cluster(tmp_path / "cluster") as started:
        yield started
