from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent
PASSES = """
import pytest

def test_fast(request) -> None:
    assert request.node.get_closest_marker("timeout") is None

@pytest.mark.slow
def test_slow(request) -> None:
    assert request.node.get_closest_marker("timeout").args == (900,)

@pytest.mark.slow
@pytest.mark.timeout(5)
def test_slow_with_a_timeout_of_its_own(request) -> None:
    assert [mark.args for mark in request.node.iter_markers("timeout")] == [(5,)]
"""
SKIPS = "import pytest\n\npytest.skip('no engine', allow_module_level=True)\n"


@pytest.mark.parametrize(("ci", "folder", "code"), [("true", "slow", 1), ("", "slow", 0), ("true", "fast", 0)])
def test_skipped_slow_tests_fail_in_ci_only(tmp_path: Path, ci: str, folder: str, code: int) -> None:
    (tmp_path / "tests" / folder).mkdir(parents=True)
    shutil.copy(CHECKOUT / "pyproject.toml", tmp_path)
    shutil.copy(CHECKOUT / "tests" / "conftest.py", tmp_path / "tests")
    (tmp_path / "tests" / folder / "test_skips.py").write_text(SKIPS)
    (tmp_path / "tests" / "test_passes.py").write_text(PASSES)

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        env={**os.environ, "CI": ci},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == code, done.stdout
    assert ("slow tests skipped: 1" in done.stdout) is (folder == "slow")
