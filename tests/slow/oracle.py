"""The corpus, compiled by the KFP SDK."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

CORPUS = Path(__file__).parent / "corpus"


@pytest.fixture(scope="session")
def compiled(kfp_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a file for every entry of the corpus, and for the control flow that we do not run yet."""
    folder = tmp_path_factory.mktemp("theirs")
    for script in ("compile_all.py", "control_flow.py"):
        subprocess.run([kfp_python, CORPUS / script, "."], check=True, cwd=folder)
    return folder
