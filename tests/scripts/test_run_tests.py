"""The script that runs tests: with CI=true, those that fail get a second chance, alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "run-tests"

TESTS = """
from pathlib import Path

def test_that_passes():
    pass

def test_of_the_second_time():
    ran = Path(__file__).with_name("ran")
    had_run = ran.exists()
    ran.touch()
    assert had_run
"""


def run_script(tmp_path: Path, tests: str, *, ci: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "test_it.py").write_text(tests)
    return subprocess.run(
        [str(SCRIPT), sys.executable, "-q", "-p", "xdist", "-p", "pytest_cov", "test_it.py"],
        env={**os.environ, "CI": ci, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_what_fails_only_once_is_named_and_does_not_fail_ci(tmp_path: Path) -> None:
    script = run_script(tmp_path, TESTS, ci="true")

    assert script.returncode == 0, script.stdout
    first, second = script.stdout.split("run-tests: the tests that failed run again, one after another\n")
    assert "1 failed, 1 passed" in first
    assert "PASSED test_it.py::test_of_the_second_time" in second
    assert "test_that_passes" not in second
    assert "find out why" in second


def test_without_ci_what_fails_once_fails(tmp_path: Path) -> None:
    script = run_script(tmp_path, TESTS, ci="")

    assert script.returncode == 1
    assert "run again" not in script.stdout


def test_what_fails_twice_fails_ci(tmp_path: Path) -> None:
    script = run_script(tmp_path, f"{TESTS}\ndef test_that_fails():\n    assert 1 == 2\n", ci="true")

    assert script.returncode == 1
    assert "1 failed, 1 passed" in script.stdout
    assert "find out why" not in script.stdout


@pytest.mark.parametrize(("tests", "code"), [("import no_such_module", 2), ("", 5)])
def test_what_is_no_failed_test_fails_at_once(tmp_path: Path, tests: str, code: int) -> None:
    run_script(tmp_path, TESTS, ci="")  # which leaves a failed test in pytest's cache
    script = run_script(tmp_path, tests, ci="true")

    assert script.returncode == code
    assert "run again" not in script.stdout
