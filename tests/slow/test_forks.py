"""The programs of `tests/test_forks.py` for longer: 5,000 forks and 1,000 runners (minutes each), and containers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.test_forks import check_usage, run_program

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


def test_five_thousand_forks(tmp_path: Path) -> None:
    (line,) = run_program("stress", tmp_path / "root", 5000)
    assert line.startswith("5000 forks during ")


def test_a_thousand_runners(tmp_path: Path) -> None:
    check_usage(run_program("many", tmp_path, 1000, "process"), most_processes=10, more_memory=5000)


@pytest.mark.usefixtures("docker_client")
def test_fifty_runners_of_containers(tmp_path: Path) -> None:
    check_usage(run_program("many", tmp_path, 50, "container"), most_processes=4, more_memory=10_000)
