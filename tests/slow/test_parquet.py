"""Rows of Parquet files with a real library: the one that is installed beside MLflow."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from standpipe.ui.views import previews
from standpipe.ui.views.parquet_rows import read_parquet_rows
from standpipe.ui.views.tables import Table
from tests.ui.views.test_parquet import show

pytestmark = pytest.mark.slow


def test_a_library_reads_the_first_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = os.environ.get("STANDPIPE_TRACKERS_PYTHON")
    if not python:
        pytest.skip("STANDPIPE_TRACKERS_PYTHON is not set: `make test-slow` installs PyArrow with MLflow")
    monkeypatch.setattr(sys, "executable", os.path.abspath(python))
    monkeypatch.setattr(previews, "find_library", lambda: "pyarrow")
    preview = show(tmp_path / "x")

    assert isinstance(preview.content, Table)
    assert preview.content.rows[0][:6] == ("1", "a", "0.5", "true", "2026-11-30", "['x']")
    assert preview.content.rows[2][1] == preview.content.rows[2][3] == ""
    with (tmp_path / "x").open("rb") as file:
        assert read_parquet_rows(file.fileno(), "pyarrow", rows=2, columns=1) == [("1",), ("2",)]
