"""When the end of a container is known before the engine reports it, and which containers are started ahead."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from standpipe.model.attempts import Outcome
from standpipe.model.cancellation import Cancellation
from standpipe.runners.docker import container as docker_task

from .test_runner import FUNCTION, PODMAN, Bench, FakeEngine


def run_to_end(tmp_path: Path, usage: dict[str, Any], **behaviour: Any) -> tuple[Outcome, bool]:
    """Run a component that records a usage; return its outcome, and whether the engine was asked for it."""
    engine = FakeEngine(**behaviour)
    bench = Bench(tmp_path, engine)
    (bench.folder / "usage.json").write_text(json.dumps({"cpu_seconds": 1.0, "peak_memory": 1024, **usage}))
    outcome = bench.run(FUNCTION)
    return outcome, "wait" in engine.made[0].calls


@pytest.fixture
def first_process(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The first process of each container, of which the kernel says that it has ended."""
    process = SimpleNamespace(has_ended=lambda seconds=0: True)
    monkeypatch.setattr(docker_task, "find_first_process", lambda container, pid: process)
    return process


@pytest.mark.usefixtures("first_process")
def test_a_success_is_known_before_the_engine_reports_it(tmp_path: Path) -> None:
    assert run_to_end(tmp_path, {"exit_code": 0, "memory_kills": 0}) == (Outcome(exit_code=0), False)


@pytest.mark.usefixtures("first_process")
@pytest.mark.parametrize(
    ("usage", "behaviour", "outcome"),
    [
        ({}, {"status": 137}, Outcome(signal=9)),
        ({"exit_code": 0}, {"out_of_memory": True}, Outcome(signal=9, out_of_memory=True)),
        ({"exit_code": 0, "memory_kills": 1}, {"out_of_memory": True}, Outcome(signal=9, out_of_memory=True)),
        (
            {"exit_code": 0, "memory_kills": 0},
            {"out_of_memory": True, "memory": 1024},
            Outcome(signal=9, out_of_memory=True),
        ),
        ({"exit_code": 3, "memory_kills": 0}, {"status": 3}, Outcome(exit_code=3)),
        ({"exit_code": False, "memory_kills": 0}, {"status": 5}, Outcome(exit_code=5)),
    ],
    ids=["nothing-recorded", "kills-unknown", "kill", "memory-limit", "failure", "no-number"],
)
def test_the_engine_is_asked_for_every_other_end(
    tmp_path: Path, usage: dict[str, Any], behaviour: dict[str, Any], outcome: Outcome
) -> None:
    found, was_asked = run_to_end(tmp_path, usage, **behaviour)
    assert (found, was_asked) == (outcome, True)


def test_the_engine_is_asked_while_a_process_is_left(tmp_path: Path, first_process: SimpleNamespace) -> None:
    first_process.has_ended = lambda seconds=0: False
    found, was_asked = run_to_end(tmp_path, {"exit_code": 0, "memory_kills": 0}, status=137)
    assert (was_asked, found.succeeded) == (True, False)


def test_no_container_is_started_ahead_once_the_run_ends(tmp_path: Path) -> None:
    bench, cancel = Bench(tmp_path, FakeEngine()), Cancellation()
    cancel.set()
    assert bench.runner._start_standby(bench.request(FUNCTION), cancel) is None
    assert bench.engine.made == []


def test_no_container_is_started_ahead_without_a_control_group_that_tells_its_first_process(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeEngine())
    bench.engine.more_info = {**PODMAN, "Rootless": True, "CgroupVersion": "1"}
    assert bench.runner._start_standby(bench.request(FUNCTION), Cancellation()) is None
    assert bench.engine.made == []


@pytest.mark.parametrize(
    ("run_args", "may"),
    [({}, True), ({"ports": {"80/tcp": 80}}, False), ({"volumes": ["/:/"]}, False), ({"volumes": ["/x:/y"]}, True)],
)
def test_some_arguments_leave_a_container_without_standby(tmp_path: Path, run_args: dict[str, Any], may: bool) -> None:
    bench = Bench(tmp_path, FakeEngine(), run_args)
    bench.run(FUNCTION)
    assert bench.runner._may_stand_by(bench.request(FUNCTION)) is may


@pytest.mark.parametrize(
    ("memory", "outcome"), [(0, Outcome(exit_code=0)), (1024, Outcome(signal=9, out_of_memory=True))]
)
def test_kills_count_if_the_container_has_a_limit_of_its_own(tmp_path: Path, memory: int, outcome: Outcome) -> None:
    """Without one, its control group may be that of the machine, as in Podman without root."""
    usage = {"exit_code": 0, "memory_kills": 3}
    assert run_to_end(tmp_path, usage, memory=memory)[0] == outcome
