"""What Ray itself runs: the exchange of messages, and the function that starts our code on a node.

Ray gets this module by value, as text of its own: a node need not have Standpipe installed. So it has the standard
library only.
"""

from __future__ import annotations

import asyncio
import io
import os
import shutil
import sys
import tempfile
import zipfile
from collections import deque
from contextlib import suppress
from importlib import import_module
from typing import Any

#: How urgent a request to stop is: there is none, a task may clean up, it is killed.
RUN, STOP, KILL = 0, 1, 2

#: The most bytes of logs that wait in the exchange for the program. Tasks that print more wait, too.
_MOST_BYTES = 64 * 1024 * 1024

#: The most bytes that the program gets at once.
_MOST_TAKEN = 4 * 1024 * 1024

#: A message about an attempt: which one, the kind, and its content.
Message = tuple[str, str, bytes]


class Exchange:
    """An actor on the head node, by which the program and the nodes of its attempts talk to each other.

    A node and the program need no connection to each other, nor a disk that they share. Methods with
    `seconds` return at the latest after that time.
    """

    def __init__(self) -> None:
        self._levels: dict[str, int] = {}
        self._started: set[str] = set()
        self._waiting: dict[str, asyncio.Event] = {}
        self._messages: deque[Message] = deque()
        self._bytes = 0
        self._filled = asyncio.Event()
        self._emptied = asyncio.Event()

    async def start(self, attempt: str) -> int:
        """Note that the node of an attempt is about to start it; return how urgently it is to stop already."""
        self._started.add(attempt)
        return self._levels.get(attempt, RUN)

    async def stop(self, attempt: str, level: int) -> bool:
        """Ask an attempt to stop; return whether its node has started it. If not, it will not do so any more."""
        self._levels[attempt] = max(level, self._levels.get(attempt, RUN))
        self._wake(attempt)
        return attempt in self._started

    async def wait_for_stop(self, attempt: str, level: int, seconds: float) -> int:
        """Return how urgently an attempt is to stop, once that is more urgent than a level."""
        if self._levels.get(attempt, RUN) <= level:
            await _wait(self._waiting.setdefault(attempt, asyncio.Event()), seconds)
        return self._levels.get(attempt, RUN)

    async def put(self, messages: list[Message]) -> None:
        """Take messages for the program, in order; return when there is space for more."""
        self._messages.extend(messages)
        self._bytes += sum(len(content) for _, _, content in messages)
        self._filled.set()
        while self._bytes > _MOST_BYTES:
            self._emptied.clear()
            await self._emptied.wait()

    async def take(self, seconds: float) -> list[Message]:
        """Return messages of all attempts, in the order of each; none if there are none for so long."""
        if not self._messages:
            self._filled.clear()
            await _wait(self._filled, seconds)
        taken: list[Message] = []
        size = 0
        while self._messages and size < _MOST_TAKEN:
            taken.append(self._messages.popleft())
            size += len(taken[-1][2])
        self._bytes -= size
        self._emptied.set()
        return taken

    async def forget(self, attempt: str) -> None:
        """Forget an attempt that has ended."""
        self._wake(attempt)
        self._levels.pop(attempt, None)
        self._started.discard(attempt)

    async def describe_platform(self) -> str:
        """Return the Python and the platform of the node, as fingerprints of processes have them."""
        return f"{sys.implementation.cache_tag}-{sys.platform}-{os.uname().machine}"

    def _wake(self, attempt: str) -> None:
        event = self._waiting.pop(attempt, None)
        if event is not None:
            event.set()


async def _wait(event: asyncio.Event, seconds: float) -> None:
    with suppress(asyncio.TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)


def sees(folder: str) -> bool:
    """Return whether this node sees a folder."""
    return os.path.isdir(folder)


def execute(code: list[Any], digest: str, exchange: Any, attempt: str, request: bytes) -> bytes:
    """Run an attempt on this node, in a process of its own below this one, and return how it ended.

    Args:
        code: the reference of an archive with the package `standpipe`; in a list, so that Ray sends it only if needed.
        digest: the checksum of the archive.
        exchange: the handle of the exchange.
        attempt: the name of the attempt there.
        request: as `node.run_attempt` takes it.
    """
    known = getattr(sys, "_standpipe_code", "")  # this process may have run an attempt of another program's before
    if known != digest:
        _install(code[0], digest)
        sys._standpipe_code = digest  # type: ignore[attr-defined]
    node = import_module("standpipe.runners.ray.node")  # of the archive: this text is not in that package here
    reply: bytes = node.run_attempt(exchange, attempt, request)
    return reply


def _install(reference: Any, digest: str) -> None:
    """Unpack the package `standpipe` in a folder of this user's, unless it is there, and import it from there."""
    import ray  # on nodes only

    folder = os.path.join(tempfile.gettempdir(), f"standpipe-code-{os.getuid()}")
    os.makedirs(folder, mode=0o700, exist_ok=True)
    status = os.lstat(folder)
    if status.st_uid != os.getuid() or status.st_mode & 0o022 or os.path.islink(folder):
        raise PermissionError(f"{folder} belongs to another user, or others may write to it")
    target = os.path.join(folder, digest)
    if not os.path.isdir(target):
        draft = tempfile.mkdtemp(dir=folder)
        with zipfile.ZipFile(io.BytesIO(ray.get(reference))) as archive:
            archive.extractall(draft)  # our own archive
        try:
            os.rename(draft, target)
        except OSError:  # another process was faster
            shutil.rmtree(draft)
    for name in [name for name in sys.modules if name.partition(".")[0] == "standpipe"]:
        del sys.modules[name]
    sys.path.insert(0, target)
