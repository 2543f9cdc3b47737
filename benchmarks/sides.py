"""The two sides of a comparison, and how their programs are run and timed."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import NamedTuple

PROGRAMS = Path(__file__).resolve().parent / "programs"
KFP = "kfp-2.17.3"
MAX_RSS_PER_MB = 1e6 if os.uname().sysname == "Darwin" else 1e3  # getrusage counts bytes there, KiB elsewhere


class Failed(Exception):
    """A program exited with an error; the message contains the end of its output."""


class Chains(NamedTuple):
    """The result of `programs/chain.py`: the seconds of each chain, and its peak memory in MB."""

    seconds: list[float]
    max_rss: float


@dataclass(frozen=True)
class Side:
    """A Python with one of the two packages, and the environment that its programs run in."""

    python: Path
    package: str
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

    def chains(self, lengths: list[int], runner: str = "SubprocessRunner", packages: tuple[str, ...] = ()) -> Chains:
        """Run chains of trivial tasks, one after another in one process."""
        with scratch() as folder:
            request = {"runner": runner, "packages": packages, "lengths": lengths, "to": str(folder / "seconds.json")}
            self._time(folder, str(self._program("chain.py", folder)), json.dumps(request))
            result = json.loads((folder / "seconds.json").read_text())
        return Chains(result["seconds"], result["max_rss"] / MAX_RSS_PER_MB)

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


@dataclass(frozen=True)
class Sides:
    """Both sides, byte-compiled. `cache` is the folder of the environments that Standpipe builds, empty at first."""

    standpipe: Side
    kfp: Side | None
    cache: Path

    @classmethod
    def installed(cls, root: Path, *, with_kfp: bool) -> Sides:
        """Install the project, as it is now, in a new environment. The Makefile has installed the KFP SDK."""
        folder = root / ".cache" / "bench"
        shutil.rmtree(folder / "cache", ignore_errors=True)
        uv, python = root / ".venv" / "bin" / "uv", folder / "standpipe" / "bin" / "python"
        make = ["venv", "--quiet", "--clear", "--python", str(root / ".venv" / "bin" / "python")]
        install = ["pip", "install", "--quiet", "--compile-bytecode", "--refresh-package", "standpipe"]
        subprocess.run([str(uv), *make, str(folder / "standpipe")], check=True)
        subprocess.run([str(uv), *install, "--python", str(python), str(root)], check=True)
        scripts = root / ".cache" / KFP / "bin"
        kfp = Side(scripts / "python", "kfp").with_environment(PATH=f"{scripts}{os.pathsep}{os.environ['PATH']}")
        standpipe = Side(python, "standpipe").with_environment(
            STANDPIPE_CACHE=str(folder / "cache"), UV_CACHE_DIR=str(folder / "uv")
        )
        return cls(standpipe, kfp if with_kfp else None, folder / "cache")


@contextlib.contextmanager
def scratch(within: Path | None = None) -> Iterator[Path]:
    """Make a folder, and remove it when the block ends."""
    with tempfile.TemporaryDirectory(prefix="bench-", dir=within) as folder:
        yield Path(folder)


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
