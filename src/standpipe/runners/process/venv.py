"""Python environments by content: the same packages give the same environment, built once and shared by all runs."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
import threading
import time
from collections import ChainMap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.machinery import PathFinder
from pathlib import Path

from standpipe.errors import EnvironmentBuildError
from standpipe.model.cancellation import Cancellation
from standpipe.model.locations import is_remote
from standpipe.model.plan import PythonFunction
from standpipe.runners.component_imports import is_importable
from standpipe.runners.package_indexes import drop_password, hide_password, resolve_indexes
from standpipe.runners.process.installer import (
    Build,
    FailedBuilds,
    check_packages,
    describe_packages,
    install,
    make_venv,
)
from standpipe.runners.process.pip_options import Arguments, Option, parse_arguments
from standpipe.runners.process.pip_settings import pip_settings
from standpipe.support.locks import lock_file
from standpipe.support.notices import Notice, inform
from standpipe.support.system_limits import advise
from standpipe.support.usage_marks import UsageMarks

#: The version of the way in which environments are built. Those of another one are not used any more: version 1 made
#: hard links into uv's cache, through which a task could change the environments of others.
_FORMAT = 2

#: The file in an environment that is complete, which says what it was made of.
MARKER = "complete.json"

#: Names in a package's folder that are not part of its source: its builds write to them, or tools do.
_NOT_SOURCE = re.compile(r"(\..*|__pycache__|build|dist|.*\.egg-info)$")

#: What says which packages a project needs that is installed as it is (`--editable`).
_PROJECT_FILES = ("pyproject.toml", "setup.py", "setup.cfg")

#: The options whose values are paths, unless they are URLs.
_PATHS = ("constraint", "editable", "find-links", "requirement")

_ARCHIVES = (".whl", ".zip", ".tar.gz")

#: Files of uv and setuptools that bring no modules from other folders.
_OWN_PATH_FILES = {"_virtualenv.pth", "distutils-precedence.pth"}

_NO_VARIABLES: Mapping[str, str] = {}
_NO_ARGUMENTS = Arguments()


class Venvs:
    """Virtual environments that hold only a function's packages, below one folder, each named by its content.

    Args:
        root: that folder; it is created when it is first needed.
    """

    def __init__(self, root: Path) -> None:
        self._root = Path(os.path.abspath(root))
        self._locks: dict[str, threading.Lock] = {}
        self._failures = FailedBuilds()
        self._marks = UsageMarks(self._root)

    def python(
        self,
        function: PythonFunction,
        *,
        variables: Mapping[str, str] = _NO_VARIABLES,
        inform: Notice = inform,
        cancel: Cancellation | None = None,
    ) -> Path:
        """Return the interpreter of the environment with the function's packages, which is built if it is missing.

        Raises:
            EnvironmentBuildError: if the packages cannot be installed, with the installer's error, or `cancel` was
                set meanwhile.
        """
        recipe = _recipe(base_python(), function, variables)
        folder = self._root / recipe.key
        build = Build(inform, Cancellation() if cancel is None else cancel)
        self._marks.hold(recipe.key, keep_waiting=build.check)  # so that `standpipe prune` does not remove it
        if not _is_complete(folder):
            with self._failures.building(recipe.key, self._locks.setdefault(recipe.key, threading.Lock()), build):
                try:
                    _build_once(recipe, folder, build)
                except OSError as error:
                    advice = advise(error, "Free some disk space, or check that you may write there.")
                    raise EnvironmentBuildError(
                        f"The environment in {folder} cannot be created: {error.strerror or error}. {advice}"
                    ) from error
        return _python_in(folder)

    def is_built(self, function: PythonFunction, variables: Mapping[str, str] = _NO_VARIABLES) -> bool:
        """Return whether the environment with the function's packages exists.

        Raises:
            EnvironmentBuildError: if its packages are not what an installer takes.
        """
        return _is_complete(self._root / _recipe(base_python(), function, variables).key)

    def check(self, function: PythonFunction, variables: Mapping[str, str], cancel: Cancellation) -> None:
        """Check that the function's packages resolve, without building their environment.

        Raises:
            EnvironmentBuildError: if they do not, with the installer's error, or `cancel` was set meanwhile.
        """
        recipe = _recipe(base_python(), function, variables)
        target = self._root / f"{recipe.key}.check-{os.getpid()}"
        try:
            check_packages(recipe.arguments, recipe.base, target, Build(_ignore, cancel))
        finally:
            shutil.rmtree(target, ignore_errors=True)

    def has_module(self, function: PythonFunction, variables: Mapping[str, str], module: str) -> bool | None:
        """Return whether the environment with the function's packages has a module; None if that is not known."""
        folder = self._root / _recipe(base_python(), function, variables).key
        if not _is_complete(folder):
            return None if function.packages else False
        packages = folder / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
        if PathFinder.find_spec(module, [str(packages)]):
            return True
        # A project that is installed as it is, or another file of this kind, brings modules from other folders.
        return None if any(path.name not in _OWN_PATH_FILES for path in packages.glob("*.pth")) else False

    def find_unreadable(self, function: PythonFunction) -> Iterator[str]:
        """Yield a sentence for each requirement of the function's that no installer can read.

        Raises:
            EnvironmentBuildError: if its packages are not what an installer takes.
        """
        from standpipe.runners.process.requirement_syntax import find_unreadable  # only new environments need it

        return find_unreadable(parse_arguments(function.packages, function.name).requirements)


def count_environments(root: Path) -> tuple[int, int]:
    """Return how many environments a folder has, and how many of others that no run can use as they are.

    Args:
        root: the folder of `Venvs`; it need not exist.
    """
    with suppress(FileNotFoundError):
        usable = [_is_complete(each) for each in root.iterdir() if each.is_dir()]
        return sum(usable), len(usable) - sum(usable)
    return 0, 0


class CurrentEnvironment:
    """The environment that this program itself runs in; packages that it lacks are installed into it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failures = FailedBuilds()
        self._installed: set[_Recipe] = set()

    def python(
        self,
        function: PythonFunction,
        *,
        variables: Mapping[str, str] = _NO_VARIABLES,
        inform: Notice = inform,
        cancel: Cancellation | None = None,
    ) -> Path:
        """Return this interpreter, with the function's packages installed.

        Raises:
            EnvironmentBuildError: if they cannot be installed, with the installer's error, or `cancel` was set
                meanwhile.
        """
        python = Path(sys.executable)
        if not function.packages:
            return python
        recipe = _recipe(python, function, variables)
        build = Build(inform, Cancellation() if cancel is None else cancel)
        with self._failures.building(recipe, self._lock, build):
            if recipe not in self._installed:
                recipe.install(python, build)
                self._installed.add(recipe)
        return python

    def is_built(self, function: PythonFunction, variables: Mapping[str, str] = _NO_VARIABLES) -> bool:
        """Return True: packages are installed for their own task only, as they change the environment of others.

        Raises:
            EnvironmentBuildError: if its packages are not what an installer takes.
        """
        _recipe(Path(sys.executable), function, variables)
        return True

    def check(self, function: PythonFunction, variables: Mapping[str, str], cancel: Cancellation) -> None:
        """Check nothing: packages are installed for their own task only."""

    def has_module(self, function: PythonFunction, variables: Mapping[str, str], module: str) -> bool | None:
        """Return whether this environment has a module; None if its packages may bring it."""
        return None if function.packages else is_importable(module)

    def find_unreadable(self, function: PythonFunction) -> Iterator[str]:
        """Yield nothing: `is_built` is always true here."""
        return iter(())


@dataclass(frozen=True)
class _Recipe:
    """All that determines an environment.

    `base` is the interpreter. `arguments` are those of a `pip install`, with absolute paths; `local` is the state of
    the files at these paths.
    """

    base: Path
    arguments: Arguments = _NO_ARGUMENTS
    local: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The name of the environment: a digest of all that determines its content."""
        return _digest(self, _FORMAT)

    def install(self, python: Path, build: Build) -> None:
        """Install the packages for an interpreter."""
        install(self.arguments, python, build, refresh=bool(self.local))


def _ignore(_: str) -> None:
    """Drop the progress of a check: nothing is built."""


@lru_cache(maxsize=100)  # every task asks for its environment
def _digest(recipe: _Recipe, version: int) -> str:
    arguments = recipe.arguments
    options = [(name, value and drop_password(value)) for name, value in arguments.options]
    requirements = sorted(map(drop_password, arguments.requirements))
    content = [version, str(recipe.base), sys.version, requirements, options, recipe.local]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]


def _recipe(python: Path, function: PythonFunction, variables: Mapping[str, str] = _NO_VARIABLES) -> _Recipe:
    if not function.packages:
        return _Recipe(python)
    arguments = parse_arguments(function.packages, function.name)
    indexes = resolve_indexes(function, ChainMap({**variables}, os.environ))
    own = (*(Option(name, value) for name, value in indexes.options), *arguments.options)
    options = list(_user_options(own, variables))
    states: list[str] = []
    for option in own:
        absolute, state = _resolve_option(option)
        options.append(absolute)
        states += state
    requirements = []
    for requirement in arguments.requirements:
        text, path = _with_absolute_path(requirement)
        requirements.append(text)
        states += _state(path) if path else ()
    return _Recipe(python, Arguments(tuple(requirements), tuple(options)), tuple(sorted(states)))


def _user_options(own: tuple[Option, ...], variables: Mapping[str, str]) -> tuple[Option, ...]:
    """Return the sources of packages in the settings of pip, which an author's own index replaces as a whole.

    On a cluster pip reads its settings from the variables of the task.
    """
    names = {option.name for option in own}
    if "index-url" in names:
        return ()
    settings = {name: value for name, value in variables.items() if name.startswith("PIP_")}
    options = _read_user_options(tuple(sorted(settings.items())))
    return tuple(option for option in options if "no-index" not in names or option.name == "find-links")


@cache  # reading files for every task would take longer than finding its environment
def _read_user_options(settings: tuple[tuple[str, str], ...]) -> tuple[Option, ...]:
    sources = pip_settings({**os.environ, **dict(settings)})
    return tuple(Option(name, value) for name, values in sources.items() for value in values)


def _resolve_option(option: Option) -> tuple[Option, Iterator[str]]:
    """Return an option with the path in its value made absolute, and the state of the files there."""
    name, value = option
    if name not in _PATHS or value is None or is_remote(value):
        return option, iter(())
    location, bracket, extras = value.partition("[") if name == "editable" else (value, "", "")
    path = Path(os.path.abspath(os.path.expanduser(location)))
    files = [path / file for file in _PROJECT_FILES] if name == "editable" else [path]
    return Option(name, f"{path}{bracket}{extras}"), (state for file in files for state in _state(file))


def _with_absolute_path(requirement: str) -> tuple[str, Path | None]:
    """Return a requirement with its path made absolute, and that path; None as the path if it has none."""
    by_url = re.search(r"file://(?:localhost)?(/[^\s;\[#]+)", requirement)
    if by_url:
        from urllib.parse import unquote  # only for this rare form

        return requirement, Path(unquote(by_url[1]))
    parts = re.fullmatch(r"(.*?)(\s*(?:\[[^\]]*\])?\s*(?:;.*)?)", requirement, re.DOTALL)
    assert parts is not None  # each part may be empty
    location, rest = parts[1], parts[2]
    if is_remote(location) or not (location.startswith((".", "/", "~")) or location.endswith(_ARCHIVES)):
        return requirement, None
    path = Path(os.path.abspath(os.path.expanduser(location)))
    return f"{path}{rest}", path


def _state(path: Path) -> Iterator[str]:
    """Yield names, sizes and times of the files at a path: a change of them makes it another environment."""
    if path.is_dir():
        for parent, folders, files in os.walk(path):
            folders[:] = sorted(name for name in folders if not _NOT_SOURCE.match(name))
            for name in sorted(files):
                yield from _state(Path(parent, name))
    elif path.exists():
        status = path.stat()
        yield f"{path} {status.st_size} {status.st_mtime_ns}"


def base_python() -> Path:
    """Return the interpreter that environments are created from: this one, or its base if it is in an environment."""
    return Path(getattr(sys, "_base_executable", None) or sys.executable)  # what the standard `venv` uses, too


def _python_in(folder: Path) -> Path:
    return folder / "bin" / "python"


def _is_complete(folder: Path) -> bool:
    """Return whether an environment was built completely, and its base interpreter still exists."""
    return os.path.exists(folder / MARKER) and os.access(_python_in(folder), os.X_OK)


def _build_once(recipe: _Recipe, folder: Path, build: Build) -> None:
    """Build the environment, unless another process has just done so."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _locked(folder.with_suffix(".lock"), build):
        if _is_complete(folder):
            return
        shutil.rmtree(folder, ignore_errors=True)  # an incomplete or broken environment
        try:
            _build_environment(recipe, folder, build)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise


@contextmanager
def _locked(path: Path, build: Build) -> Iterator[None]:
    """Hold the lock of one environment's build."""
    waiting = "Waiting for another process that is building the same environment."
    with lock_file(path, keep_waiting=build.check, on_wait=lambda: build.inform(waiting)):
        yield


def _build_environment(recipe: _Recipe, folder: Path, build: Build) -> None:
    start = time.monotonic()
    names = describe_packages(recipe.arguments)
    if names:
        build.inform(f"Building an environment with {names}. Later tasks will reuse it.")
    make_venv(recipe.base, folder, build, with_packages=bool(names))
    if names:
        recipe.install(_python_in(folder), build)
        build.inform(f"The environment is ready after {time.monotonic() - start:.1f} s.")
    content = {
        "format": _FORMAT,
        "python": str(recipe.base),
        "requirements": list(map(hide_password, recipe.arguments.requirements)),
        "created": time.time(),
    }
    draft = folder / (MARKER + ".new")
    draft.write_text(json.dumps(content), encoding="utf-8")
    draft.replace(folder / MARKER)
