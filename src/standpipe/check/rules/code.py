"""Rules for what the programs of components use: names, modules, and syntax that their environment may lack."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from pathlib import Path

from standpipe.check.free_names import find_free_names
from standpipe.check.programs import Program
from standpipe.check.rule import Problem
from standpipe.check.view import ContainerView, PipelineView, dotted_name
from standpipe.support.own_modules import SourceRoot

#: Modules of the standard library with the version of Python that has them first, and the first that has not.
#: From "What's New in Python", sections "New Modules" and "Removed".
_ADDED = {"graphlib": (3, 9), "zoneinfo": (3, 9), "tomllib": (3, 11)}
_REMOVED = {
    **dict.fromkeys(("asynchat", "asyncore", "distutils", "imp", "smtpd"), (3, 12)),
    **dict.fromkeys(("aifc", "audioop", "cgi", "cgitb", "chunk", "crypt", "imghdr", "mailcap", "msilib"), (3, 13)),
    **dict.fromkeys(("nis", "nntplib", "ossaudiodev", "pipes", "sndhdr", "spwd", "sunau", "telnetlib"), (3, 13)),
    **dict.fromkeys(("uu", "xdrlib"), (3, 13)),
}

#: What asks the user of a terminal, which a pod does not have.
_QUESTIONS = ("input", "breakpoint", "pdb.set_trace", "getpass.getpass")


def find_undefined_names(pipeline: PipelineView) -> Iterator[Problem]:
    for view in pipeline.containers:
        if view.program:
            for name, _ in find_free_names(view.program.function.source):
                line = view.program.line_of(name)
                problem = f"component {view.name!r} uses {name!r}, which nothing in it defines"
                yield Problem(view, problem, "", line, name)


def find_own_modules(pipeline: PipelineView) -> Iterator[Problem]:
    """Yield imports of modules of the author, in no package that the component installs.

    An image that is not an official one of Python may have the module, as images of `target_image` do.
    """
    roots: dict[str, SourceRoot] = {}
    for view in pipeline.containers:
        program = view.program
        if not program or program.python is None or program.has_embedded_files:
            continue
        folders = {os.path.dirname(os.path.realpath(each.file)) for each in (view.location, pipeline.location) if each}
        for name, line in _find_imports(program):
            found = (roots.setdefault(folder, SourceRoot(Path(folder))) for folder in sorted(folders))
            if name not in program.package_names and any(name in root.names and root.file_of(name) for root in found):
                problem = f"component {view.name!r} imports {name!r}, a module of yours, which is not shipped"
                yield Problem(view, problem, "", line, name)


def _find_imports(program: Program) -> Iterator[tuple[str, int]]:
    """Yield the packages that the functions of a program import, each with its line; not those that may be missing."""
    optional = {
        id(child)
        for node in program.author_nodes()
        if isinstance(node, ast.Try)
        for statement in node.body
        for child in ast.walk(statement)
    }
    for node in program.author_nodes():
        if id(node) in optional:
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name.partition(".")[0], node.lineno
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0], node.lineno


def find_new_syntax(pipeline: PipelineView) -> Iterator[Problem]:
    for view in pipeline.containers:
        if view.program and view.program.tree and view.program.python:
            found = _find_newest_syntax(view.program, view.program.python)
            if found:
                what, version, line = found
                problem = f"component {view.name!r} uses {what}, which Python {_dotted(version)} introduced"
                yield Problem(view, f"{problem}; its image has Python {_dotted(view.program.python)}", "", line)


def _find_newest_syntax(program: Program, python: tuple[int, int]) -> tuple[str, tuple[int, int], int] | None:
    """Return the first syntax that is newer than a version of Python: what it is, its version and its line."""
    kinds: dict[str, tuple[str, tuple[int, int]]] = {
        "Match": ("`match`", (3, 10)),
        "TryStar": ("`except*`", (3, 11)),
        "TypeAlias": ("a `type` statement", (3, 12)),
        "TypeVar": ("type parameters", (3, 12)),
        "TemplateStr": ("a t-string", (3, 14)),
    }
    for node in program.author_nodes():
        what, version = kinds.get(type(node).__name__, ("", (0, 0)))
        if version > python:
            return what, version, getattr(node, "lineno", 0)
    return None


def find_missing_standard_modules(pipeline: PipelineView) -> Iterator[Problem]:
    for view in pipeline.containers:
        if not view.program or not view.program.python:
            continue
        python = view.program.python
        for name, line in _find_imports(view.program):
            is_installed = name in view.program.package_names or "setuptools" in view.program.package_names
            if not is_installed and (_ADDED.get(name, (0, 0)) > python or _REMOVED.get(name, (9, 9)) <= python):
                problem = f"component {view.name!r} imports {name!r}, which Python {_dotted(python)} does not have"
                yield Problem(view, problem, "", line, name)


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"


def find_questions(pipeline: PipelineView) -> Iterator[Problem]:
    for view in pipeline.containers:
        for call in _find_calls(view):
            name = dotted_name(call.func)
            if name in _QUESTIONS and name not in view.component.inputs:
                problem = f"component {view.name!r} calls `{name}()`, and a pod has no terminal"
                yield Problem(view, problem, "", call.lineno, name)


def _find_calls(view: ContainerView) -> Iterator[ast.Call]:
    for node in view.program.author_nodes() if view.program else ():
        if isinstance(node, ast.Call):
            yield node
