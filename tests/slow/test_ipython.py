"""What IPython, and so a notebook, shows of an error."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from uv import find_uv_bin

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]

CELL = """
from standpipe import dsl, local

@dsl.component
def double(x: int) -> int:
    return x * 2

@dsl.pipeline
def wrong():
    double(y=1)
"""

PROGRAM = f"""
from IPython.core.interactiveshell import InteractiveShell
InteractiveShell.instance(colors="NoColor").run_cell({CELL!r})
"""


def test_a_traceback_has_the_lines_of_the_cell_alone(tmp_path: Path) -> None:
    command = [find_uv_bin(), "run", "--quiet", "--isolated", "--no-project", "--python", sys.executable]
    done = subprocess.run(
        [*command, "--with", "ipython", "--with-editable", ROOT, "python", "-c", PROGRAM],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert "AuthoringTypeError: Component 'double' has no input 'y'. Its inputs are: x." in done.stdout, done.stderr
    assert "double(y=1)" in done.stdout
    assert str(ROOT) not in done.stdout
