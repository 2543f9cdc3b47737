"""The garbage collector during runs."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from standpipe.support.garbage_collection import pause_garbage_collection, reduce_garbage_collection


@pytest.fixture(autouse=True)
def _default_thresholds() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(700, 10, 10)
    yield
    gc.set_threshold(*before)


def test_the_collector_runs_less_often_during_a_block_and_as_before_after_an_error() -> None:
    block = ExitStack()
    block.enter_context(reduce_garbage_collection())
    assert gc.get_threshold() == (20_000, 1_000, 10)
    with pytest.raises(ValueError, match="stop"), block:
        raise ValueError("stop")
    assert gc.get_threshold() == (700, 10, 10)


def test_the_last_of_overlapping_blocks_restores_what_was_before_the_first() -> None:
    first, second = ExitStack(), ExitStack()
    first.enter_context(reduce_garbage_collection())
    second.enter_context(reduce_garbage_collection())
    first.close()
    assert gc.get_threshold()[0] == 20_000
    second.close()
    assert gc.get_threshold() == (700, 10, 10)


@pytest.mark.parametrize("chosen", [(0, 10, 10), (50_000, 5, 5)])
def test_a_program_that_collects_less_often_or_never_keeps_its_choice(chosen: tuple[int, int, int]) -> None:
    gc.set_threshold(*chosen)
    with reduce_garbage_collection():
        assert gc.get_threshold() == chosen
    assert gc.get_threshold() == chosen


def test_what_a_program_sets_during_a_block_stays() -> None:
    with reduce_garbage_collection():
        gc.set_threshold(1000, 5, 5)
    assert gc.get_threshold() == (1000, 5, 5)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_process_forked_in_a_block_collects_as_before() -> None:
    with reduce_garbage_collection():
        child = os.fork()
        if not child:
            os._exit(0 if gc.get_threshold() == (700, 10, 10) else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_the_collector_is_paused_until_the_last_of_overlapping_blocks_ends() -> None:
    first, second = ExitStack(), ExitStack()
    first.enter_context(pause_garbage_collection())
    second.enter_context(pause_garbage_collection())
    first.close()
    assert not gc.isenabled()
    second.close()
    assert gc.isenabled()


def test_a_program_that_has_disabled_the_collector_keeps_its_choice() -> None:
    gc.disable()
    try:
        with pause_garbage_collection(), pause_garbage_collection():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
