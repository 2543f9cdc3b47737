"""Each command where something is wrong around it: no traceback, an exit code that is documented, and a reason.

What is wrong is the pipeline root, the run store, the home folder, or a standard stream.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from standpipe import compiler, dsl, local
from standpipe.cli.main import COMMANDS
from standpipe.local import FakeRunner

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="needs /dev/full and /proc")]

#: The exit codes that docs/reference/cli.md has.
DOCUMENTED = {0, 1, 2, 3, 4, 5, 6, 7, 10, 130}

#: What is typed. ROOT is the pipeline root.
LINES: Mapping[str, list[str]] = {
    "": [],
    "--help": ["--help"],
    "init": ["init", "project"],
    "run": ["run", "echo.yaml", "-a", "text=x", "--no-venv", "--root", "ROOT"],
    "watch": ["watch", "missing.py", "--root", "ROOT"],
    "compile": ["compile", "script.py", "out.yaml"],
    "check": ["check", "echo.yaml"],
    "submit": ["submit", "echo.yaml", "-a", "text=x", "--host", "http://127.0.0.1:9"],
    "graph": ["graph", "echo.yaml"],
    "runs": ["runs", "--root", "ROOT"],
    "show": ["show", "latest", "--root", "ROOT"],
    "logs": ["logs", "latest", "--root", "ROOT"],
    "artifacts": ["artifacts", "latest", "--root", "ROOT"],
    "open": ["open", "latest", "echo", "--print", "--root", "ROOT"],
    "diff": ["diff", "latest", "latest", "--root", "ROOT"],
    "resume": ["resume", "latest", "--no-venv", "--root", "ROOT"],
    "rerun": ["rerun", "latest", "echo", "--no-venv", "--root", "ROOT"],
    "pull": ["pull", "nothing", "--host", "http://127.0.0.1:9", "--root", "ROOT"],
    "export": ["export", "latest", "--openlineage", "--root", "ROOT"],
    "report": ["report", "latest", "-o", "-", "--root", "ROOT"],
    "ui": ["ui", "nothing", "--no-browser", "--root", "ROOT"],
    "cancel": ["cancel", "latest", "--root", "ROOT"],
    "delete": ["delete", "nothing", "--root", "ROOT"],
    "prune": ["prune", "--keep", "5", "--dry-run", "--root", "ROOT"],
    "du": ["du", "--root", "ROOT"],
    "doctor": ["doctor", "--root", "ROOT"],
    "completion": ["completion", "bash"],
}

SCRIPT = """
from kfp import dsl

@dsl.component
def echo(text: str) -> str:
    return text
"""


@dsl.component
def echo(text: str) -> str: ...


class Surroundings:
    """A folder with files and a pipeline root, and how a program is started in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "local_outputs"
        self.env = {
            **os.environ,
            "UV_DEFAULT_INDEX": "http://127.0.0.1:9/simple",
            "DOCKER_HOST": f"unix://{folder}/none.sock",
        }
        self.settings: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE}

    def execute(self, line: list[str], shell: str = "") -> tuple[int, str]:
        """Return the exit code of a command, and its standard error; `shell` follows the command in a shell."""
        words = [sys.executable, "-m", "standpipe", *(str(self.root) if word == "ROOT" else word for word in line)]
        if shell:
            words = ["bash", "-c", f'"$@" {shell}', "bash", *words]
        settings = {**self.settings, "stderr": subprocess.PIPE, "timeout": 120}
        done = subprocess.run(words, cwd=self.folder, env=self.env, text=True, **settings)
        return done.returncode, done.stderr


@pytest.fixture(scope="module")
def sound_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sound")
    compiler.Compiler().compile(echo, str(folder / "echo.yaml"))
    (folder / "script.py").write_text(SCRIPT)
    runner = FakeRunner(echo=lambda text: text)
    for text in ("a", "b"):
        local.run(echo, {"text": text}, runner=runner, pipeline_root=folder / "local_outputs", quiet=True)
    return folder


def root_is_a_file(around: Surroundings) -> str:
    shutil.rmtree(around.root)
    around.root.write_text("")
    return ""


def root_is_below_a_file(around: Surroundings) -> str:
    around.root = around.folder / "script.py" / "runs"
    return ""


def root_cannot_be_read(around: Surroundings) -> str:
    around.root.chmod(0)
    return ""


def root_cannot_be_written(around: Surroundings) -> str:
    around.root = Path("/proc/runs")
    return ""


def store_is_not_a_database(around: Surroundings) -> str:
    (around.root / "runs.sqlite").write_text("nothing" * 1000)
    return ""


def store_is_damaged(around: Surroundings) -> str:
    store = around.root / "runs.sqlite"
    body = bytearray(store.read_bytes())
    body[4096:] = b"\xff" * (len(body) - 4096)
    store.write_bytes(body)
    return ""


def store_is_a_folder(around: Surroundings) -> str:
    (around.root / "runs.sqlite").unlink()
    (around.root / "runs.sqlite").mkdir()
    return ""


def there_is_no_home(around: Surroundings) -> str:
    for name in ("HOME", "XDG_CACHE_HOME", "STANDPIPE_CACHE"):
        around.env.pop(name, None)
    return ""


def home_cannot_be_written(around: Surroundings) -> str:
    around.env.update(HOME="/proc/home", XDG_CACHE_HOME="/proc/home/cache", STANDPIPE_CACHE="/proc/home/standpipe")
    return ""


def the_reader_exits(around: Surroundings) -> str:
    return "| head -c 1 >/dev/null; exit ${PIPESTATUS[0]}"


def the_disk_of_the_output_is_full(around: Surroundings) -> str:
    return "> /dev/full"


def the_output_is_closed(around: Surroundings) -> str:
    return ">&-"


def the_input_is_closed(around: Surroundings) -> str:
    return "<&-"


def all_streams_are_closed(around: Surroundings) -> str:
    return "<&- >&- 2>&-"


WRONG: list[Callable[[Surroundings], str]] = [
    root_is_a_file,
    root_is_below_a_file,
    *([root_cannot_be_read] if os.getuid() else []),  # root can read every folder
    root_cannot_be_written,
    store_is_not_a_database,
    store_is_damaged,
    store_is_a_folder,
    there_is_no_home,
    home_cannot_be_written,
    the_reader_exits,
    the_disk_of_the_output_is_full,
    the_output_is_closed,
    the_input_is_closed,
    all_streams_are_closed,
]


def problem_of(command: str, break_it: Callable[[Surroundings], str], sound: Path, folder: Path) -> str:
    """Return what is wrong with what a command does; empty if nothing."""
    shutil.copytree(sound, folder)
    around = Surroundings(folder)
    shell = break_it(around)
    code, errors = around.execute(LINES[command], shell)
    if "Traceback" in errors or "Exception ignored" in errors or re.search(r'File ".*/standpipe/', errors):
        return f"{command}: a traceback:\n{errors}"
    if code not in DOCUMENTED:
        return f"{command}: exit code {code}:\n{errors}"
    if command and code in (2, 3, 4, 5, 6) and not errors and "2>&-" not in shell:  # without one, there is the help
        return f"{command}: exit code {code} without a reason"
    return ""


@pytest.mark.parametrize("break_it", WRONG, ids=lambda function: function.__name__)
def test_no_command_shows_a_traceback(
    break_it: Callable[[Surroundings], str], sound_folder: Path, tmp_path: Path
) -> None:
    with ThreadPoolExecutor(2) as threads:
        problems = threads.map(
            lambda command: problem_of(command, break_it, sound_folder, tmp_path / f"with {command}"),
            ["", "--help", *COMMANDS],
        )
        assert [problem for problem in problems if problem] == []


def test_each_command_is_tried() -> None:
    assert COMMANDS.keys() <= LINES.keys()
