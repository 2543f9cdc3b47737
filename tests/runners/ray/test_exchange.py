"""The exchange of messages between a program and its nodes, without Ray: it is an object with coroutines."""

from __future__ import annotations

import asyncio

import pytest

from standpipe.runners.ray import remote
from standpipe.runners.ray.remote import KILL, RUN, STOP, Exchange


def test_messages_arrive_in_the_order_in_which_they_were_sent() -> None:
    async def exchange_them() -> list[remote.Message]:
        exchange = Exchange()
        await exchange.put([("a", "log", b"one"), ("b", "log", b"other")])
        await exchange.put([("a", "log", b"two")])
        return await exchange.take(1)

    assert asyncio.run(exchange_them()) == [("a", "log", b"one"), ("b", "log", b"other"), ("a", "log", b"two")]


def test_who_takes_waits_for_a_message_and_gets_none_after_some_time() -> None:
    async def wait_for_one() -> tuple[list[remote.Message], list[remote.Message]]:
        exchange = Exchange()
        nothing = await exchange.take(0.01)
        waiting = asyncio.create_task(exchange.take(20))
        await asyncio.sleep(0)
        await exchange.put([("a", "log", b"one")])
        return nothing, await waiting

    assert asyncio.run(wait_for_one()) == ([], [("a", "log", b"one")])


def test_who_sends_waits_while_too_much_is_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_MOST_BYTES", 5)

    async def send_much() -> tuple[bool, bool]:
        exchange = Exchange()
        sending = asyncio.create_task(exchange.put([("a", "log", b"123456")]))
        await asyncio.sleep(0.01)
        waited = not sending.done()
        await exchange.take(1)
        await asyncio.wait_for(sending, 5)
        return waited, sending.done()

    assert asyncio.run(send_much()) == (True, True)


def test_an_attempt_is_either_started_or_stopped_before() -> None:
    async def race() -> tuple[bool, int, int, bool]:
        exchange = Exchange()
        stopped_before = not await exchange.stop("a", STOP)
        level = await exchange.start("a")
        started_before = await exchange.start("b")
        return stopped_before, level, started_before, await exchange.stop("b", STOP)

    assert asyncio.run(race()) == (True, STOP, RUN, True)


def test_a_request_to_stop_wakes_the_node_and_never_becomes_less_urgent() -> None:
    async def stop() -> tuple[int, int, int]:
        exchange = Exchange()
        await exchange.start("a")
        waiting = asyncio.create_task(exchange.wait_for_stop("a", RUN, 20))
        await asyncio.sleep(0)
        await exchange.stop("a", KILL)
        await exchange.stop("a", STOP)
        return (
            await waiting,
            await exchange.wait_for_stop("a", STOP, 0.01),
            await exchange.wait_for_stop("b", RUN, 0.01),
        )

    assert asyncio.run(stop()) == (KILL, KILL, RUN)


def test_nothing_is_kept_of_an_attempt_that_has_ended() -> None:
    async def end() -> tuple[int, bool]:
        exchange = Exchange()
        await exchange.start("a")
        await exchange.stop("a", KILL)
        waiting = asyncio.create_task(exchange.wait_for_stop("a", KILL, 20))
        await asyncio.sleep(0)
        await exchange.forget("a")
        return await waiting, await exchange.stop("a", STOP)

    assert asyncio.run(end()) == (RUN, False)
