from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = ROOT / "scripts" / "vendor-ui-libraries"
VENDOR = ROOT / "src" / "standpipe" / "ui" / "static" / "vendor"
LIBRARIES: list[dict[str, str]] = json.loads((VENDOR / "versions.json").read_text(encoding="utf-8"))


def sha256(name: str) -> str:
    return hashlib.sha256((VENDOR / name).read_bytes()).hexdigest()


@pytest.mark.parametrize("library", LIBRARIES, ids=lambda library: library["package"])
def test_a_library_is_the_one_that_the_versions_describe(library: dict[str, str]) -> None:
    assert sha256(library["file"]) == library["sha256"]
    assert sha256(library["licence_file"]) == library["licence_sha256"]
    assert f'"{library["package"]}", "{library["version"]}"' in SCRIPT.read_text(encoding="utf-8")


def test_there_are_no_other_files() -> None:
    described = {library[key] for library in LIBRARIES for key in ("file", "licence_file")}

    assert {path.name for path in VENDOR.iterdir()} == {"versions.json", *described}


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("npm"), reason="needs npm")
def test_fetching_again_writes_the_same_files(tmp_path: Path) -> None:
    subprocess.run([sys.executable, SCRIPT, "--output", tmp_path], check=True, stdout=subprocess.DEVNULL)

    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        path.name: path.read_bytes() for path in VENDOR.iterdir()
    }
