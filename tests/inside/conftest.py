"""Tasks in every Python that images have: the oldest, the newest, and the one at hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.inside.tasks import Tasks, interpreter


@pytest.fixture(params=["3.9", "3.13", "current"])
def tasks(request: pytest.FixtureRequest, tmp_path: Path) -> Tasks:
    return Tasks(interpreter(request.param), tmp_path / "task")
