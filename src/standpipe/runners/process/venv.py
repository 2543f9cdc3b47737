"""Python environments by content: the same packages give the same environment, built once and shared by all runs."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

from standpipe.errors import EnvironmentBuildError
from standpipe.model.cancellation import Cancellation
from standpipe.model.locations import is_remote
from standpipe.model.plan import PythonFunction
from standpipe.support.locks import lock_file
from standpipe.support.notices import Notice, inform

_MARKER = "complete.json"

#: pip's settings for the sources of packages, with uv's options for them, which take one value each.
_SOURCES = {
    "index-url": "--index-url",
    "extra-index-url": "--extra-index-url",
    "find-links": "--find-links",
    "trusted-host": "--allow-insecure-host",
}

#: uv's own variables for the same; if one of them is set, pip's settings are not passed to uv.
_UV_SOURCES = ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS")

#: The lines of the installers that are worth showing as progress, and those that are noise in an error message.
_PROGRESS = re.compile(r"(Resolved|Prepared|Installed|Building|Downloading|Collecting|Successfully installed) ")
_NOISE = re.compile(r"(Using Python|Resolved|Prepared|Using CPython|Creating virtual|Activate with|\s*$|\[notice\])")
_LINES_OF_ERROR = 20

#: Names in a package's folder that are not part of its source: its builds write to them, or tools do.
_NOT_SOURCE = re.compile(r"(\..*|__pycache__|build|dist|.*\.egg-info)$")

_ARCHIVES = (".whl", ".zip", ".tar.gz")


class Venvs:
    """Virtual environments that hold only a function's packages, below one folder, each named by its content.

    Args:
        root: that folder; it is created when it is first needed.
    """

    def __init__(self, root: Path) -> None:
        self._root = Path(os.path.abspath(root))
        self._locks: dict[str, threading.Lock] = {}

    def python(self, function: PythonFunction, *, inform: Notice = inform, cancel: Cancellation | None = None) -> Path:
        """Return the interpreter of the environment with the function's packages, which is built if it is missing.

        Raises:
            EnvironmentBuildError: if the packages cannot be installed, with the installer's error, or `cancel` was
                set meanwhile.
        """
        recipe = _recipe(_base_python(), function)
        folder = self._root / recipe.key
        if not _is_complete(folder):
            with self._locks.setdefault(recipe.key, threading.Lock()):
                try:
                    _build_once(recipe, folder, _Build(inform, Cancellation() if cancel is None else cancel))
                except OSError as error:
                    raise EnvironmentBuildError(
                        f"The environment in {folder} cannot be created: {error.strerror or error}. "
                        "Free some disk space, or check that you may write there."
                    ) from error
        return _python_in(folder)


class CurrentEnvironment:
    """The environment that this program itself runs in; packages that it lacks are installed into it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._installed: set[_Recipe] = set()

    def python(self, function: PythonFunction, *, inform: Notice = inform, cancel: Cancellation | None = None) -> Path:
        """Return this interpreter, with the function's packages installed.

        Raises:
            EnvironmentBuildError: if they cannot be installed, with the installer's error, or `cancel` was set
                meanwhile.
        """
        python = Path(sys.executable)
        if not function.packages:
            return python
        recipe = _recipe(python, function)
        with self._lock:
            if recipe not in self._installed:
                _install(recipe, python, _Build(inform, Cancellation() if cancel is None else cancel))
                self._installed.add(recipe)
        return python


class _Build(NamedTuple):
    """One build of an environment: where its progress goes, and what cancels it."""

    inform: Notice
    cancel: Cancellation

    def check(self) -> None:
        """Raise an error if the build is cancelled."""
        if self.cancel:
            raise EnvironmentBuildError("It was cancelled while its environment was built.")


@dataclass(frozen=True)
class _Recipe:
    """All that determines an environment.

    `base` is the interpreter, `local` the state of the files of requirements that are paths. `sources` are pairs of
    one of pip's settings in `_SOURCES` and a value.
    """

    base: Path
    requirements: tuple[str, ...] = ()
    local: tuple[str, ...] = ()
    sources: tuple[tuple[str, str], ...] = ()

    @property
    def key(self) -> str:
        """The name of the environment: a digest of all that determines its content."""
        content = [str(self.base), sys.version, self.requirements, self.local, self.sources]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]


def _recipe(python: Path, function: PythonFunction) -> _Recipe:
    if not function.packages:
        return _Recipe(python)
    return _Recipe(python, *_resolve_paths(function), _author_sources(function) or _user_sources())


def _author_sources(function: PythonFunction) -> tuple[tuple[str, str], ...]:
    """Return the sources of packages that the function's author names.

    The first index replaces PyPI. All are trusted unless the author lists trusted hosts, as in the pip command that KFP
    runs on the cluster (`make_index_url_options` in `kfp/dsl/component_factory.py`).
    """
    if not function.index_urls:
        return ()
    trusted = function.index_urls if function.trusted_hosts is None else function.trusted_hosts
    first, *others = function.index_urls
    return (
        ("index-url", first),
        *(("extra-index-url", url) for url in others),
        *(("trusted-host", host) for host in map(_host, trusted) if host),
    )


@cache  # reading files for every task would take longer than finding its environment
def _user_sources() -> tuple[tuple[str, str], ...]:
    """Return this user's sources of packages, for functions whose author names none."""
    return tuple((name, value) for name, values in pip_settings(os.environ).items() for value in values)


def pip_settings(environ: Mapping[str, str]) -> dict[str, list[str]]:
    """Return pip's sources of packages, from its variables and configuration files, which uv does not read.

    The rules are those of https://pip.pypa.io/en/stable/topics/configuration/.

    Returns:
        The values of those of `index-url`, `extra-index-url`, `find-links` and `trusted-host` that are set; empty if
        one of uv's own variables for them is set.
    """
    if any(environ.get(name) for name in _UV_SOURCES):
        return {}
    settings: dict[str, list[str]] = {}
    for file in _pip_files(environ):
        settings.update(_read_pip_file(file))
    for name in _SOURCES:
        value = environ.get("PIP_" + name.replace("-", "_").upper())
        if value:
            settings[name] = value.split()
    return settings


def _pip_files(environ: Mapping[str, str]) -> Iterable[Path]:
    """Return the configuration files of pip, in increasing order of precedence."""
    if environ.get("PIP_CONFIG_FILE") == os.devnull:
        return ()
    home = Path.home()
    shared = [Path(folder) for folder in environ.get("XDG_CONFIG_DIRS", "/etc/xdg").split(os.pathsep)]
    own = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    library = Path("Library/Application Support")
    files = [folder / "pip" / "pip.conf" for folder in reversed(shared)]
    files += [Path("/etc/pip.conf"), home / ".pip" / "pip.conf", own / "pip" / "pip.conf"]
    if sys.platform == "darwin":
        files = [Path("/") / library / "pip" / "pip.conf", *files, home / library / "pip" / "pip.conf"]
    files.append(Path(sys.prefix) / "pip.conf")
    if environ.get("PIP_CONFIG_FILE"):
        files.append(Path(environ["PIP_CONFIG_FILE"]))
    return files


def _read_pip_file(path: Path) -> dict[str, list[str]]:
    import configparser  # costs 3 ms, which only programs that install packages pay

    parser = configparser.RawConfigParser()
    try:
        parser.read(path, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError) as error:
        raise EnvironmentBuildError(f"pip's configuration file {path} cannot be read: {error}") from error
    sections = [parser[name] for name in ("global", "install") if parser.has_section(name)]
    return {name: section[name].split() for section in sections for name in _SOURCES if section.get(name)}


def _host(url: str) -> str:
    """Return the host and port of a URL; the text itself if it is not a URL; empty for a folder of this machine."""
    return re.sub(r"^\w+://(?:[^/@]*@)?([^/]*).*$", r"\1", url)


def _resolve_paths(function: PythonFunction) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the function's requirements with absolute paths, and the state of the files at these paths."""
    requirements: list[str] = []
    states: list[str] = []
    for requirement in sorted(map(str.strip, function.packages)):
        absolute, path = _with_absolute_path(requirement)
        requirements.append(absolute)
        if path is not None:
            states += _state(path)
    return tuple(requirements), tuple(states)


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


def _base_python() -> Path:
    """Return the interpreter that environments are created from: this one, or its base if it is in an environment."""
    return Path(getattr(sys, "_base_executable", None) or sys.executable)  # what the standard `venv` uses, too


def _python_in(folder: Path) -> Path:
    return folder / "bin" / "python"


def _is_complete(folder: Path) -> bool:
    """Return whether an environment was built completely, and its base interpreter still exists."""
    return os.path.exists(folder / _MARKER) and os.access(_python_in(folder), os.X_OK)


def _build_once(recipe: _Recipe, folder: Path, build: _Build) -> None:
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
def _locked(path: Path, build: _Build) -> Iterator[None]:
    """Hold the lock of one environment's build."""
    waiting = "Waiting for another process that is building the same environment."
    with lock_file(path, keep_waiting=build.check, on_wait=lambda: build.inform(waiting)):
        yield


def _build_environment(recipe: _Recipe, folder: Path, build: _Build) -> None:
    start = time.monotonic()
    names = ", ".join(recipe.requirements)
    if names:
        build.inform(f"Building an environment with {names}. Later tasks will reuse it.")
    _make_venv(recipe, folder, build)
    if names:
        _install(recipe, _python_in(folder), build)
        build.inform(f"The environment is ready after {time.monotonic() - start:.1f} s.")
    content = {"python": str(recipe.base), "requirements": recipe.requirements, "created": time.time()}
    draft = folder / (_MARKER + ".new")
    draft.write_text(json.dumps(content), encoding="utf-8")
    draft.replace(folder / _MARKER)


def _make_venv(recipe: _Recipe, folder: Path, build: _Build) -> None:
    uv = _find_uv()
    if uv:
        command = [uv, "venv", "--quiet", "--no-project", "--python", str(recipe.base), str(folder)]
    else:
        if recipe.requirements:
            build.inform("uv is not installed, so pip builds the environment, which takes longer.")
        without_pip = [] if recipe.requirements else ["--without-pip"]
        command = [str(recipe.base), "-m", "venv", *without_pip, str(folder)]
    what = f"An environment for {recipe.base} cannot be created in {folder.parent}"
    hint = "Free some disk space, check that you may write there, or set STANDPIPE_CACHE to another folder."
    _run(command, what, hint, build)


def _install(recipe: _Recipe, python: Path, build: _Build) -> None:
    """Install the requirements for an interpreter."""
    uv = _find_uv()
    if uv:
        command = [uv, "pip", "install", "--python", str(python), *_uv_options(recipe)]
    else:
        options = [part for name, value in recipe.sources for part in (f"--{name}", value)]
        command = [str(python), "-m", "pip", "install", "--disable-pip-version-check", *options]
    what = f"The packages {', '.join(recipe.requirements)} cannot be installed"
    hint = (
        "Check the names and versions in packages_to_install, "
        "and the indexes in pip_index_urls or in the settings of pip."
    )
    if uv and not recipe.local:
        # Packages in uv's cache need no index, whose answer takes longer than the installation and may need a network.
        with suppress(EnvironmentBuildError):
            return _run([*command, "--offline", "--", *recipe.requirements], what, hint, build)
    return _run([*command, "--", *recipe.requirements], what, hint, build)


def _uv_options(recipe: _Recipe) -> Iterator[str]:
    for name, value in recipe.sources:
        yield from (_SOURCES[name], value)
    if any(name == "extra-index-url" for name, _ in recipe.sources):
        yield from ("--index-strategy", "unsafe-best-match")  # as pip: the newest release of all indexes
    if recipe.local:
        yield "--refresh"  # uv would notice changes of a project's metadata only, not of its source


def _find_uv() -> str | None:
    try:
        from uv import find_uv_bin  # only needed where something is built
    except ImportError:
        return shutil.which("uv")
    try:
        return find_uv_bin()
    except FileNotFoundError:
        return shutil.which("uv")


def _run(command: Sequence[str], what: str, hint: str, build: _Build) -> None:
    """Run an installer, and show its progress.

    Args:
        command: the command line.
        what: what failed, for the error message.
        hint: what to do about it, for the error message.
        build: the build that this is part of.

    Raises:
        EnvironmentBuildError: if it fails, with the end of its output, or the build is cancelled.
    """
    build.check()
    import subprocess  # costs 20 ms, which a program that builds nothing need not pay

    lines = []
    with subprocess.Popen(
        command,
        cwd="/",  # in the user's folder, uv would read the settings of the project there
        env=_installer_environment(os.environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,  # so that its child processes can be stopped with it
    ) as process:
        assert process.stdout is not None
        forget = build.cancel.on_set(partial(_stop_group, process.pid, build.cancel))
        try:
            for line in process.stdout:
                lines.append(line.rstrip())
                if _PROGRESS.match(line):
                    build.inform(line.strip())
        finally:
            forget()
    build.check()
    if process.returncode:
        errors = [line for line in lines if not _NOISE.match(line)][-_LINES_OF_ERROR:]
        raise EnvironmentBuildError("\n".join((f"{what}:", *errors, hint)))


def _stop_group(leader: int, cancel: Cancellation) -> None:
    with suppress(ProcessLookupError, PermissionError):  # it has just ended
        os.killpg(leader, signal.SIGKILL if cancel.urgent else signal.SIGTERM)


def _installer_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of an installer: without those of another environment, with pip's certificates for uv."""
    dropped = ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "UV_PYTHON", "UV_SYSTEM_PYTHON")
    env = {name: value for name, value in environ.items() if name not in dropped}
    if environ.get("PIP_CERT"):
        env.setdefault("SSL_CERT_FILE", environ["PIP_CERT"])
    return env
