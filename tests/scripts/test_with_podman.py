"""The script that runs a command with a Podman service: where there is none, the command is left out."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "with-podman"


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder with the only programs that the script finds."""
    folder = tmp_path / "programs"
    folder.mkdir()
    for name in ("bash", "env", "mktemp", "rm", "sleep", "tail", "touch"):
        path = shutil.which(name)
        assert path is not None
        (folder / name).symlink_to(path)
    return folder


def run_script(programs: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(SCRIPT), *command],
        env={"PATH": str(programs), "TMPDIR": os.fspath(programs.parent)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def add(programs: Path, text: str) -> None:
    (programs / "podman").write_text(f"#!/usr/bin/env bash\n{text}\n")
    (programs / "podman").chmod(0o755)


@pytest.mark.parametrize(
    ("podman", "reason"),
    [
        (None, "Podman is not installed"),
        ("exit 125", "Podman has no image python:3.11, and could not pull it"),
        (
            "[ $1 = image ] || { echo first; echo 'Error: no namespaces' >&2; exit 126; }",
            "Podman cannot run containers here: Error: no namespaces",
        ),
        ("[ $1 != system ] || { echo 'no socket'; exit 1; }", "its service does not start: no socket"),
    ],
)
def test_a_command_is_left_out_where_podman_cannot_run_it(
    programs: Path, tmp_path: Path, podman: str | None, reason: str
) -> None:
    if podman is not None:
        add(programs, podman)
    ended = run_script(programs, "touch", str(tmp_path / "made"))
    assert (ended.returncode, ended.stderr) == (0, f"with-podman: left out: {reason}\n")
    assert not (tmp_path / "made").exists()
    assert not list(tmp_path.glob("tmp.*"))


@pytest.mark.parametrize("code", [0, 3])
def test_a_command_has_the_address_of_a_service_that_ends_with_it(programs: Path, tmp_path: Path, code: int) -> None:
    listen = "import socket, sys, time; s = socket.socket(1); s.bind(sys.argv[1][7:]); time.sleep(60)"
    serve = f'echo $$ > {tmp_path}/pid; exec {sys.executable} -c "{listen}" "${{@: -1}}"'
    add(programs, f"[ $1 != system ] || {{ {serve}; }}")
    ended = run_script(programs, "bash", "-c", f'[ -S "${{DOCKER_HOST#unix://}}" ] && exit {code}')
    assert (ended.returncode, ended.stderr) == (code, "")
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
    assert not list(tmp_path.glob("tmp.*"))
