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
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

from standpipe.errors import EnvironmentBuildError
from standpipe.model.locations import is_remote
from standpipe.model.plan import PythonFunction
from standpipe.model.ports import Cancel
from standpipe.support.locks import lock_file

Notice = Callable[[str], None]

_MARKER = "complete.json"

#: pip's settings that say where packages come from, with uv's options for them, which take one value each.
_SOURCES = {
    "index-url": "--index-url",
    "extra-index-url": "--extra-index-url",
    "find-links": "--find-links",
    "trusted-host": "--allow-insecure-host",
}

#: uv's own variables for the same; who has set one of them has told uv what pip's settings would tell it.
_UV_SOURCES = ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS")

#: What the installers print on their way that is worth showing, and what says nothing in an error message.
_PROGRESS = re.compile(r"(Resolved|Prepared|Installed|Building|Downloading|Collecting|Successfully installed) ")
_NOISE = re.compile(r"(Using Python|Resolved|Prepared|Using CPython|Creating virtual|Activate with|\s*$|\[notice\])")
_LINES_OF_ERROR = 20

#: Folders beside a package's source that a build of it writes to, or that say nothing about it.
_NOT_SOURCE = re.compile(r"(\..*|__pycache__|build|dist|.*\.egg-info)$")

_ARCHIVES = (".whl", ".zip", ".tar.gz")


class Venvs:
    """Virtual environments that hold nothing but a function's packages, below one folder, each in one named by content.

    Args:
        root: that folder; it is made when it is first needed.
    """

    def __init__(self, root: Path) -> None:
        self._root = Path(os.path.abspath(root))
        self._locks: dict[str, threading.Lock] = {}

    def python(self, function: PythonFunction, *, notice: Notice, cancel: Cancel | None = None) -> Path:
        """The interpreter of the environment with the function's packages, which is built if it is not there.

        Raises:
            EnvironmentBuildError: if the packages cannot be installed, with the installer's own words, or `cancel` was
                set meanwhile.
        """
        recipe = _recipe(_base_python(), function)
        folder = self._root / recipe.key
        if not _is_complete(folder):
            with self._locks.setdefault(recipe.key, threading.Lock()):
                try:
                    _build_once(recipe, folder, _Client.of(notice, cancel))
                except OSError as error:
                    raise EnvironmentBuildError(
                        f"The environment in {folder} cannot be made: {error.strerror or error}. "
                        "Make room there, or see to it that you may write there."
                    ) from error
        return _python_in(folder)


class CurrentEnvironment:
    """The environment that this program itself runs in; what a function needs and it lacks is installed into it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._installed: set[_Recipe] = set()

    def python(self, function: PythonFunction, *, notice: Notice, cancel: Cancel | None = None) -> Path:
        """This interpreter, with the function's packages installed.

        Raises:
            EnvironmentBuildError: if they cannot be installed, with the installer's own words, or `cancel` was set
                meanwhile.
        """
        python = Path(sys.executable)
        if not function.packages:
            return python
        recipe = _recipe(python, function)
        with self._lock:
            if recipe not in self._installed:
                _install(recipe, python, _Client.of(notice, cancel))
                self._installed.add(recipe)
        return python


class _Client(NamedTuple):
    """Whoever waits for an environment: is told how it goes, and may give it up."""

    notice: Notice
    cancel: Cancel

    @classmethod
    def of(cls, notice: Notice, cancel: Cancel | None) -> _Client:
        return cls(notice, Cancel() if cancel is None else cancel)

    def check(self) -> None:
        if self.cancel:
            raise EnvironmentBuildError("It was stopped while its environment was made.")


@dataclass(frozen=True)
class _Recipe:
    """What makes an environment: an interpreter, requirements, the state of those that are files, where to look.

    `sources` are pairs of one of pip's settings in `_SOURCES` and a value.
    """

    base: Path
    requirements: tuple[str, ...] = ()
    local: tuple[str, ...] = ()
    sources: tuple[tuple[str, str], ...] = ()

    @property
    def key(self) -> str:
        """The name of the environment: a digest of all that decides what is in it."""
        content = [str(self.base), sys.version, self.requirements, self.local, self.sources]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]


def _recipe(python: Path, function: PythonFunction) -> _Recipe:
    if not function.packages:
        return _Recipe(python)
    return _Recipe(python, *_resolved(function), _author_sources(function) or _user_sources())


def _author_sources(function: PythonFunction) -> tuple[tuple[str, str], ...]:
    """Where the function's author says that its packages come from.

    The first index replaces PyPI, and all are trusted unless the author lists whom to trust, as in the pip command that
    KFP runs on the cluster (`make_index_url_options` in `kfp/dsl/component_factory.py`).
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
    """Where this machine's user gets packages from, without a word from the author."""
    return tuple((name, value) for name, values in pip_settings(os.environ).items() for value in values)


def pip_settings(environ: Mapping[str, str]) -> dict[str, list[str]]:
    """Where pip is told to get packages from, by its variables and configuration files; uv reads neither.

    Nothing, if uv has been told by variables of its own. The rules are those of
    https://pip.pypa.io/en/stable/topics/configuration/.

    Returns:
        the values of those settings in `index-url`, `extra-index-url`, `find-links` and `trusted-host` that are set.
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
    """The configuration files of pip, the stronger ones later."""
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
    import configparser  # costs 3 ms, which only a program with packages to install need pay

    parser = configparser.RawConfigParser()
    try:
        parser.read(path, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError) as error:
        raise EnvironmentBuildError(f"pip's configuration file {path} cannot be read: {error}") from error
    sections = [parser[name] for name in ("global", "install") if parser.has_section(name)]
    return {name: section[name].split() for section in sections for name in _SOURCES if section.get(name)}


def _host(url: str) -> str:
    """The host and port in a URL, or the text itself if it is no URL; empty for a folder of this machine."""
    return re.sub(r"^\w+://(?:[^/@]*@)?([^/]*).*$", r"\1", url)


def _resolved(function: PythonFunction) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The function's requirements with the paths in them made absolute, and the state of what is at these paths."""
    requirements: list[str] = []
    states: list[str] = []
    for requirement in sorted(map(str.strip, function.packages)):
        absolute, path = _with_absolute_path(requirement)
        requirements.append(absolute)
        if path is not None:
            states += _state(path)
    return tuple(requirements), tuple(states)


def _with_absolute_path(requirement: str) -> tuple[str, Path | None]:
    """A requirement that names a file or folder of this machine with its absolute path, and the path; others as is."""
    by_url = re.search(r"file://(?:localhost)?(/[^\s;\[#]+)", requirement)
    if by_url:
        from urllib.parse import unquote  # only for this rare form

        return requirement, Path(unquote(by_url[1]))
    parts = re.fullmatch(r"(.*?)(\s*(?:\[[^\]]*\])?\s*(?:;.*)?)", requirement, re.DOTALL)
    assert parts is not None  # each part may be empty
    place, rest = parts[1], parts[2]
    if is_remote(place) or not (place.startswith((".", "/", "~")) or place.endswith(_ARCHIVES)):
        return requirement, None
    path = Path(os.path.abspath(os.path.expanduser(place)))
    return f"{path}{rest}", path


def _state(path: Path) -> Iterator[str]:
    """Names, sizes and times of the files at a path: when one of them changes, the environment is another one."""
    if path.is_dir():
        for parent, folders, files in os.walk(path):
            folders[:] = sorted(name for name in folders if not _NOT_SOURCE.match(name))
            for name in sorted(files):
                yield from _state(Path(parent, name))
    elif path.exists():
        status = path.stat()
        yield f"{path} {status.st_size} {status.st_mtime_ns}"


def _base_python() -> Path:
    """The interpreter that environments are made from: this one's own base, if this one is in an environment."""
    return Path(getattr(sys, "_base_executable", None) or sys.executable)  # what the standard `venv` uses, too


def _python_in(folder: Path) -> Path:
    return folder / "bin" / "python"


def _is_complete(folder: Path) -> bool:
    """Whether its build came to its end, and the interpreter that it refers to is still there."""
    return os.path.exists(folder / _MARKER) and os.access(_python_in(folder), os.X_OK)


def _build_once(recipe: _Recipe, folder: Path, client: _Client) -> None:
    """Builds the environment, unless somebody else just did."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _locked(folder.with_suffix(".lock"), client):
        if _is_complete(folder):
            return
        shutil.rmtree(folder, ignore_errors=True)  # the remains of a build that was cut short, or a broken one
        try:
            _build(recipe, folder, client)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise


@contextmanager
def _locked(path: Path, client: _Client) -> Iterator[None]:
    """Holds the lock for the building of an environment."""
    waiting = "Waiting for another process, which is building the same environment."
    with lock_file(path, keep_waiting=client.check, on_wait=lambda: client.notice(waiting)):
        yield


def _build(recipe: _Recipe, folder: Path, client: _Client) -> None:
    start = time.monotonic()
    names = ", ".join(recipe.requirements)
    if names:
        client.notice(f"Building an environment with {names}: once, later tasks find it ready.")
    _make_venv(recipe, folder, client)
    if names:
        _install(recipe, _python_in(folder), client)
        client.notice(f"The environment is ready after {time.monotonic() - start:.1f} s.")
    content = {"python": str(recipe.base), "requirements": recipe.requirements, "created": time.time()}
    draft = folder / (_MARKER + ".new")
    draft.write_text(json.dumps(content), encoding="utf-8")
    draft.replace(folder / _MARKER)


def _make_venv(recipe: _Recipe, folder: Path, client: _Client) -> None:
    uv = _find_uv()
    if uv:
        command = [uv, "venv", "--quiet", "--no-project", "--python", str(recipe.base), str(folder)]
    else:
        if recipe.requirements:
            client.notice("uv is not installed: pip is used instead, which takes longer.")
        without_pip = [] if recipe.requirements else ["--without-pip"]
        command = [str(recipe.base), "-m", "venv", *without_pip, str(folder)]
    what = f"An environment for {recipe.base} cannot be made in {folder.parent}"
    hint = "Make room there, see to it that you may write there, or set STANDPIPE_CACHE to another folder."
    _run(command, what, hint, client)


def _install(recipe: _Recipe, python: Path, client: _Client) -> None:
    """Installs the requirements for an interpreter."""
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
        # What is in uv's cache needs no index: asking it takes longer than installing, and there may be no network.
        with suppress(EnvironmentBuildError):
            return _run([*command, "--offline", "--", *recipe.requirements], what, hint, client)
    return _run([*command, "--", *recipe.requirements], what, hint, client)


def _uv_options(recipe: _Recipe) -> Iterator[str]:
    for name, value in recipe.sources:
        yield from (_SOURCES[name], value)
    if any(name == "extra-index-url" for name, _ in recipe.sources):
        yield from ("--index-strategy", "unsafe-best-match")  # as pip: the newest release, whichever index has it
    if recipe.local:
        yield "--refresh"  # uv would look for changes in a project's metadata only, not in its source


def _find_uv() -> str | None:
    try:
        from uv import find_uv_bin  # only needed where something is built
    except ImportError:
        return shutil.which("uv")
    try:
        return find_uv_bin()
    except FileNotFoundError:
        return shutil.which("uv")


def _run(command: Sequence[str], what: str, hint: str, client: _Client) -> None:
    """Runs an installer, showing its progress.

    Raises:
        EnvironmentBuildError: if it fails: `what`, the end of what it said, and `hint`; or if it was given up.
    """
    client.check()
    import subprocess  # costs 20 ms, which a program that builds nothing need not pay

    lines = []
    with subprocess.Popen(
        command,
        cwd="/",  # in the user's folder, uv would take the settings of the project there
        env=_installer_environment(os.environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,  # so that what it starts can be ended with it
    ) as process:
        assert process.stdout is not None
        forget = client.cancel.on_set(partial(_end, process.pid, client.cancel))
        try:
            for line in process.stdout:
                lines.append(line.rstrip())
                if _PROGRESS.match(line):
                    client.notice(line.strip())
        finally:
            forget()
    client.check()
    if process.returncode:
        words = [line for line in lines if not _NOISE.match(line)][-_LINES_OF_ERROR:]
        raise EnvironmentBuildError("\n".join((f"{what}:", *words, hint)))


def _end(leader: int, cancel: Cancel) -> None:
    with suppress(ProcessLookupError, PermissionError):  # it has just ended by itself
        os.killpg(leader, signal.SIGKILL if cancel.urgent else signal.SIGTERM)


def _installer_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables of an installer: without those that name another environment, with pip's certificates for uv."""
    dropped = ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "UV_PYTHON", "UV_SYSTEM_PYTHON")
    env = {name: value for name, value in environ.items() if name not in dropped}
    if environ.get("PIP_CERT"):
        env.setdefault("SSL_CERT_FILE", environ["PIP_CERT"])
    return env
