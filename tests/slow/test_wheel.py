"""The built wheel: it has every file of the package, also those that are not Python."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]


def test_the_wheel_has_every_file_of_the_package(tmp_path: Path) -> None:
    uv = Path(sys.executable).with_name("uv")
    command = [
        str(uv),
        "build",
        "--quiet",
        "--wheel",
        "--out-dir",
        str(tmp_path),
        "--build-constraint",
        "requirements.lock",
    ]
    subprocess.run([*command, "--require-hashes"], cwd=ROOT, check=True)

    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = set(archive.namelist())
    package = [path for path in (ROOT / "src").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    files = {str(path.relative_to(ROOT / "src")) for path in package}
    assert {"standpipe/ui/templates/base.html", "standpipe/ui/static/vendor/dagre.esm.js"} <= files
    assert {"standpipe/cli/first_project/pipeline.py.txt", "standpipe/cli/shells/options.txt"} <= files
    assert not files - packed
