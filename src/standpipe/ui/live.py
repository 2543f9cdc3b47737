"""Server-sent events: pages learn that a run, or the list of runs, has changed, and load themselves again.

One watcher looks at a run for all its pages, and only while there are some. `message` events say what the run is like
now, `problem` events why it cannot be read, and a `gone` event that it was deleted.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import ParamSpec, TypeVar
from zlib import crc32

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from standpipe.errors import NoSuchRun, StandpipeError
from standpipe.history import Status, runs
from standpipe.history.reader import RunReader
from standpipe.model.frozen import field, frozen
from standpipe.model.layout import StateLayout
from standpipe.model.refs import RunId
from standpipe.model.types import Json
from standpipe.store.changes import StoreChanges
from standpipe.store.overview import read_overview
from standpipe.store.reading import StoredFacts

P = ParamSpec("P")
R = TypeVar("R")

#: Seconds between two looks at the files of a store, at least.
INTERVAL = 0.05

#: Seconds between two looks at a store that changes all the time. After each of them pages load themselves, which takes
#: processor time from the run that is shown. A fact is to be on the screen after 0.5 s, and a page needs the rest.
STEADY_INTERVAL = 0.4

#: A look at the store takes at most one part in so many of the time.
_SHARE = 10

#: Seconds after which a run is looked at again although its store has not changed: its process may have been killed,
#: and a store that could not be read may be readable.
_RECHECK = 1.0

#: Seconds after which a comment is sent, which shows whether the page is still there.
_HEARTBEAT = 15.0

#: What browsers wait for before they connect again, in milliseconds.
_RETRY = 500


@frozen
class Event:
    """What pages are told. `may_change` is whether it can change although nothing is written to the store."""

    kind: str
    data: Mapping[str, Json]
    may_change: bool = field(default=True, compare=False)
    changed: float = field(default=0.0, compare=False)

    def encode(self) -> str:
        """Return the event as text of the stream."""
        return f"event: {self.kind}\ndata: {json.dumps({**self.data, 'changed': self.changed})}\n\n"


class Live:
    """The watchers of a pipeline root. All of it happens in one event loop, apart from reading the store.

    `is_closed` is whether the server is about to end: no request may wait then.

    Args:
        root: the pipeline root.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._watchers: dict[str, _Watcher] = {}
        self.is_closed = False

    @property
    def page_count(self) -> int:
        """The number of pages that are connected."""
        return sum(watcher.listeners for watcher in self._watchers.values())

    async def events(self, run: RunId) -> AsyncGenerator[str, None]:
        """Yield the stream of a page of a run; of the list of runs if the id is empty."""
        watcher = self._watchers.get(run)
        if watcher is None:
            look = partial(_look_at_run, self._root, run) if run else partial(_look_at_list, self._root)
            watcher = self._watchers[run] = _Watcher(look, StoreChanges(self._root))
        watcher.listeners += 1
        last = None
        try:
            yield f"retry: {_RETRY}\n\n"
            while not self.is_closed:
                watcher.ensure_running()
                event = watcher.event
                if event is not None and event != last:
                    last = event
                    yield event.encode()
                    continue
                with suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(asyncio.shield(watcher.change), _HEARTBEAT)
                    continue
                yield ":\n\n"
        finally:
            watcher.listeners -= 1
            if not watcher.listeners and self._watchers.get(run) is watcher:
                del self._watchers[run]
                watcher.stop()

    def close(self) -> None:
        """End all streams; the browsers connect again to the next server."""
        self.is_closed = True
        for watcher in self._watchers.values():
            watcher.stop()


class _Watcher:
    """Looks at a run, or the list, while pages listen."""

    def __init__(self, look: Callable[[], Event], changes: StoreChanges) -> None:
        self.event: Event | None = None
        self.listeners = 0
        self.change: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._look = look
        self._changes = changes
        self._task: asyncio.Task[None] | None = None

    def ensure_running(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._watch())

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
        self._tell()

    async def _watch(self) -> None:
        looked = changed = cost = 0.0
        while True:
            interval = INTERVAL
            is_due = (self.event is None or self.event.may_change) and time.monotonic() - looked > _RECHECK
            if self._changes.poll() or is_due:
                looked = time.monotonic()
                event = await in_thread(self._look)
                cost = time.monotonic() - looked
                written = self._changes.last_change()  # not before: a page that is older than what was seen must load
                if event != self.event:
                    self.event = Event(event.kind, event.data, event.may_change, written)
                    self._tell()
                    interval = STEADY_INTERVAL if looked - changed < 2 * STEADY_INTERVAL else INTERVAL
                    changed = looked
            await asyncio.sleep(max(interval, cost * _SHARE))

    def _tell(self) -> None:
        change, self.change = self.change, asyncio.get_running_loop().create_future()
        if not change.done():
            change.set_result(None)


async def in_thread(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a function in a thread, which is left behind when the server ends: it may wait for a locked store."""
    return await to_thread.run_sync(partial(function, *args, **kwargs), abandon_on_cancel=True)


async def serve_events(request: Request) -> Response:
    """Answer with the events of a run, or of the list of runs."""
    if request.method == "HEAD":
        return Response(media_type="text/event-stream")
    live: Live = request.app.state.live
    stream = live.events(request.query_params.get("run", ""))
    return StreamingResponse(stream, media_type="text/event-stream")


def _look_at_run(root: Path, run: RunId) -> Event:
    facts = StoredFacts(root)
    try:
        row = facts.run(run)
        status = RunReader(facts, run, StateLayout(root).run_folder(run)).snapshot(row).status
    except NoSuchRun as error:
        return Event("gone", {"message": str(error)})
    except StandpipeError as error:
        return Event("problem", {"message": str(error)})
    data = {"length": row.length, "status": status.value, "number": row.number}  # replaced facts have another number
    return Event("message", data, status is Status.RUNNING)


def _look_at_list(root: Path) -> Event:
    written = StoreChanges(root).last_change()
    overview = read_overview(str(root))  # takes a tenth of the time of `runs`, which knows every store
    try:
        if overview is None:
            statuses = [(run.id, run.status.value) for run in runs(root)]
        else:
            statuses = [(run.run, run.status) for run in overview]
    except StandpipeError as error:
        return Event("problem", {"message": str(error)})
    is_running = any(status == Status.RUNNING.value for _, status in statuses)
    checksum = crc32(repr(statuses).encode())
    return Event("message", {"runs": len(statuses), "checksum": checksum, "written": written * is_running}, is_running)
