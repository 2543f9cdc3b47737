"""What to do about a module that a task does not find."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import replace
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

from standpipe.model.attempts import Outcome, TaskRequest
from standpipe.model.own_modules import find_imports
from standpipe.model.plan import PythonFunction, SourceLocation

_MISSING = re.compile(r"ModuleNotFoundError: No module named '([\w.]+)'")

_RELATIVE = "ImportError: attempted relative import with no known parent package"

_HINT_FOR_RELATIVE = (
    "A component runs without the package that its file is in. Import the module by its full name, from the source "
    "root (local.init(source_root=...)) or from a project that packages_to_install installs; or list the function that "
    "is called in additional_funcs."
)

#: Images that hold Python alone.
_PLAIN_IMAGE = re.compile(r"(?:^|.*/)python(?::.*)?$")

#: Folders of packages that were installed, not written by the user.
_INSTALLED = {"site-packages", "dist-packages"}


def explain_missing_module(outcome: Outcome, request: TaskRequest, *, in_image: bool) -> Outcome:
    """Return the outcome of a Python component, with a hint if it failed for a module that it did not find.

    Args:
        outcome: how the task ended.
        request: the attempt.
        in_image: whether the task ran in its image.
    """
    if outcome.cause.startswith(_RELATIVE):
        return replace(outcome, hint=_HINT_FOR_RELATIVE)
    match = _MISSING.match(outcome.cause)
    if not match:
        return outcome
    hints = [_describe_origin(match[1], request)]
    if in_image:
        hints.insert(0, f"The image {request.image} does not have it.")
    elif not _PLAIN_IMAGE.match(request.image):
        hints.append(
            f"If the image {request.image} has it: the SubprocessRunner does not use images. "
            "local.init(runner=local.DockerRunner()) does."
        )
    return replace(outcome, hint=" ".join(hints))


def _describe_origin(name: str, request: TaskRequest) -> str:
    """Return where a module comes from and how a task gets it, as far as this process knows."""
    module = name.partition(".")[0]
    place = request.component.source_location
    path = _find_path(module, place)
    if path is not None and _is_own(path):
        return f"{module!r} is code of yours, in {path}. {_describe_own(name, path, request)}"
    return advise_package(module, place)


def advise_package(module: str, place: SourceLocation | None) -> str:
    """Return what provides a module to a task: a source root of the author's that has it, or else a package.

    Args:
        module: the module, without the names after a dot.
        place: where the component is defined that imports it.
    """
    if root := _find_source_root(module, place):
        return f"It is in {root}. Pass that folder: local.init(..., source_root={str(root)!r}), or --source-root."
    example = _example(module) if _find_path(module, place) else ""
    return f"Add the package that has it to packages_to_install of the component{example}."


def is_own_module(module: str, place: SourceLocation | None) -> bool:
    """Return whether a module is code of the user's; the arguments are those of `advise_package`."""
    path = _find_path(module, place)
    return path is not None and _is_own(path)


def _find_path(module: str, place: SourceLocation | None) -> Path | None:
    """Return the file or folder of a module that is beside a component, or that this process can import."""
    beside = [str(Path(place.file).parent)] if place else []
    return _path_of(PathFinder.find_spec(module, beside) or PathFinder.find_spec(module))


def _find_source_root(module: str, place: SourceLocation | None) -> Path | None:
    """Return the folder `src` beside a component, or beside its folder, that has a module; None if neither has it."""
    if place is None:
        return None
    folder = Path(place.file).parent
    roots = (folder / "src", folder.parent / "src")
    return next((root for root in roots if PathFinder.find_spec(module, [str(root)])), None)


def _is_own(path: Path) -> bool:
    return _INSTALLED.isdisjoint(path.parts) and not path.is_relative_to(sys.base_prefix)


def _describe_own(name: str, path: Path, request: TaskRequest) -> str:
    """Return why a task does not have a module of the author, and what to do."""
    if _is_script(path, request):
        return "A task does not get the file that defines its pipeline. Move what it needs into a module of its own."
    others = (
        "Or install your project with packages_to_install, or ship the file with embedded_artifact_path (a package: "
        "the folder that it is in)."
    )
    if not path.is_dir() and path.suffix != ".py":
        return f"A task gets modules of Python source only. {others}"
    function = request.program
    if isinstance(function, PythonFunction) and not _is_imported(name, function):
        return (
            "A task gets the modules that the code of its component imports by name, and this name is computed. Write "
            f"`import {name}` into the function. {others}"
        )
    return (
        "A task gets the modules below the source root, and this one is not. Pass the folder that it is imported from: "
        f"local.init(..., source_root={str(path.parent)!r}), or --source-root. {others}"
    )


def _is_script(path: Path, request: TaskRequest) -> bool:
    place = request.component.source_location
    main = getattr(sys.modules["__main__"], "__file__", None)
    return str(path) in (os.path.realpath(file) for file in (main, place and place.file) if file)


def _is_imported(name: str, function: PythonFunction) -> bool:
    """Return whether the code of a component, or of a module that it has, imports a module by its name."""
    sources = (function.source, *(each.source for each in function.modules))
    return any(f"{each}.".startswith(f"{name}.") for source in sources for each in find_imports(source))


def _path_of(spec: ModuleSpec | None) -> Path | None:
    if spec is None:
        return None
    if spec.origin and spec.has_location:
        file = Path(spec.origin)
        return file.parent if file.name == "__init__.py" else file
    return next(map(Path, spec.submodule_search_locations or ()), None)


def _example(module: str) -> str:
    """Return the package that a module is from in this environment: the two often have different names."""
    from importlib import metadata  # takes a while, and only failures need it

    names = metadata.packages_distributions().get(module, [])
    return f": [{f'{names[0]}=={metadata.version(names[0])}'!r}]" if names else ""
