"""Server-sent events."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing, closing
from pathlib import Path
from typing import Any

import pytest

from standpipe.model.events import AttemptStarted, RunEnded, RunStarted
from standpipe.model.layout import RUN_STORE_FILE
from standpipe.model.refs import RunInfo, TaskRef
from standpipe.model.states import TaskState
from standpipe.runs.deletion import delete_runs
from standpipe.store.changes import StoreChanges
from standpipe.store.locks import RunLock
from standpipe.store.runs import RunRecorder
from standpipe.ui import live
from standpipe.ui.live import Live
from tests.plans import dag, node, plan

RUN = RunInfo(
    id="chain-2026-11-30-12-00-00-000000",
    uuid="u",
    name="chain",
    created="2026-11-30T12:00:00.000Z",
    pipeline_root="/root",
)
PLAN = plan(dag(node("a")))
TASK = TaskRef((("a", None),))

#: Seconds after which an event is late, on a machine that does much else.
LATE = 20.0


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[RunRecorder]:
    """Return the recorder of a run that has begun, and is in progress."""
    (tmp_path / RUN.id).mkdir()
    with RunLock(tmp_path / RUN.id), closing(RunRecorder(tmp_path, RUN, PLAN)) as opened:
        opened((RunStarted({}),))
        yield opened


def follow(root: Path, run: str, steps: Callable[[Callable[[], Awaitable[Any]], Live], Awaitable[None]]) -> None:
    """Follow a run, or the list, and call a function with what returns the next event: its kind and its data."""

    async def main() -> None:
        served = Live(root)
        async with aclosing(served.events(run)) as stream:
            assert await anext(stream) == "retry: 500\n\n"
            await steps(lambda: asyncio.wait_for(next_event(stream), LATE), served)
        served.close()

    asyncio.run(main())


async def next_event(stream: AsyncGenerator[str, None]) -> tuple[str, Any]:
    text = ":"
    while text.startswith(":"):
        text = await anext(stream)
    kind, data = text.splitlines()[:2]
    content = json.loads(data.removeprefix("data: "))
    content.pop("changed")
    return kind.removeprefix("event: "), content


def test_a_page_is_told_at_once_what_a_run_is_like_and_then_of_each_change(
    tmp_path: Path, recorder: RunRecorder
) -> None:
    async def steps(event: Callable[[], Awaitable[Any]], _: Live) -> None:
        assert await event() == ("message", {"length": 1, "status": "RUNNING", "number": 1})
        for length in (2, 3):
            stored = time.monotonic()
            recorder((AttemptStarted(TASK, length),))
            assert await event() == ("message", {"length": length, "status": "RUNNING", "number": 1})
            assert time.monotonic() - stored < LATE
        recorder((RunEnded(TaskState.SUCCEEDED, {}),))
        assert await event() == ("message", {"length": 4, "status": "SUCCEEDED", "number": 1})

    follow(tmp_path, RUN.id, steps)


def test_a_store_that_changes_all_the_time_is_looked_at_now_and_then(tmp_path: Path, recorder: RunRecorder) -> None:
    stored: dict[int, float] = {}
    seen: dict[int, float] = {}

    async def steps(event: Callable[[], Awaitable[Any]], _: Live) -> None:
        async def record() -> None:
            for length in range(2, 200):
                recorder((AttemptStarted(TASK, length),))
                stored[length] = time.monotonic()
                await asyncio.sleep(0.01)

        recording = asyncio.create_task(record())
        while max(seen, default=0) < 199:
            length = (await event())[1]["length"]
            seen[length] = time.monotonic()
        await recording

    follow(tmp_path, RUN.id, steps)
    seconds = max(seen.values()) - min(seen.values())
    assert len(seen) <= seconds / live.STEADY_INTERVAL + 4
    assert all(min(at for number, at in seen.items() if number >= length) - stored[length] < LATE for length in stored)


def test_a_fact_that_is_stored_while_a_run_is_looked_at_is_newer_than_the_page(
    tmp_path: Path, recorder: RunRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    time.sleep(0.1)  # the page is made well after the facts before
    made = time.time()
    look = live._look_at_run

    def store_and_look(*args: Any) -> live.Event:
        recorder((AttemptStarted(TASK, 0),))
        return look(*args)

    monkeypatch.setattr(live, "_look_at_run", store_and_look)

    async def main() -> None:
        async with aclosing(Live(tmp_path).events(RUN.id)) as stream:
            await anext(stream)
            event = await asyncio.wait_for(anext(stream), LATE)
        data = json.loads(event.splitlines()[1].removeprefix("data: "))
        assert data["length"] >= 2
        assert data["changed"] > made - 0.05  # the clock of files may be behind

    asyncio.run(main())


def test_the_list_of_runs_is_followed_from_before_the_first_run(tmp_path: Path) -> None:
    root = tmp_path / "root"

    async def steps(event: Callable[[], Awaitable[Any]], _: Live) -> None:
        kind, empty = await event()
        assert (kind, empty["runs"]) == ("message", 0)
        (root / RUN.id).mkdir(parents=True)
        with RunLock(root / RUN.id), closing(RunRecorder(root, RUN, PLAN)) as recorder:
            recorder((RunStarted({}),))
            begun = (await event())[1]
            assert begun["runs"] == 1
            recorder((AttemptStarted(TASK, 0),))
            assert (await event())[1] != begun
        while (await event())[1]["written"]:
            pass  # until it is seen that nothing drives the run any more
        list(delete_runs(root, [RUN.id]))
        assert (await event())[1] == empty

    follow(root, "", steps)


def test_a_run_whose_process_is_killed_is_seen_although_nothing_is_stored(tmp_path: Path) -> None:
    (tmp_path / RUN.id).mkdir()
    lock = RunLock(tmp_path / RUN.id)
    lock.__enter__()
    with closing(RunRecorder(tmp_path, RUN, PLAN)) as recorder:
        recorder((RunStarted({}),))

    async def steps(event: Callable[[], Awaitable[Any]], _: Live) -> None:
        assert (await event())[1]["status"] == "RUNNING"
        lock.__exit__(None, None, None)
        assert (await event())[1]["status"] == "INTERRUPTED"

    follow(tmp_path, RUN.id, steps)


def test_a_page_of_a_deleted_run_is_told_so(tmp_path: Path) -> None:
    (tmp_path / RUN.id).mkdir()
    with closing(RunRecorder(tmp_path, RUN, PLAN)) as recorder:
        recorder((RunStarted({}), RunEnded(TaskState.SUCCEEDED, {})))

    async def steps(event: Callable[[], Awaitable[Any]], _: Live) -> None:
        assert (await event())[1]["status"] == "SUCCEEDED"
        list(delete_runs(tmp_path, [RUN.id]))
        kind, data = await event()
        assert kind == "gone"
        assert RUN.id in data["message"]

    follow(tmp_path, RUN.id, steps)


@pytest.mark.parametrize("damage", ["no database", "newer"])
def test_a_store_that_cannot_be_read_is_a_problem_until_it_can(
    tmp_path: Path, recorder: RunRecorder, damage: str
) -> None:
    recorder.close()
    store = tmp_path / RUN_STORE_FILE

    async def steps(event: Callable[[], Awaitable[Any]], _: Live) -> None:
        assert (await event())[1]["length"] == 1
        shutil.copy(store, tmp_path / "copy")
        if damage == "newer":
            with closing(sqlite3.connect(store)) as db:
                db.execute("PRAGMA user_version = 999")
        else:
            store.write_bytes(b"no database" * 1000)
        kind, data = await event()
        assert kind == "problem"
        assert str(store) in data["message"]
        (tmp_path / "copy").replace(store)
        assert await event() == ("message", {"length": 1, "status": "RUNNING", "number": 1})

    follow(tmp_path, RUN.id, steps)


def test_pages_of_a_run_share_one_watcher_which_ends_with_the_last(
    tmp_path: Path, recorder: RunRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0
    look = live._look_at_run

    def counted(*args: Any) -> Any:
        nonlocal looks
        looks += 1
        return look(*args)

    monkeypatch.setattr(live, "_look_at_run", counted)
    monkeypatch.setattr(live, "_RECHECK", 1000.0)

    async def steps(event: Callable[[], Awaitable[Any]], served: Live) -> None:
        await event()
        async with aclosing(served.events(RUN.id)) as other:
            await anext(other)
            assert (await next_event(other))[1] == {"length": 1, "status": "RUNNING", "number": 1}
            assert served.page_count == 2
            await asyncio.sleep(live.INTERVAL * 10)
            assert looks <= 3, "nothing has changed, so nothing is read"
        assert served.page_count == 1

    follow(tmp_path, RUN.id, steps)


def test_closing_ends_the_streams(tmp_path: Path, recorder: RunRecorder) -> None:
    async def steps(event: Callable[[], Awaitable[Any]], served: Live) -> None:
        await event()
        served.close()
        with pytest.raises(StopAsyncIteration):
            await event()

    follow(tmp_path, RUN.id, steps)


def test_a_comment_shows_whether_the_page_is_there(
    tmp_path: Path, recorder: RunRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "_HEARTBEAT", 0.05)

    async def main() -> None:
        async with aclosing(Live(tmp_path).events(RUN.id)) as stream:
            while await asyncio.wait_for(anext(stream), LATE) != ":\n\n":
                pass

    asyncio.run(main())


def test_changes_are_seen_from_the_files_of_the_store(tmp_path: Path) -> None:
    changes = StoreChanges(tmp_path)
    assert [changes.poll() for _ in range(3)] == [True, True, False]
    assert changes.last_change() == 0
    (tmp_path / RUN.id).mkdir()
    with closing(RunRecorder(tmp_path, RUN, PLAN)) as recorder:
        recorder((RunStarted({}),))
        assert [changes.poll() for _ in range(3)] == [True, True, False]
        recorder((RunEnded(TaskState.SUCCEEDED, {}),))
        assert [changes.poll() for _ in range(3)] == [True, True, False]
        assert abs(changes.last_change() - time.time()) < LATE


def test_to_look_whether_a_store_has_changed_costs_little(tmp_path: Path) -> None:
    changes = StoreChanges(tmp_path)
    begin = time.process_time()
    for _ in range(1000):
        changes.poll()
    assert time.process_time() - begin < 0.5, "one in 50 ms is less than 1 % of a core"
