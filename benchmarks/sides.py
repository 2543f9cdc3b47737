"""The sides of a comparison, and how their programs are run and timed."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from versions import BASE, KFP, PLAYWRIGHT, SCIENCE, SERVERS

BENCHMARKS = Path(__file__).resolve().parent
PROGRAMS = BENCHMARKS / "programs"
MAX_RSS_PER_MB = 1e6 if os.uname().sysname == "Darwin" else 1e3  # getrusage counts bytes there, KiB elsewhere


class Failed(Exception):
    """A program exited with an error, or a side cannot be installed; the message says why."""


class Chains(NamedTuple):
    """The result of `programs/chain.py`: the seconds of each chain, and its peak memory in MB."""

    seconds: list[float]
    max_rss: float


@dataclass(frozen=True)
class Side:
    """A Python with one of the two packages, and the environment that its programs run in."""

    python: Path
    package: str = "standpipe"
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    def with_environment(self, **changes: str) -> Side:
        """Return the same side with changed environment variables."""
        return replace(self, environment={**self.environment, **changes})

    def time_program(self, name: str) -> float:
        """Return the seconds of a whole process that runs a program of `programs/`."""
        with scratch() as folder:
            return self._time(folder, str(self._program(name, folder)))

    def time_code(self, code: str) -> float:
        """Return the seconds of a whole process that runs a line of Python."""
        with scratch() as folder:
            return self._time(folder, "-c", code)

    def time_command(self, *arguments: str) -> float:
        """Return the seconds of a command of this side's environment, such as `standpipe --help`."""
        with scratch() as folder:
            return time_command([str(self.python.parent / arguments[0]), *arguments[1:]], folder, self.environment)

    def chains(
        self, lengths: list[int], runner: str = "SubprocessRunner", packages: tuple[str, ...] = (), objects: int = 0
    ) -> Chains:
        """Run chains of trivial tasks, one after another in one process, which holds that many other objects."""
        result = self.run("chain.py", runner=runner, packages=packages, lengths=lengths, objects=objects)
        return Chains(result["seconds"], result["max_rss"] / MAX_RSS_PER_MB)

    def time_script(self, path: Path, folder: Path) -> float:
        """Return the seconds of a whole process that runs a script in a folder."""
        return self._time(folder, str(path))

    def run(self, name: str, **request: Any) -> dict[str, Any]:
        """Run a program of `programs/`, and return what it wrote, as JSON, to the file `to` of its request."""
        with scratch() as folder:
            to = folder / "result.json"
            self._time(folder, str(self._program(name, folder)), json.dumps({**request, "to": str(to)}))
            result: dict[str, Any] = json.loads(to.read_text())
        return result

    def print_json(self, script: str, *arguments: str) -> dict[str, Any]:
        """Run a script of this folder with a new folder and these arguments, and return the JSON that it prints."""
        with scratch() as folder:
            command = self.command(script, str(folder), *arguments)
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, cwd=folder, env=dict(self.environment)
            )
        if done.returncode:
            raise Failed(f"{' '.join(command)} exited with code {done.returncode}:\n{done.stderr[-2000:]}")
        result: dict[str, Any] = json.loads(done.stdout)
        return result

    def command(self, script: str, *arguments: str) -> list[str]:
        """Return the command that runs a script of this folder."""
        return [str(self.python), str(BENCHMARKS / script), *arguments]

    def _program(self, name: str, folder: Path) -> Path:
        """Return a copy of the program, with the import line of this side, in the folder."""
        text = (PROGRAMS / name).read_text(encoding="utf-8")
        import_line = "from standpipe import dsl, local\n"
        assert text.startswith(import_line)
        path = folder / name
        path.write_text(text.replace(import_line, import_line.replace("standpipe", self.package), 1), encoding="utf-8")
        return path

    def _time(self, folder: Path, *arguments: str) -> float:
        return time_command([str(self.python), *arguments], folder, self.environment)


class Sides:
    """All sides, byte-compiled, each in an environment of its own with the same Python.

    The project, as it is now, is installed at once; the others when a row first needs them.

    Args:
        root: the project.
        folder: where the environments are made.
    """

    def __init__(self, root: Path, folder: Path) -> None:
        self._root = root
        self._folder = folder
        #: The folder of the environments that Standpipe builds, empty at first.
        self.cache = folder / "cache"
        shutil.rmtree(self.cache, ignore_errors=True)
        self.standpipe = self._side(self._install("standpipe", f"{root}[stores]"))

    @cached_property
    def kfp(self) -> Side:
        """The KFP SDK, which the Makefile has installed."""
        scripts = self._root / ".cache" / f"kfp-{KFP}" / "bin"
        if not (scripts / "python").exists():
            raise Failed(f"no KFP SDK in {scripts.parent}: run this with `make bench`")
        return Side(scripts / "python", "kfp").with_environment(PATH=f"{scripts}{os.pathsep}{os.environ['PATH']}")

    @cached_property
    def servers(self) -> Path:
        """The Python of the environment with an S3 server, which the Makefile has installed."""
        python = self._root / ".cache" / SERVERS / "bin" / "python"
        if not python.exists():
            raise Failed(f"no S3 server in {python.parent.parent}: run this with `make bench`")
        return python

    @cached_property
    def base(self) -> Side:
        """The commit before, with the same caches as the project as it is now.

        Raises:
            Failed: if the clone does not have that commit.
        """
        source = self._folder / f"base-{BASE[:12]}"
        if not (source / "pyproject.toml").exists():
            self._extract_base(source)
        return self._side(self._install("base", str(source)))

    @cached_property
    def peers(self) -> Side:
        """The packages of `versions.SCIENCE` alone, for programs that use a process pool."""
        return Side(self._install("peers", *SCIENCE), "")

    @cached_property
    def browser(self) -> Side:
        """The project as it is now, with the driver of a browser."""
        return self._side(self._install("browser", str(self._root), PLAYWRIGHT))

    def _extract_base(self, source: Path) -> None:
        git = ["git", "-C", str(self._root)]
        if subprocess.run([*git, "cat-file", "-e", f"{BASE}^{{commit}}"], stderr=subprocess.DEVNULL).returncode:
            raise Failed(f"this clone does not have the commit {BASE[:12]} to compare with: `git fetch --unshallow`")
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            subprocess.run([*git, "archive", "--output", f"{folder}/base.tar", BASE], check=True)
            extracted = Path(folder, "base")
            shutil.unpack_archive(f"{folder}/base.tar", extracted)
            extracted.rename(source)

    def _install(self, name: str, *packages: str) -> Path:
        """Install packages in a new environment, and return its interpreter."""
        python = self._folder / name / "bin" / "python"
        uv = str(self._root / ".venv" / "bin" / "uv")
        make = [uv, "venv", "--quiet", "--clear", "--python", str(self._root / ".venv" / "bin" / "python")]
        install = [uv, "pip", "install", "--quiet", "--compile-bytecode", "--refresh-package", "standpipe"]
        subprocess.run([*make, str(self._folder / name)], check=True)
        subprocess.run([*install, "--python", str(python), *packages], check=True)
        return python

    def _side(self, python: Path) -> Side:
        return Side(python).with_environment(STANDPIPE_CACHE=str(self.cache), UV_CACHE_DIR=str(self._folder / "uv"))


@contextlib.contextmanager
def scratch(within: Path | None = None) -> Iterator[Path]:
    """Make a folder, and remove it when the block ends."""
    with tempfile.TemporaryDirectory(prefix="bench-", dir=within) as folder:
        yield Path(folder)


@contextlib.contextmanager
def busy_cores() -> Iterator[None]:
    """Keep each core busy with a process that computes, for the length of the block."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def time_command(command: list[str], folder: Path, environment: Mapping[str, str] | None = None) -> float:
    """Return the seconds that a program takes; its output goes to a file.

    Raises:
        Failed: if its exit code is not 0.
    """
    with open(folder / "output.txt", "wb") as output:
        start = time.perf_counter()
        done = subprocess.run(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False
        )
        seconds = time.perf_counter() - start
    if done.returncode:
        end = (folder / "output.txt").read_text(errors="replace")[-2000:]
        raise Failed(f"{' '.join(command)} exited with code {done.returncode}:\n{end}")
    return seconds


def in_turns(times: int, *measures: Callable[[], float]) -> list[float]:
    """Return the median of each measure; they are called in turns: A B A B."""
    samples = [[measure() for measure in measures] for _ in range(times)]
    return [median(column) for column in zip(*samples, strict=True)]
