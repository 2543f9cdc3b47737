"""The run as a live tree on a terminal.

What a task prints is shown once: its last lines are below the task while it runs, and lines that leave that place, or
whose task ends, scroll above the display after `[task]`. So nothing is lost, nothing is shown twice, and what was
printed stays where users look for it, in the scrollback.

Facts and lines only change the model; one thread draws it, at most ten times a second.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from standpipe.console.layout import MAX_TAIL, lay_out, lay_out_end
from standpipe.console.messages import describe_cancelling, describe_failure, describe_next_attempt, describe_start
from standpipe.console.painter import Painter
from standpipe.console.screen import Screen
from standpipe.console.status_line import NO_LIMITS, Limits, Status
from standpipe.console.styled import Span, symbols_for, to_text
from standpipe.console.summary import summarize
from standpipe.console.tree import TaskTree
from standpipe.model.events import (
    AttemptFailed,
    Fact,
    RunCancelled,
    RunEnded,
    RunStarted,
    TaskCancelled,
    TaskFailed,
    TaskSucceeded,
)
from standpipe.model.plan import Plan
from standpipe.model.refs import RunInfo, TaskRef
from standpipe.support.machine_capacity import read_memory_use
from standpipe.support.notices import show_notices_in
from standpipe.support.terminal_text import strip_controls
from standpipe.support.terminals import is_terminal_held, terminal_path

#: The least seconds between two redraws, the seconds after which the durations are drawn again, and the part of the
#: time that drawing may take.
_INTERVAL = 0.1
_TICK = 1.0
_SHARE = 0.02

#: The seconds between two looks at whether a task uses the terminal.
_LOCK_INTERVAL = 0.2

#: The lines that may wait to be written. A task that prints faster than they are drawn writes them itself, and so waits
#: for the terminal.
_MAX_PENDING = 500

#: The part of the terminal's lines that the display may take, in percent; what scrolls above it needs the rest.
_HEIGHT = 75


class Live:
    """Shows a run as a tree that changes in place.

    Args:
        run: the run.
        folder: its folder.
        earlier: for how long it was in progress before it was resumed, in seconds.
        plan: its Plan; without one, tasks appear when they become ready.
        limits: what its tasks share.
        restored: its facts before it was resumed.
        flags: those with which commands set its options.
        next_command: the command that comes next, for a run that is not in the run store.
        now: tells when the facts that it gets happened, by `time.monotonic`; None if they do just then.
    """

    def __init__(
        self,
        run: RunInfo,
        folder: str,
        earlier: float = 0.0,
        plan: Plan | None = None,
        limits: Limits = NO_LIMITS,
        restored: Iterable[Fact] = (),
        flags: Sequence[str] = (),
        next_command: str = "",
        now: Callable[[], float] | None = None,
    ) -> None:
        self._now = now or time.monotonic
        self._flags, self._next_command = flags, next_command
        self._run, self._folder, self._earlier, self._limits = run, folder, earlier, limits
        self._screen = Screen()
        self._colored, self._symbols = self._screen.has_colors, symbols_for(self._screen.encoding)
        self._painter = Painter(self._screen)
        self._tree = TaskTree(plan)
        self._tree.restore(restored)
        self._tails: dict[TaskRef, deque[str]] = {}
        self._above: list[str] = []
        self._is_cancelled = self._is_stopped = self._is_held = self._is_broken = False
        self._memory: tuple[float, tuple[int, int] | None] = (0.0, None)
        self._started_at = time.monotonic()
        self._lock = threading.Lock()  # of all of the above
        self._changed, self._closed = threading.Event(), threading.Event()
        self._write(describe_start(run, folder), "bold")
        self._paint([])
        self._release_notices = show_notices_in(self._show_notice)
        self._threads = [threading.Thread(target=self._redraw, daemon=True, name="standpipe-display")]
        if terminal := terminal_path():
            self._threads.append(
                threading.Thread(target=self._make_way, args=(terminal,), daemon=True, name="standpipe-terminal")
            )
        for thread in self._threads:
            thread.start()

    def __call__(self, facts: Sequence[Fact]) -> None:
        now = self._now()
        with self._lock, self._contain_defects():
            for fact in facts:
                if isinstance(fact, RunStarted):
                    self._started_at = now
                self._note(fact)
            self._tree.apply(facts, now)
            if self._tree.end is not None:
                self._show_end(now)
        self._changed.set()

    def line(self, task: TaskRef, text: str) -> None:
        """Show a line that a task printed. Called from many threads."""
        with self._lock:
            tail = self._tails.get(task)
            if tail is None:
                tail = self._tails[task] = deque()
            tail.append(text)
            if len(tail) > MAX_TAIL:
                self._scroll(task, tail.popleft())
            if len(self._above) >= _MAX_PENDING:
                self._draw()
        self._changed.set()

    def close(self) -> None:
        """Remove the display. What has scrolled, and the summary of a run that has ended, stay."""
        self._closed.set()
        self._changed.set()
        with self._lock:
            self._flush_all()
            self._paint([])
        self._release_notices()

    # --- facts --------------------------------------------------------------------------------------------------------

    def _note(self, fact: Fact) -> None:
        """Write what is to stay: failures, and what a user who cancels the run has to know."""
        if isinstance(fact, (TaskSucceeded, TaskCancelled)):
            self._flush(fact.task)
        elif isinstance(fact, TaskFailed):
            self._flush(fact.task)
            if not fact.failure.cause_task:
                self._write(f"{fact.task}: failed{describe_failure(fact.failure)}", "red")
        elif isinstance(fact, AttemptFailed):
            self._flush(fact.task)
            self._write(f"{fact.task}: failed{describe_failure(fact.failure)}; {describe_next_attempt(fact)}", "yellow")
        elif isinstance(fact, RunCancelled):
            text = describe_cancelling(self._tree.running, is_first=not self._is_cancelled, reason=fact.reason)
            self._write(text, "yellow")
            self._is_cancelled = True
            self._is_stopped |= bool(fact.reason)

    def _show_end(self, now: float) -> None:
        """Write the tree as it is in the end, and the summary; they stay."""
        width, height = self._screen.size()
        self._flush_all()
        end = self._tree.end
        assert isinstance(end, RunEnded), "the caller has looked"
        summary = summarize(
            self._run,
            self._folder,
            self._tree,
            end,
            now - self._started_at,
            self._earlier,
            self._flags,
            self._next_command,
            has_report=self._is_stopped,
        )
        lines = lay_out_end(self._tree, now, (width, self._most_lines(height)), self._symbols)
        self._above += (to_text(line, colored=self._colored) + "\n" for line in (*lines, *summary))
        self._paint([])

    # --- lines that stay ----------------------------------------------------------------------------------------------

    def _flush(self, task: TaskRef) -> None:
        """Let the last lines of a task, whose attempt has ended, scroll above the display."""
        for text in self._tails.pop(task, ()):
            self._scroll(task, text)

    def _flush_all(self) -> None:
        for task in [*self._tails]:
            self._flush(task)

    def _scroll(self, task: TaskRef, text: str) -> None:
        name = to_text([Span(strip_controls(f"[{task}] "), "dim")], colored=self._colored)
        self._above.append(f"{name}{strip_controls(text, keep_colors=self._colored)}\n")

    def _write(self, text: str, style: str = "") -> None:
        self._above.append(to_text([Span(strip_controls(text), style)], colored=self._colored) + "\n")

    def _show_notice(self, line: str) -> None:
        with self._lock:
            self._write(line)
            self._draw()

    # --- drawing ------------------------------------------------------------------------------------------------------

    def _redraw(self) -> None:
        """Draw until the display is closed."""
        while not self._closed.is_set():
            self._changed.wait(_TICK)
            self._changed.clear()
            began = time.thread_time()
            with self._lock:
                if not self._closed.is_set():
                    self._draw()
            self._closed.wait(max(_INTERVAL, (time.thread_time() - began) / _SHARE))

    def _draw(self) -> None:
        if not self._is_hidden:
            with self._contain_defects():
                self._draw_tree()
                return
        self._flush_all()
        self._paint([])

    def _draw_tree(self) -> None:
        width, height = self._screen.size()
        now = time.monotonic()
        status = Status(self._earlier + now - self._started_at, self._limits, self._read_memory(now))
        # The last column stays free, as terminals differ in when they wrap a line.
        size = (max(1, width - 1), self._most_lines(height))
        frame = lay_out(self._tree, self._tails, status, now, size, self._symbols)
        for task, tail in self._tails.items():  # what is not visible below its task is visible above the display
            while len(tail) > frame.tails.get(task, 0):
                self._scroll(task, tail.popleft())
        self._paint([to_text(line, colored=self._colored) for line in frame.lines])

    @property
    def _is_hidden(self) -> bool:
        is_over = self._tree.end is not None
        return self._is_held or self._is_broken or is_over or not self._screen.isatty()

    @contextmanager
    def _contain_defects(self) -> Iterator[None]:
        """Continue without the tree after a defect of the display, which must not stop a run."""
        try:
            yield
        except Exception as error:  # noqa: BLE001  whatever it is, the run continues
            if not self._is_broken:
                self._write(f"standpipe: The tree is not shown, because of a defect: {type(error).__name__}: {error}")
            self._is_broken = True

    def _most_lines(self, height: int) -> int:
        return min(height - 1, max(5, height * _HEIGHT // 100))

    def _paint(self, lines: Sequence[str]) -> None:
        above, self._above = "".join(self._above), []
        self._painter.paint(above, lines, self._screen.size()[0])

    def _read_memory(self, now: float) -> tuple[int, int] | None:
        """Return the use of the machine's memory, which is read once a second; None if tasks run on another one."""
        if self._next_command:
            return None
        if now - self._memory[0] >= _TICK:
            self._memory = (now, read_memory_use())
        return self._memory[1]

    def _make_way(self, terminal: str) -> None:
        """Hide the display while a task with a breakpoint uses the terminal."""
        while not self._closed.wait(_LOCK_INTERVAL):
            is_held = is_terminal_held(terminal)
            if is_held is not self._is_held:
                with self._lock:
                    self._is_held = is_held
                    if not self._closed.is_set():
                        self._draw()
