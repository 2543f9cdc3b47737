"""The programs of `tests/test_forks.py` for longer: many forks, 1,000 runners, and containers.

`STANDPIPE_FORKS` is the number of forks, 1,000 by default. `make chaos` makes 5,000, which takes minutes.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.test_forks import check_usage, run_program

FORKS = int(os.environ.get("STANDPIPE_FORKS", "1000"))
pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


def test_many_forks(tmp_path: Path) -> None:
    (line,) = run_program("stress", tmp_path / "root", FORKS)
    assert line.startswith(f"{FORKS} forks during ")


def test_a_thousand_runners(tmp_path: Path) -> None:
    check_usage(run_program("many", tmp_path, 1000, "process"), most_processes=10, more_memory=5000)


@pytest.mark.usefixtures("docker_client")
def test_fifty_runners_of_containers(tmp_path: Path) -> None:
    check_usage(run_program("many", tmp_path, 50, "container"), most_processes=4, more_memory=10_000)
