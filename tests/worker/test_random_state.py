"""What fresh interpreters have different is different in the processes that are forked from one of them."""

from __future__ import annotations

import logging
import multiprocessing.process
import random
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from standpipe.worker.random_state import reseed


class Generator:
    """As NumPy's and PyTorch's: `seed()` takes a seed from the system."""

    def __init__(self, seed_seq: object) -> None:
        self._bit_generator = SimpleNamespace(seed_seq=seed_seq)
        self.state = 0

    def seed(self) -> None:
        self.state = random.SystemRandom().randrange(1, 2**64)


def test_generators_are_reseeded_in_place() -> None:
    numpy, torch = Generator(seed_seq="from the system"), Generator(None)

    reseed(
        {
            "numpy.random.mtrand": SimpleNamespace(_rand=numpy),
            "torch.random": SimpleNamespace(default_generator=torch),
        }.get
    )

    assert numpy.state
    assert torch.state


def test_a_generator_that_was_seeded_at_import_stays_so() -> None:
    numpy = Generator(seed_seq=None)

    reseed({"numpy.random.mtrand": SimpleNamespace(_rand=numpy)}.get)

    assert numpy.state == 0


def test_no_module_is_imported() -> None:
    before = set(sys.modules)

    reseed(lambda name: None)

    assert set(sys.modules) == before


@pytest.mark.parametrize("start", [1.5, 2])
def test_the_time_of_records_counts_from_now(monkeypatch: pytest.MonkeyPatch, start: float) -> None:
    stand_in: Any = ModuleType("logging")
    stand_in._startTime = start

    reseed({"logging": stand_in}.get)

    assert type(stand_in._startTime) is type(start)
    assert stand_in._startTime > start


def test_records_of_this_python_count_from_now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging, "_startTime", type(logging._startTime)(0))  # type: ignore[attr-defined]

    reseed(sys.modules.get)

    record = logging.LogRecord("name", logging.INFO, "path", 1, "message", None, None)
    assert 0 <= record.relativeCreated < 60_000


def test_programs_that_are_forked_do_not_recognize_each_other() -> None:
    process = multiprocessing.process.current_process()
    before = process.authkey
    try:
        reseed({"multiprocessing.process": multiprocessing.process}.get)

        assert bytes(process.authkey) != bytes(before)
        assert len(process.authkey) == len(before)
    finally:
        process.authkey = before
