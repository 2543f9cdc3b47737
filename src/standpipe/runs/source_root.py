"""The source root of a run, and the author's modules that its components get from there."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from standpipe.model.own_modules import files_readers
from standpipe.model.plan import Container, Executor, ExecutorRef, Plan, PythonFunction
from standpipe.runs.current_code import IMPORTED_SCRIPT, user_file
from standpipe.runs.options import RunOptions
from standpipe.support.notices import warn
from standpipe.support.own_modules import SourceRoot
from standpipe.support.paths import absolute_path

#: The files of the modules that runs of this process have taken: `standpipe watch` watches them.
taken_files: set[str] = set()


def add_modules(plan: Plan, options: RunOptions) -> Plan:
    """Return a Plan whose components have the modules that they import, as these are now.

    Args:
        plan: the Plan of the pipeline as this program defines it, or of a compiled file.
        options: the options of the run.

    Raises:
        StorageError: if a module cannot be read.
    """
    if not options.runner.executes_code:
        return plan
    roots = _Roots(options, plan)
    executors = {label: _add_modules(executor, roots, label, options) for label, executor in plan.executors.items()}
    has_modules = any(executor is not plan.executors[label] for label, executor in executors.items())
    return replace(plan, executors=executors) if has_modules else plan


def _add_modules(executor: Executor, roots: _Roots, label: str, options: RunOptions) -> Executor:
    root = roots.find(label)
    if root is None or not isinstance(executor, Container) or not isinstance(executor.program, PythonFunction):
        return executor
    function = replace(executor.program, modules=root.collect(executor.program))
    taken_files.update(filter(None, (module.file for module in function.modules)))
    _warn(function, root, options)
    return replace(executor, program=function) if function.modules else executor


def _warn(function: PythonFunction, root: SourceRoot, options: RunOptions) -> None:
    """Warn of what a task gets otherwise than the script, and of what keeps its result out of the cache."""
    for name in root.find_shadowed(function):
        file = root.file_of(name)
        warn(f"Component {function.name!r} imports {name!r}: its tasks get Python's module of that name, not {file}.")
    if name := root.imports_script(function):
        warn(
            f"Component {function.name!r} imports {name!r}, which is the script itself. Its tasks do not have it, as "
            "the import would run the pipeline. Move what they use into a module of its own."
        )
    readers = files_readers(function) if options.enable_caching else []
    if readers:
        warn(
            f"Component {function.name!r} is not cached: its module {readers[0]!r} may read files beside it "
            "(`__file__`, importlib.resources), which the cache key does not cover. Pass such files as artifacts, or "
            "use embedded_artifact_path."
        )


class _Roots:
    """The source roots of the components of a Plan: one for all, unless each is the folder of its own file."""

    def __init__(self, options: RunOptions, plan: Plan) -> None:
        script = _find_script()
        folder = absolute_path("source_root", options.source_root) if options.source_root else _find_folder(script)
        self._common = SourceRoot(Path(os.path.realpath(folder)), script) if folder else None
        self._files = {} if folder else dict(_find_files(plan))
        self._by_folder: dict[str, SourceRoot] = {}

    def find(self, label: str) -> SourceRoot | None:
        """Return the source root of an executor; None if there is none."""
        if self._common or label not in self._files:
            return self._common
        folder = _import_folder(self._files[label])
        return self._by_folder.setdefault(folder, SourceRoot(Path(folder)))


def _find_script() -> str:
    """Return the script of this process; empty if it is a tool such as pytest, or a notebook."""
    return user_file(sys.modules.get(IMPORTED_SCRIPT) or sys.modules["__main__"])


def _find_folder(script: str) -> str:
    """Return the folder that the script imports its modules from; empty if the program is a tool."""
    main = sys.modules.get(IMPORTED_SCRIPT) or sys.modules["__main__"]
    if not script:
        return "" if getattr(main, "__file__", None) else _working_directory()
    spec = getattr(main, "__spec__", None)  # of `python -m package.module`, which imports from the folder of `package`
    depth = spec.name.count(".") if spec else 0
    return str(Path(os.path.realpath(script)).parents[depth])


def _working_directory() -> str:
    try:
        return os.getcwd()
    except OSError:  # it was removed
        return ""


def _find_files(plan: Plan) -> Iterator[tuple[str, str]]:
    """Yield the label of each executor with the file that its component is from."""
    for component in plan.components.values():
        location = component.source_location
        if isinstance(component.body, ExecutorRef) and location and os.path.isfile(location.file):
            yield component.body.label, location.file


def _import_folder(file: str) -> str:
    """Return the folder that a file is imported from: the one around its packages, as pytest finds it."""
    folder = Path(os.path.realpath(file)).parent
    while (folder / "__init__.py").is_file():
        folder = folder.parent
    return str(folder)
