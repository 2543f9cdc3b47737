"""The thread that has called a run, when tasks run in it: it executes functions while the loop has its own thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from queue import SimpleQueue

from standpipe.errors import InternalError


class _Call:
    """A function that another thread is to execute, and the wait for its end."""

    def __init__(self, function: Callable[[], None]) -> None:
        self._function = function
        self._has_ended = threading.Event()
        self._error: BaseException | None = None

    def execute(self) -> None:
        try:
            self._function()
        except BaseException as error:  # noqa: BLE001  it is raised in the thread that waits
            self._error = error
        self._has_ended.set()

    def refuse(self) -> None:
        self._error = InternalError("The run has ended before its attempt was started.")
        self._has_ended.set()

    def wait(self) -> None:
        self._has_ended.wait()
        if self._error is not None:
            raise self._error


class CallerThread:
    """Executes functions of other threads, one at a time, until the loop of the run has ended.

    The main thread is the only one that gets signals, that `signal.signal` and `python -m pdb` work in, and that
    `cProfile` measures. So tasks of this process run in the thread that called the run, and the loop, which needs none
    of that, handles cancellations, timeouts and progress meanwhile.

    Args:
        around_loop: makes a context that the loop runs in.
    """

    def __init__(self, around_loop: Callable[[], AbstractContextManager[None]]) -> None:
        self._around_loop = around_loop
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._has_ended = False

    def call(self, function: Callable[[], None]) -> None:
        """Execute a function in the thread that serves, and return when it has returned.

        Raises:
            InternalError: if the loop has ended meanwhile.
        """
        call = _Call(function)
        self._calls.put(call)
        if self._has_ended:
            self._refuse_calls()
        call.wait()

    def serve(self, loop: Callable[[], None], interrupt: Callable[[BaseException], None]) -> None:
        """Run a loop in a thread of its own, and execute functions until it has ended.

        Args:
            loop: the loop. What it raises is raised here.
            interrupt: makes the loop raise an error, which a signal has raised here.
        """
        errors: list[BaseException] = []
        thread = threading.Thread(target=self._run, args=(loop, errors), daemon=True, name="standpipe-loop")
        thread.start()
        try:
            self._execute_calls()
        except BaseException as error:
            interrupt(error)
            thread.join()
            raise
        finally:
            self._has_ended = True
            self._refuse_calls()
        if errors:
            raise errors[0]

    def _run(self, loop: Callable[[], None], errors: list[BaseException]) -> None:
        try:
            with self._around_loop():
                loop()
        except BaseException as error:  # noqa: BLE001  it is raised in the other thread
            errors.append(error)
        finally:
            self._calls.put(None)

    def _execute_calls(self) -> None:
        while (call := self._calls.get()) is not None:
            call.execute()

    def _refuse_calls(self) -> None:
        while not self._calls.empty():
            call = self._calls.get()
            if call is not None:
                call.refuse()
