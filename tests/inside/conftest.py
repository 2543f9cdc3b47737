"""Tasks in the oldest Python that images have and in the one at hand, which `make test-pythons` varies up to 3.13."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.inside.tasks import Tasks, interpreter


@pytest.fixture(params=["3.9", "current"])
def tasks(request: pytest.FixtureRequest, tmp_path: Path) -> Tasks:
    return Tasks(interpreter(request.param), tmp_path / "task")
