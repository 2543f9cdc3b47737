"""Functions from the source that a component is shipped as."""

from __future__ import annotations

import gc
import importlib
import io
import linecache
import os
import sys
from functools import lru_cache
from importlib.machinery import ModuleSpec
from types import CodeType, ModuleType
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Sequence, Set, Tuple

#: KFP's name of the module that holds a component's source.
MODULE_NAME = "ephemeral_component"

#: The names that the source of an artifact class may use, besides its own imports.
_PREAMBLE = "import kfp\nfrom kfp import dsl\nfrom kfp.dsl import *\nfrom typing import *\n"

#: The file names of such source in tracebacks.
_COMPONENT_FILE = "<component {}>"
_CLASS_FILE = "<artifact class {}>"


#: A part of a program that comes from a file of the author: the number of its first line, counted from 1, and how many
#: lines it has; the file, and the number of that line in it.
Section = Tuple[int, int, str, int]
Sections = Tuple[Section, ...]


class Compiled(NamedTuple):
    """The code of a program, to be executed in order, and the entries of linecache for the files that it names."""

    codes: Tuple[CodeType, ...]
    files: Mapping[str, Any]


#: How many programs stay compiled.
MOST_PROGRAMS = 64

#: The files that tracebacks name and that hold source which was compiled here.
_user_files: Set[str] = set()


def load_function(
    source: str, name: str, artifact_classes: Mapping[str, str], sections: Sections = ()
) -> Callable[..., Any]:
    """Execute the source as a module, and return the function of that name.

    Args:
        source: the program.
        name: the function's name.
        artifact_classes: by `module.Name`, the sources of classes that the program imports and that may be missing.
        sections: the parts of the program that come from files of the author, in order.

    Raises:
        Exception: whatever the program raises.
    """
    for qualified, text in artifact_classes.items():
        if "<locals>" not in qualified:  # those are in the program itself
            _provide_class(qualified, text)
    module = ModuleType(MODULE_NAME)
    sys.modules[MODULE_NAME] = module
    program = compiled(source, name, sections)
    _show_files(program.files)
    for code in program.codes:
        exec(code, module.__dict__)  # noqa: S102  the user's program
    function: Callable[..., Any] = getattr(module, name)
    return function


def unload() -> None:
    """Drop the module of the component and all that only it refers to, which closes the files that it has left open."""
    component = sys.modules.pop(MODULE_NAME, None)
    if component is not None:
        vars(component).clear()
        gc.collect()


def release() -> None:
    """Drop the module of the component in a process that continues, and its global variables that can be closed.

    Those are files and the like, which the collector would close before what they hold back is written. The others stay
    for functions that the component has registered somewhere.
    """
    component = sys.modules.pop(MODULE_NAME, None)
    if component is not None:
        variables = vars(component)
        for name in [name for name, value in variables.items() if hasattr(type(value), "close")]:
            del variables[name]


@lru_cache(maxsize=MOST_PROGRAMS)
def compiled(source: str, name: str, sections: Sections = ()) -> Compiled:
    """Return the code of a program whose function `name` is called, compiled once for all tasks of a fork server.

    Each section is compiled under the name of its file and with its line numbers there, so that tracebacks and
    debuggers name them.
    """
    program = io.StringIO(source).readlines()  # `splitlines` would split at form feeds, too
    codes: List[CodeType] = []
    files: Dict[str, List[str]] = {}
    position, own = 0, _COMPONENT_FILE.format(name)
    for start, count, file, line in (*sections, (len(program) + 1, 0, own, 0)):
        between = program[position : start - 1]
        if any(map(str.strip, between)):
            files[own] = program
            codes.append(_compile_lines(between, own, position + 1))
        position = start - 1 + count
        if count:
            shipped = program[start - 1 : position]
            lines = files.setdefault(file, _read_lines(file))
            lines += ["\n"] * (line - 1 - len(lines))
            lines[line - 1 : line - 1 + count] = shipped
            codes.append(_compile_lines(shipped, file, line))
    return Compiled(tuple(codes), {file: _cache_entry(file, lines) for file, lines in files.items()})


def _read_lines(file: str) -> List[str]:
    """Return the lines of a file of the author; none if there is no such file where the task runs."""
    if not os.path.isfile(file):  # it may also be a pipe: `python <(...)`
        return []
    try:
        with open(file, encoding="utf-8", errors="replace") as opened:
            return opened.readlines()
    except OSError:
        return []


def _compile_lines(lines: Sequence[str], file: str, first: int) -> CodeType:
    """Compile lines of which the first one has this number in a file."""
    return compile("\n" * (first - 1) + "".join(lines), file, "exec", dont_inherit=True)


def _cache_entry(file: str, lines: List[str]) -> Any:
    """Return an entry of linecache; without a modification time, so that linecache does not look for the file."""
    return (sum(map(len, lines)), None, lines, file)


def show_lines(file: str, source: str) -> None:
    """Make tracebacks and debuggers show the lines of a module, whatever its file contains now."""
    linecache.cache[file] = _cache_entry(file, source.splitlines(keepends=True))


def _show_files(entries: Mapping[str, Any]) -> None:
    """Make tracebacks and debuggers show the lines in these entries, whatever the files contain now."""
    _user_files.update(entries)
    linecache.cache.update(entries)


def is_user_file(filename: str) -> bool:
    """Return whether a file name in a traceback stands for source that was compiled here."""
    return filename in _user_files


def _provide_class(qualified: str, source: str) -> None:
    """Make `module.Name` importable from its source, if it is not importable already."""
    module_name, _, name = qualified.rpartition(".")
    try:
        if hasattr(importlib.import_module(module_name), name):
            return
    except ImportError:
        _make_modules(module_name)
    namespace: Dict[str, Any] = dict(vars(sys.modules[module_name]))
    exec(_PREAMBLE, namespace)  # noqa: S102  a constant
    file, lines = _CLASS_FILE.format(qualified), source.splitlines(keepends=True)
    _show_files({file: _cache_entry(file, lines)})
    exec(_compile_lines(lines, file, 1), namespace)  # noqa: S102  the user's class
    setattr(sys.modules[module_name], name, namespace[name])


def _make_modules(name: str) -> None:
    """Make an empty module of that name importable, and the packages above it that are missing."""
    parent, _, last = name.rpartition(".")
    if parent:
        try:
            importlib.import_module(parent)
        except ImportError:
            _make_modules(parent)
    module = ModuleType(name)
    module.__spec__ = ModuleSpec(name, None)
    module.__path__ = []
    sys.modules[name] = module
    if parent:
        setattr(sys.modules[parent], last, module)
