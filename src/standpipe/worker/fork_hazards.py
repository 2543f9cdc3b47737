"""What makes it wrong to fork a process after it has imported packages.

A forked process has the memory of its parent and one thread. It shares what the kernel holds for the parent: open files
with their positions, sockets, devices, shared memory. So each of these that an import leaves behind is a reason not to
fork, and so are threads, which would be missing.

OS threads are the exception: many libraries start a pool when they are loaded (OpenBLAS, jemalloc), and start it once
more in a forked process. Whether a package does that can only be measured, so the packages are in a table.

On Linux all of this can be seen in /proc. On other systems it cannot, and no package with C code has been measured, so
that any C code from outside the standard library is a hazard there.
"""

from __future__ import annotations

import os
import re
import signal
import stat
import sys
import threading
import time
from contextlib import suppress
from typing import Any, Dict, Iterable, Set, Tuple

from .c_packages import MEASURED, UNSAFE, package_of

#: Devices that have no state, which any number of processes may share.
_STATELESS_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")

#: The files of memory mappings, in the last column of /proc/self/maps (proc(5)): of those that hold code, and of those
#: that processes share.
_MAPPED_FILE = re.compile(r"^\S+ ..x\S* \S+ \S+ \S+ +(/.*)$", re.MULTILINE)
_SHARED_MAPPING = re.compile(r"^\S+ .w.s \S+ (\S+ \S+) +(.*)$", re.MULTILINE)

#: The folders of libraries that belong to the system or to Python itself.
_SYSTEM_FOLDERS = tuple(
    f"{folder}/"
    for folder in ("/lib", "/lib64", "/usr", os.path.dirname(os.__file__), os.path.join(sys.base_prefix, "lib"))
)


#: How long a thread may take to end after `Thread.join` has returned.
_SECONDS_TO_END = 0.5

_EXECUTABLE = os.path.realpath(sys.executable)


class ForkHazards:
    """Looks at what imports leave in this process, which has one thread when this is created, just before them.

    Ask after each import: what started a thread is found among the packages that are loaded since the last time.
    """

    def __init__(self) -> None:
        self._modules = set(sys.modules)
        self._descriptors = _open_descriptors()
        self._handlers = _signal_handlers()
        maps = _maps()
        self._shared = _shared_mappings(maps)
        self._c_files = _c_files(maps)
        self._os_threads = _os_threads()

    def find(self) -> str:
        """Return what makes it wrong to fork this process, as one clause; empty if nothing does.

        It costs 1 ms, and 20 ms where many libraries are loaded. A child that has ended is waited for, so its status is
        lost.
        """
        modules, self._modules = self._modules, set(sys.modules)
        added = self._modules - modules
        maps = _maps()
        return (
            _unsafe_package(added)
            or _python_thread()
            or _child()
            or self._descriptor()
            or self._shared_memory(maps)
            or self._signal_handler()
            or self._os_thread(maps)
            or ("" if maps else _c_module(added))
        )

    def all_measured(self) -> bool:
        """Return whether all C code that the imports have loaded is of measured packages, as of the last `find`."""
        return _packages_of(self._c_files) <= MEASURED

    def _descriptor(self) -> str:
        now = _open_descriptors()
        for descriptor, identity in now.items():
            if self._descriptors.get(descriptor) != identity and not _is_stateless(descriptor):
                return f"the imports left {_path_of(descriptor)} open"
        return "the imports closed a file that was open before" if self._descriptors.keys() - now.keys() else ""

    def _shared_memory(self, maps: str) -> str:
        added = sorted(_shared_mappings(maps) - self._shared)
        return f"the imports mapped memory that processes share: {added[0][1]}" if added else ""

    def _signal_handler(self) -> str:
        changed = [name for name, handler in _signal_handlers().items() if handler != self._handlers[name]]
        return f"the imports changed the handler of {changed[0]}" if changed else ""

    def _os_thread(self, maps: str) -> str:
        """Return a sentence about threads that have been started since the last time, unless by measured packages."""
        files, self._c_files = self._c_files, _c_files(maps)
        added = _packages_of(self._c_files - files)
        threads = self._os_threads
        if added and added <= MEASURED:
            self._os_threads = _os_threads()
            return ""
        self._os_threads = _settled_os_threads(threads)
        if self._os_threads <= threads:
            return ""
        unknown = ", ".join(sorted(added - MEASURED)) or "?"
        return (
            f"the imports started threads, and whether these restart after a fork has not been measured of: {unknown}"
        )


def _unsafe_package(modules: Iterable[str]) -> str:
    names = sorted(UNSAFE.keys() & set(modules))
    return f"{names[0]} is not safe to fork: {UNSAFE[names[0]]}" if names else ""


def _python_thread() -> str:
    names = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    if names:
        return f"the imports started the thread {names[0]!r}"
    # Threads that were started without the module `threading` are not in its list.
    return "the imports started a thread" if len(sys._current_frames()) > 1 else ""


def _child() -> str:
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return ""
    return "the imports started a process"


def _open_descriptors() -> Dict[int, Tuple[int, ...]]:
    """Return the open file descriptors, each with what identifies the file."""
    identities: Dict[int, Tuple[int, ...]] = {}
    for name in os.listdir("/dev/fd"):
        with suppress(OSError):  # the one of this list itself
            file = os.fstat(int(name))
            identities[int(name)] = (file.st_dev, file.st_ino, file.st_mode, file.st_rdev)
    return identities


def _is_stateless(descriptor: int) -> bool:
    file = os.fstat(descriptor)
    if not stat.S_ISCHR(file.st_mode):
        return False
    for path in _STATELESS_DEVICES:
        with suppress(OSError):  # few systems have all of them
            if os.stat(path).st_rdev == file.st_rdev:
                return True
    return False


def _path_of(descriptor: int) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:
        return "a file"


def _signal_handlers() -> Dict[str, Any]:
    return {number.name: signal.getsignal(number) for number in signal.Signals}


def _maps() -> str:
    """Return the memory mappings of this process (proc(5)); nothing where there is no /proc."""
    try:
        with open("/proc/self/maps", encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _shared_mappings(maps: str) -> Set[Tuple[str, str]]:
    """Return the mappings through which this process shares memory with others: device and inode, and path."""
    return set(_SHARED_MAPPING.findall(maps))


def _c_files(maps: str) -> Set[str]:
    """Return the files of C code in memory that belong neither to the system nor to Python itself."""
    return {file for file in set(_MAPPED_FILE.findall(maps)) if not _is_of_system(file)}


def _packages_of(files: Set[str]) -> Set[str]:
    """Return the packages of files of C code, by folder or file in site-packages; else the name of the file."""
    return {package_of(file) or os.path.basename(file) for file in files}


def _is_of_system(file: str) -> bool:
    """Return whether a file of C code belongs to the system or to Python itself."""
    return file == _EXECUTABLE or (file.startswith(_SYSTEM_FOLDERS) and not package_of(file))


def _os_threads() -> int:
    """Return how many threads this process has for the system; 0 where that is unknown."""
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:
        return 0


def _settled_os_threads(expected: int) -> int:
    """Return how many threads there are after those had time to end for which Python waits no longer."""
    limit = time.monotonic() + _SECONDS_TO_END
    while (threads := _os_threads()) > expected and time.monotonic() < limit:
        time.sleep(0.001)
    return threads


def _c_module(modules: Iterable[str]) -> str:
    """Return a sentence about modules with C code from outside the standard library, where nothing else is known."""
    for name in sorted(modules):
        file = getattr(sys.modules[name], "__file__", None) or ""
        if file.endswith((".so", ".dylib")) and not _is_of_system(file):
            return f"{name} has C code, and whether that can be forked has been measured on Linux only"
    return ""
