"""The programs that make environments and install packages: uv, or pip where uv is missing."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
import threading
import time
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache, partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

from standpipe.errors import EnvironmentBuildError
from standpipe.model.cancellation import Cancellation
from standpipe.runners.credentials import pip_command
from standpipe.runners.package_indexes import hide_password
from standpipe.runners.process.pip_options import Arguments, pip_words, without_effect
from standpipe.runners.process.uv_call import make_uv_call
from standpipe.support.forking import register_functions, start_process
from standpipe.support.notices import Notice
from standpipe.support.waiting import iterate_in_thread

if TYPE_CHECKING:
    import subprocess

#: The seconds between two looks at whether a build is cancelled, or a program has ended; and those that an installer
#: has to end.
_INTERVAL = 0.05
_TIME_TO_END = 2.0

#: The lines of the installers that are worth showing as progress, and those that are noise in an error message.
_PROGRESS = re.compile(r"(Resolved|Prepared|Installed|Building|Downloading|Collecting|Successfully installed) ")
_NOISE = re.compile(r"(Using Python|Resolved|Prepared|Using CPython|Creating virtual|Activate with|\s*$|\[notice\])")
_LINES_OF_ERROR = 20

#: What to do about packages that cannot be installed.
_CHECK_PACKAGES = (
    "Check the names and versions in packages_to_install, and the indexes in pip_index_urls or in the settings of pip."
)

#: Options with which the author asks for what the index has now, not for what uv's cache has.
_FRESH = {"upgrade", "no-cache-dir", "force-reinstall"}

#: The request to a Linux file system to let a file share the blocks of another one (`ioctl_ficlone(2)`).
_FICLONE = 0x40049409


class Build(NamedTuple):
    """One build of an environment: where its progress goes, and what cancels it."""

    inform: Notice
    cancel: Cancellation

    def check(self) -> None:
        """Raise an error if the build is cancelled."""
        if self.cancel:
            raise EnvironmentBuildError("It was cancelled while its environment was built.")

    @contextmanager
    def holding(self, lock: threading.Lock) -> Iterator[None]:
        """Hold a lock during the block. The wait for it ends with an error if the build is cancelled."""
        while not lock.acquire(timeout=_INTERVAL):
            self.check()
        try:
            yield
        finally:
            lock.release()


class FailedBuilds:
    """The last error of each environment that could not be built, for builds that waited for the one that failed."""

    def __init__(self) -> None:
        self._errors: dict[Hashable, EnvironmentBuildError] = {}

    @contextmanager
    def building(self, key: Hashable, lock: threading.Lock, build: Build) -> Iterator[None]:
        """Hold a lock during the block, which builds an environment.

        If another build of the same environment has failed during the wait for the lock, this one fails with its error:
        it would do the same again, with the same notices. A later build, such as that of a retry, is not affected.

        Args:
            key: what tells the environment from others.
            lock: the lock that builds of this environment hold.
            build: the build.

        Raises:
            EnvironmentBuildError: if that build has failed, or this one is cancelled.
        """
        former = self._errors.get(key)
        with build.holding(lock):
            error = self._errors.get(key)
            if error is not None and error is not former:
                raise type(error)(*error.args) from error
            try:
                yield
            except EnvironmentBuildError as failure:
                if not build.cancel:
                    self._errors[key] = failure
                raise
            self._errors.pop(key, None)


#: Held while `sysconfig` is used, which in Python 3.10 to 3.12 fails in a thread while another is the first to use it.
_sysconfig = threading.Lock()


def _after_fork_in_child() -> None:
    global _sysconfig
    _sysconfig = threading.Lock()  # a thread that is not in this process may hold the old one


register_functions(in_child=_after_fork_in_child)


@cache
def find_site_packages() -> str:
    """Return the folder of the packages of the environment that this program runs in."""
    import sysconfig  # costs 2 ms, and only runs without an environment of their own need it

    with _sysconfig:
        return sysconfig.get_path("purelib")


def find_uv() -> str | None:
    """Return the path of uv; None if it is missing."""
    with _sysconfig:  # which uv asks for the folders of programs
        try:
            from uv import find_uv_bin  # only needed where something is built
        except ImportError:
            return shutil.which("uv")
        try:
            return find_uv_bin()
        except FileNotFoundError:
            return shutil.which("uv")


def make_venv(base: Path, folder: Path, build: Build, *, with_packages: bool) -> None:
    """Make an empty virtual environment of an interpreter.

    Raises:
        EnvironmentBuildError: if it cannot be made, or the build is cancelled.
    """
    uv = find_uv()
    if uv:
        command = [uv, "venv", "--quiet", "--no-project", "--python", str(base), str(folder)]
    else:
        if with_packages:
            build.inform("uv is not installed, so pip builds the environment, which takes longer.")
        without_pip = [] if with_packages else ["--without-pip"]
        command = [str(base), "-m", "venv", *without_pip, str(folder)]
    what = f"An environment for {base} cannot be created in {folder.parent}"
    hint = "Free some disk space, check that you may write there, or set STANDPIPE_CACHE to another folder."
    _run(command, {}, what, hint, build)


def install(arguments: Arguments, python: Path, build: Build, *, refresh: bool) -> None:
    """Install packages for an interpreter.

    Args:
        arguments: the packages, with pip's options.
        python: the interpreter.
        build: the build that this is part of.
        refresh: whether packages at paths may have changed since uv read them.

    Raises:
        EnvironmentBuildError: if they cannot be installed, or the build is cancelled.
    """
    names = describe_packages(arguments)
    what, hint = f"The packages {names} cannot be installed", _CHECK_PACKAGES
    if os.environ.get("UV_OFFLINE"):
        hint = (
            "UV_OFFLINE is set, so nothing is downloaded: install them once with the network. A test gets it with "
            "@pytest.mark.standpipe(network=True)."
        )
    uv = find_uv()
    if uv is None:
        words = ["install", "--disable-pip-version-check", *pip_words(arguments.options), "--", *arguments.requirements]
        command, variables = pip_command(str(python), words, os.environ)
        return _run(command, variables, what, hint, build)
    ignored = without_effect(arguments.options)
    if ignored:
        build.inform(f"uv, which installs {names}, has no use for these options of pip: {', '.join(ignored)}.")
    command = [uv, "pip", "install", "--python", str(python), "--link-mode", _link_mode(uv, python)]
    if refresh:
        command.append("--refresh")  # uv would notice changes of a project's metadata only, not of its source
    return _run_uv(command, arguments, build, what, hint, may_be_offline=not refresh)


def check_packages(arguments: Arguments, python: Path, target: Path, build: Build) -> None:
    """Check that packages resolve, as far as uv knows that without installing them; pip does not.

    Args:
        arguments: the packages, with pip's options.
        python: the interpreter that they are for.
        target: a folder that does not exist, which uv makes.
        build: the build that this is part of.

    Raises:
        EnvironmentBuildError: as `install`.
    """
    uv = find_uv()
    if uv is not None:
        command = [uv, "pip", "install", "--dry-run", "--python", str(python), "--target", str(target)]
        what = f"The packages {describe_packages(arguments)} cannot be installed"
        _run_uv(command, arguments, build, what, _CHECK_PACKAGES, may_be_offline=True)


def _run_uv(
    command: list[str], arguments: Arguments, build: Build, what: str, hint: str, *, may_be_offline: bool
) -> None:
    """Run a command of uv with packages; the other arguments are those of `_run`."""
    call = make_uv_call(arguments, os.environ)
    command = [*command, *call.options]
    if may_be_offline and _FRESH.isdisjoint(option.name for option in arguments.options):
        # Packages in uv's cache need no index, whose answer takes longer than the installation and may need a network.
        with suppress(EnvironmentBuildError):
            offline = [*command, "--offline", "--", *call.requirements]
            return _run(offline, call.variables, what, hint, build, call.standard_input)
    return _run([*command, "--", *call.requirements], call.variables, what, hint, build, call.standard_input)


def describe_packages(arguments: Arguments) -> str:
    """Return what is installed, without passwords: requirements, or else the files that list them."""
    files = (option.value or "" for option in arguments.options if option.name in ("requirement", "editable"))
    return ", ".join(map(hide_password, (*arguments.requirements, *files)))


def _link_mode(uv: str, python: Path) -> str:
    """Return how uv is to put files of its cache into an environment: `clone` or `copy`.

    A hard link would make a file of the environment the same file as that in uv's cache, and in all environments with
    the package, so that a task could change them all. `clone` shares blocks until one of the files is written, where
    the file system can do that. Where it cannot, `clone` silently makes hard links (uv 0.13.9), so it is tried first.
    """
    import subprocess  # costs 20 ms, which a program that builds nothing need not pay

    with suppress(OSError, subprocess.SubprocessError):
        command = [uv, "cache", "dir"]
        with start_process(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd="/") as process:
            cache = process.communicate()[0]
        if process.returncode == 0 and _can_clone(Path(cache.strip(), "CACHEDIR.TAG"), python.parent):
            return "clone"
    return "copy"


def _can_clone(source: Path, folder: Path) -> bool:
    """Return whether a copy of a file in a folder can share its blocks. If it is unknown, the answer is False."""
    target = folder / f".clone-{os.getpid()}-{threading.get_ident()}"
    try:
        if sys.platform == "darwin":
            import ctypes  # only for this call, which Python has no function for

            return bool(ctypes.CDLL(None).clonefile(os.fsencode(source), os.fsencode(target), 0) == 0)
        import fcntl  # Windows has none, and no runner that needs this

        with source.open("rb") as original, target.open("wb") as copy:
            fcntl.ioctl(copy.fileno(), _FICLONE, original.fileno())
    except (OSError, ImportError, AttributeError):
        return False
    finally:
        target.unlink(missing_ok=True)
    return True


def _run(
    command: Sequence[str], variables: Mapping[str, str], what: str, hint: str, build: Build, standard_input: str = ""
) -> None:
    """Run an installer, and show its progress.

    Args:
        command: the command line.
        variables: variables for it, besides those of this process.
        what: what failed, for the error message.
        hint: what to do about it, for the error message.
        build: the build that this is part of.
        standard_input: a text for it.

    Raises:
        EnvironmentBuildError: if it fails, with the end of its output, or the build is cancelled.
    """
    build.check()
    import subprocess  # costs 20 ms, which a program that builds nothing need not pay

    lines = []
    process = start_process(
        command,
        cwd="/",  # in the user's folder, uv would read the settings of the project there
        env={**installer_environment(os.environ), **variables},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,  # so that its child processes can be stopped with it
    )
    output, process.stdout = process.stdout, None  # left to the thread that reads it
    assert output is not None
    assert process.stdin is not None
    try:
        with suppress(BrokenPipeError), process.stdin:  # it may end at once
            process.stdin.write(standard_input)
        for line in iterate_in_thread(partial(_read_lines, output), build.cancel):
            lines.append(line.rstrip())
            if _PROGRESS.match(line):
                build.inform(line.strip())
    except BaseException:
        _kill_group(process.pid, signal.SIGKILL)
        raise
    finally:
        if build.cancel:
            _stop(process, build.cancel)
        process.wait()
    build.check()
    if process.returncode:
        errors = [line for line in lines if not _NOISE.match(line)][-_LINES_OF_ERROR:]
        raise EnvironmentBuildError("\n".join((f"{what}:", *errors, hint)))


def _read_lines(output: IO[str]) -> Iterator[str]:
    with output:
        yield from map(hide_password, output)


def _stop(process: subprocess.Popen[str], cancel: Cancellation) -> None:
    """Terminate a program with its group, and kill what does not end in time."""
    _kill_group(process.pid, signal.SIGTERM)
    patience_ends = time.monotonic() + _TIME_TO_END
    while not cancel.urgent and process.poll() is None and time.monotonic() < patience_ends:
        time.sleep(_INTERVAL)
    _kill_group(process.pid, signal.SIGKILL)  # whose number no other group has, as long as a process is in it


def _kill_group(leader: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):  # it has just ended
        os.killpg(leader, number)


def installer_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of an installer: without those of another environment, with pip's certificates for uv."""
    dropped = ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "UV_PYTHON", "UV_SYSTEM_PYTHON")
    env = {name: value for name, value in environ.items() if name not in dropped}
    if environ.get("PIP_CERT"):
        env.setdefault("SSL_CERT_FILE", environ["PIP_CERT"])
    return env
