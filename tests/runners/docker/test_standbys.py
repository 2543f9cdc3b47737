"""Which standbys a runner keeps, with standbys that only write down what happens to them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from standpipe.errors import RunnerError
from standpipe.model.attempts import TaskRequest
from standpipe.model.cancellation import Cancellation
from standpipe.model.plan import PythonFunction
from standpipe.model.ports import ExpectAttempts
from standpipe.model.refs import TaskRef
from standpipe.runners.docker import standbys as module
from standpipe.runners.docker.standbys import Standbys
from tests.processes import wait_until


class FakeStandby:
    """A standby that fits if its arguments are equal."""

    def __init__(self, request: TaskRequest) -> None:
        self.name = request.folder.name
        self.is_discarded = False

    def fits(self, arguments: Any, image: str) -> bool:
        return bool(arguments.get("fits", True)) and image == "image"

    def become(self, request: TaskRequest) -> str:
        return f"container of {request.folder.name}"

    def discard(self, containers: object) -> None:
        self.is_discarded = True


class Kept:
    """Standbys, and all that were started. A start waits while `may_start` is cleared."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.started: list[FakeStandby] = []
        self.impossible: set[str] = set()
        self.refused: list[str] = []
        self.may_start = threading.Event()
        self.may_start.set()
        start: Any = self._start
        self.standbys = Standbys(lambda request: request.folder.name not in self.impossible, start, Any)  # type: ignore[arg-type]

    def _start(self, request: TaskRequest, cancel: Cancellation) -> FakeStandby | None:
        assert self.may_start.wait(20)
        if request.folder.name == "refused":
            self.refused.append("refused")
            raise RunnerError("the engine refuses")
        self.started.append(FakeStandby(request))
        return self.started[-1]

    def request(self, name: str) -> TaskRequest:
        function = PythonFunction("work", "def work(): ...\n")
        return TaskRequest("run", TaskRef(((name, None),)), 0, "image", function, {}, self.root / name, self.root)

    def requests(self, *names: str) -> list[TaskRequest]:
        return list(map(self.request, names))

    def take(self, name: str, **arguments: Any) -> object:
        return self.standbys.take(self.request(name), arguments, "image", Cancellation())

    def wait_for(self, *names: str) -> None:
        assert wait_until(lambda: [standby.name for standby in self.started] == [*names]), self.started


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


@pytest.fixture
def expect(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> Iterator[ExpectAttempts]:
    monkeypatch.setattr(module, "_THREADS", 1)  # so that standbys start in their order
    with kept.standbys.keep("run", kept.root) as expect:
        yield expect


def test_nothing_is_started_before_the_first_attempt(kept: Kept, expect: ExpectAttempts) -> None:
    expect(kept.requests("a", "b"), [])
    with kept.standbys.holding_back() as release:
        assert kept.take("first") is None
        assert kept.started == []
        release()
        kept.wait_for("a", "b")


def test_a_standby_belongs_to_its_attempt_and_is_used_once(kept: Kept, expect: ExpectAttempts) -> None:
    kept.take("first")
    expect(kept.requests("a"), [])
    kept.wait_for("a")
    assert kept.take("b") is None
    assert kept.take("a") == "container of a"
    assert kept.take("a") is None
    assert not kept.started[0].is_discarded


def test_one_that_does_not_fit_is_discarded(kept: Kept, expect: ExpectAttempts) -> None:
    kept.take("first")
    expect(kept.requests("a"), [])
    kept.wait_for("a")
    assert kept.take("a", fits=False) is None
    assert kept.started[0].is_discarded


def test_an_attempt_waits_for_a_standby_that_is_starting(kept: Kept, expect: ExpectAttempts) -> None:
    kept.take("first")
    kept.may_start.clear()
    expect(kept.requests("a", "b"), [])
    threading.Timer(0.05, kept.may_start.set).start()
    assert wait_until(lambda: kept.standbys._runs["run"].is_starting(kept.root / "a"))
    assert kept.take("a") == "container of a"


def test_what_is_not_expected_any_more_is_discarded_even_if_it_is_starting(kept: Kept, expect: ExpectAttempts) -> None:
    kept.take("first")
    expect(kept.requests("a"), [])
    kept.wait_for("a")
    kept.may_start.clear()
    expect(kept.requests("b"), [kept.root / "a"])
    assert wait_until(lambda: kept.standbys._runs["run"].is_starting(kept.root / "b"))
    assert not kept.started[0].is_discarded, "its attempt runs, and may be about to take it"
    expect([], [])
    assert kept.started[0].is_discarded
    kept.may_start.set()
    assert wait_until(lambda: len(kept.started) == 2 and kept.started[1].is_discarded)


def test_what_the_engine_refuses_is_not_tried_again(kept: Kept, expect: ExpectAttempts) -> None:
    kept.take("first")
    expect(kept.requests("refused", "a"), [])
    kept.wait_for("a")
    expect(kept.requests("refused", "a", "b"), [])
    kept.wait_for("a", "b")
    assert kept.refused == ["refused"]
    assert kept.take("refused") is None


def test_one_that_becomes_possible_is_started_then(kept: Kept, expect: ExpectAttempts) -> None:
    kept.impossible.add("a")
    kept.take("first")
    expect(kept.requests("a", "b"), [])
    kept.wait_for("b")
    kept.impossible.clear()
    expect(kept.requests("a", "b"), [])
    kept.wait_for("b", "a")


def test_none_is_started_while_memory_is_short(
    kept: Kept, expect: ExpectAttempts, monkeypatch: pytest.MonkeyPatch
) -> None:
    available = [100_000_000]
    monkeypatch.setattr("standpipe.support.machine_capacity.read_available_memory", lambda: available[0])
    kept.take("first")
    expect(kept.requests("a"), [])
    assert kept.take("b") is None
    assert kept.started == []
    available[0] = 1_000_000_000
    expect(kept.requests("a"), [])
    kept.wait_for("a")


def test_all_are_discarded_at_the_end(kept: Kept) -> None:
    with kept.standbys.keep("run", kept.root) as expect:
        kept.take("first")
        expect(kept.requests("a"), [])
        kept.wait_for("a")
        kept.may_start.clear()
        expect(kept.requests("a", "b"), [])
        assert wait_until(lambda: kept.standbys._runs["run"].is_starting(kept.root / "b"))
        threading.Timer(0.05, kept.may_start.set).start()
    assert [standby.is_discarded for standby in kept.started] == [True, True]
    assert kept.take("a") is None


def test_a_cancelled_attempt_does_not_wait(kept: Kept, expect: ExpectAttempts) -> None:
    kept.take("first")
    kept.may_start.clear()
    expect(kept.requests("a"), [])
    assert wait_until(lambda: kept.standbys._runs["run"].is_starting(kept.root / "a"))
    cancel = Cancellation()
    cancel.set()
    assert kept.standbys.take(kept.request("a"), {}, "image", cancel) is None
    kept.may_start.set()
    assert wait_until(lambda: bool(kept.started) and kept.started[0].is_discarded)
