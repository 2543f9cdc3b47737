"""Which packages a task imports: learned from it while it runs, for the template of the tasks that come later."""

from __future__ import annotations

import sys
import threading
import time
import warnings
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from typing import Any, Dict, Iterator, List, Optional

from .import_system import ReportingLoader, find_with_others, is_loading
from .process_state import OTHER, QUIETER, ProcessState, read_state
from .shelf import Shelf

#: The most imports that are reported, and the most characters of one name.
_MAX_IMPORTS = 200
_MAX_NAME = 200

#: The folders with the packages of this environment: all other files may change at any time.
_PACKAGES = tuple(
    f"{prefix}/{folder}/" for prefix in {sys.prefix, sys.base_prefix, sys.exec_prefix} for folder in ("lib", "lib64")
)

#: Packages that are part of the worker, or that it provides.
_OURS = ("standpipe_worker", "kfp", "ephemeral_component")


def is_of_environment(origin: Optional[str]) -> bool:
    """Return whether a module, by the origin in its spec, is a part of Python or of an installed package."""
    return origin in ("built-in", "frozen") or (origin is not None and origin.startswith(_PACKAGES))


class ImportObserver:
    """Observes the imports of a task: a finder of modules that stands before all others.

    Only those are observed which no other import brings: those of the task's code, and of libraries that import
    something when they are called. Once the task has changed what imports depend on, all later ones have to be done as
    in a fresh process, and are ignored.

    Args:
        shelf: the modules that a template has imported ahead.
    """

    is_observer = True  # for those who change `sys.meta_path`

    def __init__(self, shelf: Optional[Shelf] = None) -> None:
        self._shelf = shelf
        self._thread = threading.get_ident()
        self._depth = 0
        self._seconds: Dict[str, float] = {}
        self._quiet: List[str] = []
        self._is_quiet = False
        self._is_stopped = False
        self._is_late = False
        self._state: ProcessState

    def install(self) -> None:
        """Begin to observe."""
        self._state = read_state(self)
        sys.meta_path.insert(0, self)

    def report(self) -> Dict[str, Any]:
        """Return what the task has imported.

        `imports` are the modules, those that were removed again left out, each with its CPU seconds and whether the
        task had hidden warnings before; `unused` are the imports of the template that it has not used; `late` is
        whether the shelf gave a module after the task had changed what its import depends on.
        """
        names = [name for name in self._seconds if name in sys.modules][:_MAX_IMPORTS]
        return {
            "imports": [[name, round(self._seconds[name], 6), name in self._quiet] for name in names],
            "unused": self._shelf.unused() if self._shelf else [],
            "late": self._is_late,
        }

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Optional[ModuleSpec]:
        """Return a module from the shelf; otherwise observe the import, which the other finders serve."""
        if (self._depth and self._shelf is None) or not is_loading():
            return None
        shelved = self._shelf.find(name) if self._shelf else None
        if self._depth or threading.get_ident() != self._thread:
            return shelved
        self._check_state(name)
        self._is_late |= self._is_stopped and shelved is not None
        if self._is_stopped:
            return shelved
        spec = shelved or find_with_others(self, name, path, target)
        if spec is not None and (shelved or _is_learnable(spec)):
            spec.loader = ReportingLoader(spec.loader, self.loading)  # type: ignore[assignment]
        return spec

    def _check_state(self, name: str) -> None:
        """Stop if the task has changed what imports depend on."""
        if self._is_stopped:
            return
        difference = self._state.compare(read_state(self))
        self._is_stopped = difference == OTHER
        self._is_quiet |= difference == QUIETER
        if self._is_quiet:
            self._quiet.append(name)

    @contextmanager
    def loading(self, name: str) -> Iterator[None]:
        """Note the CPU time of the block, in which a module loads, and that what it changes is due to an import."""
        filters, started = list(warnings.filters), time.thread_time()
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            self._seconds[name] = self._seconds.get(name, 0.0) + time.thread_time() - started
            state = read_state(self)
            self._state = state if state.filters != filters else state._replace(filters=self._state.filters)


def _is_learnable(spec: ModuleSpec) -> bool:
    is_ours = spec.name.partition(".")[0] in _OURS
    return (
        not is_ours
        and is_of_environment(spec.origin)
        and len(spec.name) <= _MAX_NAME
        and hasattr(spec.loader, "exec_module")
    )
