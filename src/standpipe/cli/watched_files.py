"""What `standpipe watch` watches: a process of `standpipe run` reports the files that its run depends on.

The variable `STANDPIPE_WATCH_REPORT` names the file for the report, a JSON list of absolute paths.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from standpipe.tracebacks import file_of, steps

#: The variable that names the file for the report.
VARIABLE = "STANDPIPE_WATCH_REPORT"

#: Folders of installed packages, which nobody edits.
_INSTALLED = {"site-packages", "dist-packages"}

#: The files of inputs that were noted.
_noted: list[str] = []


@contextmanager
def reporting() -> Iterator[None]:
    """Report the files at the end of the block, also those that an error names; nothing if nobody watches.

    Meanwhile the author's modules are not compiled into files. The next run would take one of those for a module that
    has changed within the same second, to another of the same size, which is all that Python compares.
    """
    sys.dont_write_bytecode |= VARIABLE in os.environ
    try:
        yield
    except BaseException as error:
        write_report(_files_of_error(error))
        raise
    else:
        write_report()


def note_files(paths: Iterable[str]) -> None:
    """Note files that the run depends on besides its code."""
    if VARIABLE in os.environ:
        _noted.extend(map(os.path.abspath, paths))


def write_report(more: Iterable[str] = ()) -> None:
    """Write the report, if somebody watches.

    Args:
        more: files that are not imported modules.
    """
    report = os.environ.get(VARIABLE)
    if not report:
        return
    files = dict.fromkeys([*_own_modules(), *_modules_of_tasks(), *_noted, *filter(_is_own, more)])
    with suppress(OSError):  # the watcher has ended, and its folder is removed
        with open(f"{report}.partial", "w", encoding="utf-8", errors="surrogateescape") as file:
            json.dump(list(files), file)
        os.replace(f"{report}.partial", report)


def _own_modules() -> Iterator[str]:
    """Yield the files of the script and of the modules that it has imported from its folder."""
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and _is_own(file):
            yield os.path.abspath(file)


def _modules_of_tasks() -> Iterable[str]:
    """Return the files of the author's modules that tasks import."""
    taken = getattr(sys.modules.get("standpipe.runs.source_root"), "taken_files", ())  # no import: a run has done it
    return map(os.path.abspath, sorted(taken))


def _is_own(file: str) -> bool:
    """Return whether a file is below the folder of the script, and not of an installed package."""
    folder = _script_folder()
    path = os.path.realpath(file)
    return (
        bool(folder) and path.startswith(os.path.join(folder, "")) and not _INSTALLED.intersection(path.split(os.sep))
    )


def _script_folder() -> str:
    return os.path.realpath(sys.path[0]) if sys.path and os.path.isabs(sys.path[0]) else ""


def _files_of_error(error: BaseException) -> Iterator[str]:
    """Yield the files that an error names: those of its traceback, of a syntax error, and of a missing module."""
    seen: set[int] = set()
    pending: list[BaseException | None] = [error]
    while pending:
        each = pending.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        pending += [each.__cause__, each.__context__]
        yield from (file_of(step) for step in steps(each.__traceback__))
        if isinstance(each, SyntaxError) and each.filename:
            yield each.filename
        if isinstance(each, ModuleNotFoundError) and each.name:
            path = os.path.join(_script_folder(), *each.name.split("."))
            yield from (f"{path}.py", os.path.join(path, "__init__.py"))
