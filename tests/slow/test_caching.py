"""The cache under load."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.test_caching import share

pytestmark = pytest.mark.slow


def test_eight_processes_share_one_cache_for_fifty_runs_each(tmp_path: Path) -> None:
    share(tmp_path, processes=8, times=50)
