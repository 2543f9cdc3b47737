"""Tasks in the oldest Python that images have and in the one at hand, which `make test-pythons` varies up to 3.13.

Every task is a process; the oldest Python has its turn with the slow tests.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.worker.tasks import Tasks, interpreter


@pytest.fixture(params=[pytest.param("3.9", marks=pytest.mark.slow), "current"])
def tasks(request: pytest.FixtureRequest, tmp_path: Path) -> Tasks:
    return Tasks(interpreter(request.param), tmp_path / "task")
