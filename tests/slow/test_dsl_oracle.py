"""What we compile is what the KFP SDK compiles, for every entry of the corpus."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from .oracle import CORPUS

pytestmark = pytest.mark.slow

AS_KFP = """
import runpy, sys, standpipe
standpipe.install_as_kfp()
runpy.run_path(sys.argv.pop(1), run_name="__main__")
"""


def test_every_entry_compiles_to_the_same_documents(compiled: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", AS_KFP, CORPUS / "compile_all.py", "."], check=True, cwd=tmp_path)
    names = sorted(file.name for file in tmp_path.glob("*.yaml"))
    assert len(names) > 30
    for name in names:
        assert documents(tmp_path / name) == documents(compiled / name), name


def documents(file: Path) -> list[object]:
    return list(yaml.safe_load_all(file.read_text(encoding="utf-8")))
