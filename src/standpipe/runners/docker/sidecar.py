"""A sidecar: a container beside a task, which starts again when it exits, until it is stopped."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

from standpipe.errors import StandpipeError
from standpipe.model.attempts import Outcome
from standpipe.model.cancellation import Cancellation
from standpipe.runners.docker.container import TaskContainer
from standpipe.runners.docker.engine import engine_errors
from standpipe.runners.pod_log import ContainerLog

if TYPE_CHECKING:
    from docker.models.containers import Container

#: The seconds that a sidecar has to end after its stop signal: those of Kubernetes, and after a cancellation.
_GRACE_PERIOD = 30
_SHORT_GRACE_PERIOD = 2

#: The seconds before a sidecar that has exited starts again: none at first, then doubled from 1 up to this.
_MAX_DELAY = 60.0


class Sidecar:
    """A sidecar, which a thread starts, and starts again when it exits, as Kubernetes does.

    Args:
        task: follows its container.
        container: its container.
        log: takes what it prints.
        tty: whether its container has a terminal.
    """

    def __init__(self, task: TaskContainer, container: Container, log: ContainerLog, *, tty: bool) -> None:
        self._task = task
        self._container = container
        self._log = log
        self._tty = tty
        self._is_decided = threading.Event()  # whether it starts
        self._is_stopped = threading.Event()
        self._problem = ""
        self._thread = threading.Thread(target=self._keep_running, daemon=True)

    def start(self) -> str:
        """Start the sidecar. Return why it does not start; empty if it does."""
        self._thread.start()
        self._is_decided.wait()
        return self._problem

    def stop(self, cancel: Cancellation) -> None:
        """Ask the sidecar to end with its stop signal, and kill it after a grace period.

        Args:
            cancel: makes the grace period short, if it is set already; otherwise, or if it is urgent, kills at once.
        """
        self._is_stopped.set()
        was_cancelled = bool(cancel)

        def kill() -> None:
            if cancel.urgent or not was_cancelled:
                with contextlib.suppress(*engine_errors()):  # it has ended meanwhile
                    self._container.kill()

        forget = cancel.on_set(kill)
        try:
            while self._thread.is_alive():  # it may have been about to start the container again
                with contextlib.suppress(*engine_errors()):  # the container is removed next in any case
                    self._container.stop(timeout=_SHORT_GRACE_PERIOD if was_cancelled else _GRACE_PERIOD)
                self._thread.join(1.0)
        finally:
            forget()
            self._log.finish()

    def _keep_running(self) -> None:
        try:
            self._restart_until_stopped()
        finally:
            self._is_decided.set()

    def _restart_until_stopped(self) -> None:
        delay = 0.0
        while not self._is_stopped.is_set():
            outcome = self._run()
            if not self._is_decided.is_set():
                self._problem = outcome.problem
                return
            if not self._is_stopped.is_set():
                pause = f" in {delay:.0f} s" if delay else ""
                self._log.note(f"The sidecar {describe_end(outcome)}. It starts again{pause}.")
                self._is_stopped.wait(delay)
                delay = min(max(1.0, 2 * delay), _MAX_DELAY)

    def _run(self) -> Outcome:
        """Run the sidecar until it ends."""
        try:
            return self._task.follow(self._log, Cancellation(), tty=self._tty, started=self._is_decided.set)
        except (StandpipeError, OSError) as error:  # the engine has died, or the disk is full
            return Outcome(problem=str(error))


def describe_end(outcome: Outcome) -> str:
    """Return how a container ended, as the predicate of a sentence."""
    if outcome.problem:
        return f"did not run: {outcome.problem}"
    if outcome.out_of_memory:
        return "ran out of memory"
    if outcome.signal is not None:
        return f"was killed by signal {outcome.signal}"
    return f"exited with code {outcome.exit_code}"
