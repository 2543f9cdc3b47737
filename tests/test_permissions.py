"""Permissions of what runs leave: for their user alone, or for the group, too, whatever the user's umask is."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import os, sys, threading
os.umask(int(sys.argv[1], 8))
from standpipe import dsl, local
from standpipe.local import run

@dsl.component
def write_files(data: dsl.Output[dsl.Dataset], folder: dsl.Output[dsl.Model]) -> str:
    import os
    with open(data.path, "w") as file:
        file.write("payload")
    os.makedirs(os.path.join(folder.path, "deep"))
    return "x"

@dsl.component
def fail() -> None:
    raise ValueError

@dsl.pipeline(pipeline_config=dsl.PipelineConfig(workspace=dsl.WorkspaceConfig(size="1Gi")))
def pipeline():
    write_files()
    dsl.importer(os.path.abspath("given"), dsl.Dataset, download_to_workspace=True)
    fail()

local.init(
    runner=local.SubprocessRunner(use_venv=False), pipeline_root="root/deep", cache_root="cache", enable_caching=True,
    quiet=True, raise_on_error=False, group_access=sys.argv[2] == "group",
)
run(pipeline)
local.resume("latest", pipeline=pipeline)
found = os.umask(0)
assert found == int(sys.argv[1], 8), oct(found)
"""

#: Names of files of all kinds that the program leaves.
NAMES = {
    *("runs.sqlite", "cache.sqlite", "log.txt", "request.json", "executor_output.json", "error.json"),
    *("data", "deep", "tool", ".workspace", ".artifacts"),
}


def run_program(folder: Path, *arguments: str) -> None:
    (folder / "program.py").write_text(PROGRAM)
    program = [sys.executable, "program.py", *arguments]
    done = subprocess.run(program, cwd=folder, check=False, stderr=subprocess.PIPE, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def modes_below(*folders: Path) -> dict[Path, int]:
    paths = [path for folder in folders for path in (folder, *folder.rglob("*")) if not path.is_symlink()]
    return {path: stat.S_IMODE(path.stat().st_mode) for path in paths}


@pytest.mark.parametrize("umask", ["0", "022", "077"])
@pytest.mark.parametrize("access", ["user", "group"])
def test_what_a_run_leaves_is_for_its_user_or_for_the_group(tmp_path: Path, umask: str, access: str) -> None:
    (tmp_path / "given").mkdir(mode=0o777)
    for name, mode in (("data", 0o644), ("tool", 0o755)):
        (tmp_path / "given" / name).write_text("x")
        (tmp_path / "given" / name).chmod(mode)
    run_program(tmp_path, umask, access)
    modes = modes_below(tmp_path / "root", tmp_path / "cache")
    assert {path.name for path in modes} >= NAMES
    file, folder = (0o660, 0o770) if access == "group" else (0o600, 0o700)
    expected = {path: folder if path.is_dir() or path.name == "tool" else file for path in modes}
    assert {str(path): oct(mode) for path, mode in modes.items() if mode != expected[path]} == {}


def test_what_exists_keeps_its_permissions(tmp_path: Path) -> None:
    root, old = tmp_path / "root" / "deep", 0o755
    root.mkdir(parents=True)
    root.chmod(old)
    (tmp_path / "given").mkdir()
    run_program(tmp_path, "022", "user")
    store = root / "runs.sqlite"
    store.chmod(0o644)
    run_program(tmp_path, "022", "group")
    assert (stat.S_IMODE(root.stat().st_mode), stat.S_IMODE(store.stat().st_mode)) == (old, 0o644)
    assert sorted(oct(stat.S_IMODE(path.stat().st_mode)) for path in root.iterdir() if path.is_dir()) == [
        "0o700",
        "0o770",
    ]
