"""What is known about the imports of components, kept between programs in Standpipe's cache folder."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from standpipe.runners.request_files import is_seconds
from standpipe.support.notices import Notice

#: The most components of which something is kept. Each has a file of at most some kilobytes.
_MAX_FILES = 1000

#: The most bytes of a file, and the most imports of a component; names are those of modules.
_MAX_BYTES = 64 * 1024
MAX_IMPORTS = 200
_MAX_NAME = 200


@dataclass(frozen=True)
class KnownImports:
    """The imports of a component that all of its attempts so far have issued.

    `seconds` is the CPU time of each, by the name of the module, in their order. `quiet` are those before which the
    component hides warnings. `problem` says why they are not imported ahead any more; it is empty if they can be.
    """

    seconds: Mapping[str, float] = field(default_factory=dict)
    quiet: frozenset[str] = frozenset()
    problem: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.seconds)

    @property
    def cost(self) -> float:
        """The CPU time of all of them, in seconds."""
        return sum(self.seconds.values())

    def saving(self, names: Iterable[str]) -> float:
        """Return the CPU time of the ones with these names, in seconds."""
        return sum(self.seconds.get(name, 0.0) for name in names)

    def restrict(self, names: Iterable[str]) -> KnownImports:
        """Return what is known without the imports that do not have one of these names."""
        kept = {*names}
        return replace(self, seconds={name: cost for name, cost in self.seconds.items() if name in kept})


@lru_cache(maxsize=1024)
def component_key(python: Path, changed_at: int, name: str, source: str) -> str:
    """Return the key of a component with the packages that it runs with.

    Args:
        python: the interpreter of its environment, whose path says what is installed there.
        changed_at: when that was last changed, for environments that do change.
        name: the name of its function.
        source: its program.
    """
    digest = hashlib.sha256()
    for part in (str(python), str(changed_at), name, source):
        digest.update(part.encode("utf-8", "surrogatepass") + b"\0")
    return digest.hexdigest()


class ImportStore:
    """What is known about the imports of components, by their keys.

    It is read from and written to one small file for each, so that programs that run at the same time share it. A file
    that cannot be read or written is not used: the next attempt of the component learns its imports again.

    Args:
        folder: the folder of the files.
        warn: called once with what is wrong with it.
    """

    def __init__(self, folder: Path, warn: Notice) -> None:
        self._folder = folder
        self._warn = warn
        self._known: dict[str, KnownImports | None] = {}
        self._lock = threading.Lock()
        self._has_warned = False

    def get(self, key: str) -> KnownImports | None:
        """Return what is known about a component; None if nothing is."""
        with self._lock:
            if key not in self._known:
                self._known[key] = self._read(key)
            return self._known[key]

    def put(self, key: str, known: KnownImports, *, lasts: bool = True) -> None:
        """Store what is known about a component; `lasts` is whether that is of use to later programs."""
        with self._lock:
            if self._known.get(key) == known:
                return
            self._known[key] = known
            if not lasts:
                return
            try:
                self._write(key, known)
            except OSError as error:
                self._report(f"The imports of components cannot be kept in {self._folder}: {error.strerror}.")

    def after_fork_in_child(self) -> None:
        """Make a new lock: a thread that is not in this process may hold the old one."""
        self._lock = threading.Lock()

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.json"

    def _read(self, key: str) -> KnownImports | None:
        path = self._path(key)
        try:
            with open(path, "rb") as file:
                return _parse(file.read(_MAX_BYTES))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            self._report(f"What is known about a component's imports is not used, as {path} cannot be read: {error}")
            return None

    def _write(self, key: str, known: KnownImports) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._path(key)
        if not path.exists():
            self._remove_excess()
        partial = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
        content = {"seconds": known.seconds, "quiet": sorted(known.quiet), "problem": known.problem}
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(content, file)
        os.replace(partial, path)

    def _remove_excess(self) -> None:
        """Remove the oldest files if there are too many, and so what killed programs have left unfinished."""
        with os.scandir(self._folder) as entries:
            files = list(entries)
        if len(files) < _MAX_FILES:
            return
        ages = []
        for entry in files:
            with suppress(FileNotFoundError):  # another program removes some as well
                ages.append((entry.stat().st_mtime_ns, entry.path))
        for _, path in sorted(ages)[: len(ages) // 10 + 1]:
            with suppress(FileNotFoundError):
                os.unlink(path)

    def _report(self, text: str) -> None:
        if not self._has_warned:
            self._has_warned = True
            self._warn(text)


def _parse(content: bytes) -> KnownImports:
    """Return the content of a file.

    Raises:
        ValueError: if it is not what `_write` writes.
    """
    try:
        parsed: Any = json.loads(content)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(parsed, dict):
        raise ValueError("expected an object")  # noqa: TRY004  it is about the content
    seconds, quiet, problem = parsed.get("seconds"), parsed.get("quiet"), parsed.get("problem")
    if not isinstance(seconds, dict) or not isinstance(quiet, list) or not isinstance(problem, str):
        raise ValueError("expected the fields seconds, quiet and problem")  # noqa: TRY004
    if len(seconds) > MAX_IMPORTS or not all(is_module_name(name) and is_seconds(seconds[name]) for name in seconds):
        raise ValueError("expected names of modules with seconds")
    return KnownImports(seconds, frozenset(name for name in quiet if name in seconds), problem)


def is_module_name(value: object) -> bool:
    """Return whether a value can be the name of a module."""
    return isinstance(value, str) and len(value) <= _MAX_NAME and all(part.isidentifier() for part in value.split("."))
