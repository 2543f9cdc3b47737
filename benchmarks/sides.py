"""The two sides of a comparison, and how their programs are run."""

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
KFP = "kfp-2.17.0"
MAX_RSS_PER_MB = 1e6 if os.uname().sysname == "Darwin" else 1e3  # getrusage counts bytes there, KiB elsewhere


class Failed(Exception):
    """A program ended with another code than 0; the message holds the end of what it printed."""


class Chains(NamedTuple):
    """What `programs/chain.py` found: the seconds of each chain, and the peak of its memory in MB."""

    seconds: list[float]
    max_rss: float


@dataclass(frozen=True)
class Side:
    """A Python with one of the two packages, and the environment that its programs run in."""

    python: Path
    package: str
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    def with_environment(self, **changes: str) -> Side:
        return replace(self, environment={**self.environment, **changes})

    def time_program(self, name: str) -> float:
        """The seconds that a whole process takes with a program of `programs/`."""
        with scratch() as folder:
            return self._time(folder, str(self._program(name, folder)))

    def time_code(self, code: str) -> float:
        """The seconds that a whole process takes with a line of Python."""
        with scratch() as folder:
            return self._time(folder, "-c", code)

    def chains(self, lengths: list[int], runner: str = "SubprocessRunner", packages: tuple[str, ...] = ()) -> Chains:
        """Runs chains of trivial tasks, one after another in one process."""
        with scratch() as folder:
            asked = {"runner": runner, "packages": packages, "lengths": lengths, "to": str(folder / "seconds.json")}
            self._time(folder, str(self._program("chain.py", folder)), json.dumps(asked))
            found = json.loads((folder / "seconds.json").read_text())
        return Chains(found["seconds"], found["max_rss"] / MAX_RSS_PER_MB)

    def _program(self, name: str, folder: Path) -> Path:
        """The program, with the import line of this side, in a folder where only this run writes."""
        text = (PROGRAMS / name).read_text(encoding="utf-8")
        ours = "from standpipe import dsl, local\n"
        assert text.startswith(ours)
        path = folder / name
        path.write_text(text.replace(ours, ours.replace("standpipe", self.package), 1), encoding="utf-8")
        return path

    def _time(self, folder: Path, *arguments: str) -> float:
        return time_command([str(self.python), *arguments], folder, self.environment)


@dataclass(frozen=True)
class Sides:
    """Both sides, byte-compiled. `cache` is where Standpipe keeps what it builds; it starts empty."""

    standpipe: Side
    kfp: Side | None
    cache: Path

    @classmethod
    def installed(cls, root: Path, *, with_kfp: bool) -> Sides:
        """Installs the project, as it is now, where nothing else is. The KFP SDK is there: the Makefile sees to it."""
        place = root / ".cache" / "bench"
        shutil.rmtree(place / "cache", ignore_errors=True)
        uv, python = root / ".venv" / "bin" / "uv", place / "standpipe" / "bin" / "python"
        make = ["venv", "--quiet", "--clear", "--python", str(root / ".venv" / "bin" / "python")]
        install = ["pip", "install", "--quiet", "--compile-bytecode", "--refresh-package", "standpipe"]
        subprocess.run([str(uv), *make, str(place / "standpipe")], check=True)
        subprocess.run([str(uv), *install, "--python", str(python), str(root)], check=True)
        kfp = root / ".cache" / KFP / "bin"
        theirs = Side(kfp / "python", "kfp").with_environment(PATH=f"{kfp}{os.pathsep}{os.environ['PATH']}")
        ours = Side(python, "standpipe").with_environment(
            STANDPIPE_CACHE=str(place / "cache"), UV_CACHE_DIR=str(place / "uv")
        )
        return cls(ours, theirs if with_kfp else None, place / "cache")


@contextlib.contextmanager
def scratch(within: Path | None = None) -> Iterator[Path]:
    """A new folder, removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="bench-", dir=within) as folder:
        yield Path(folder)


def time_command(command: list[str], folder: Path, environment: Mapping[str, str] | None = None) -> float:
    """The seconds that a program takes to its end; what it prints goes to a file.

    Raises:
        Failed: if it ends with another code than 0.
    """
    with open(folder / "output.txt", "wb") as output:
        start = time.perf_counter()
        done = subprocess.run(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False
        )
        seconds = time.perf_counter() - start
    if done.returncode:
        end = (folder / "output.txt").read_text(errors="replace")[-2000:]
        raise Failed(f"{' '.join(command)} ended with code {done.returncode}:\n{end}")
    return seconds


def in_turns(times: int, *measures: Callable[[], float]) -> list[float]:
    """The median of each measure, all of them taken in turns: A B A B."""
    found = [[measure() for measure in measures] for _ in range(times)]
    return [median(column) for column in zip(*found, strict=True)]
