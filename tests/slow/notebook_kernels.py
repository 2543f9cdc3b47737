"""Notebooks with kernels of this Python, as Jupyter executes them."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient


class RecordingClient(NotebookClient):  # type: ignore[misc]  # nbclient has no types
    """A client that keeps each state of the outputs that it gets."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.displays: list[tuple[str, str]] = []

    def process_message(self, msg: Any, cell: Any, cell_index: int) -> Any:
        if msg["msg_type"] in ("display_data", "update_display_data"):
            self.displays.append((msg["msg_type"], msg["content"]["data"].get("text/html", "")))
        return super().process_message(msg, cell, cell_index)


#: Executes cells in a new kernel, and returns the client with their outputs.
ExecuteCells = Callable[..., RecordingClient]


@pytest.fixture
def execute_cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ExecuteCells:
    """Return a function that executes cells, or a notebook, in a new kernel whose folder is that of the test."""
    kernels = tmp_path / "jupyter" / "kernels" / "own"
    kernels.mkdir(parents=True)
    command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (kernels / "kernel.json").write_text(json.dumps({"argv": command, "display_name": "own", "language": "python"}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")

    def execute(*cells: str, notebook: Any = None, **options: Any) -> RecordingClient:
        if notebook is None:
            notebook = nbformat.v4.new_notebook()
            notebook.cells = [nbformat.v4.new_code_cell(cell) for cell in cells]
        resources = {"metadata": {"path": os.fspath(tmp_path)}}
        client = RecordingClient(notebook, timeout=110, kernel_name="own", resources=resources, **options)
        client.execute()
        return client

    return execute


def outputs(client: RecordingClient, cell: int) -> list[Any]:
    """Return the outputs of a cell."""
    return list(client.nb.cells[cell]["outputs"])
