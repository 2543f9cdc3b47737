"""What waits for the next attempts of a run, if its runner can start that ahead."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from standpipe.engine.machine import Machine
from standpipe.execution.attempt import AttemptExecutor
from standpipe.model.events import Fact
from standpipe.model.layout import attempt_folder
from standpipe.model.ports import FactSink, Runner, StandbyRunner


@contextmanager
def stand_by(
    runner: Runner, machine: Machine, executor: AttemptExecutor, *, max_parallel: int
) -> Iterator[Sequence[FactSink]]:
    """Let the runner start ahead what the next attempts run in, during the block.

    Args:
        runner: the runner of the tasks.
        machine: the state of the run.
        executor: executes its attempts.
        max_parallel: how many attempts may run at once, and how many of the next ones something is started for.

    Yields:
        The sinks that the facts of the run are for: each turn of the machine changes what is expected.
    """
    if not isinstance(runner, StandbyRunner):
        yield ()
        return
    with runner.stand_by(executor.run.id, Path(executor.run.pipeline_root)) as expect:

        def update(facts: Sequence[Fact]) -> None:
            if facts:
                requests = map(executor.build_expected_request, machine.expect_attempts(max_parallel))
                running = [attempt_folder(executor.run_folder, *attempt) for attempt in machine.running_attempts]
                expect([request for request in requests if request is not None], running)

        yield (update,)
