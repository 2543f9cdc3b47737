"""The logs of tasks while they run. KFP's web page sends whole logs only, so what is new is found here."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from standpipe.errors import ClusterError
from standpipe.kfp_cluster.http import TEMPORARY, HttpClient
from standpipe.kfp_cluster.logs import is_log, log_path
from standpipe.kfp_cluster.records import Record, walk_tasks
from standpipe.model.refs import TaskRef
from standpipe.model.states import TaskState
from standpipe.support.notices import inform

#: Shows a line that a task has printed.
ShowLine = Callable[[TaskRef, str], None]

#: The most bytes of a log that are shown, and the logs that are read between two looks at the run: of tasks that are
#: running, and of tasks that have ended.
_MAX_BYTES = 4 * 1024**2
_MAX_READ = 10

#: The most characters of the log of an attempt that are kept until its task has failed.
_MAX_END = 20_000

#: A log that was read is left alone for this many seconds for each of its bytes.
_PAUSE = 1e-5

#: The looks without any log after which it is clear that the page has none.
_MAX_FAILURES = 30

_REST = "[the rest of the log is on KFP's web page]"


@dataclass
class _Log:
    """How many bytes of the log of a pod were shown, the lines to be shown, and from when on it may be read again.

    `is_read` is whether nothing more of it is read; `end` is then the end of the log, if its task has failed.
    """

    pod: str = ""
    shown: int = 0
    lines: list[str] = field(default_factory=list)
    due: float = 0.0
    is_read: bool = False
    end: str = ""


class LiveLogs:
    """Shows what the tasks of a run print.

    Args:
        http: the host of KFP's web page.
        run_id: the id of the run.
        show: shows a line.
    """

    def __init__(self, http: HttpClient, run_id: str, show: ShowLine) -> None:
        self._http = http
        self._run_id = run_id
        self._show = show
        self._logs: dict[TaskRef, _Log] = {}
        self._failures = 0

    def update(self, root: Record) -> None:
        """Read what tasks have printed since the last look; those that failed get their log, which says why.

        Only some logs are read at a time: first those of tasks that have failed, then of others that have ended. What
        is left for a look after the end of the run is not shown.

        Args:
            root: the run as it is now.
        """
        now = time.monotonic()
        running, ended = [], []
        for ref, record in walk_tasks(root):
            log = self._logs.get(ref)
            if log is None or log.pod != record.pod:  # each attempt has a pod of its own
                log = self._logs[ref] = _Log(record.pod, lines=log.lines if log else [])
            if record.state is TaskState.FAILED:
                record.log = log.end  # of an earlier look, at which it might have been retried
            if not record.pod or record.is_cached or record.parts or log.is_read:
                continue
            if record.state is TaskState.RUNNING and log.due <= now:
                running.append((ref, record))
            elif record.state.is_final:
                ended.append((ref, record))
        running.sort(key=lambda each: self._logs[each[0]].due)  # those first that have waited longest
        ended.sort(key=lambda each: each[1].state is not TaskState.FAILED)
        self._read_all([*ended[:_MAX_READ], *running[:_MAX_READ]])

    def show(self, task: TaskRef | None = None) -> None:
        """Show the lines that were read, of one task or of all."""
        for ref in [task] if task else [*self._logs]:
            log = self._logs.get(ref, _Log())
            for line in log.lines:
                self._show(ref, line)
            log.lines.clear()

    def _read_all(self, tasks: Sequence[tuple[TaskRef, Record]]) -> None:
        """Read the logs of tasks; after many looks without any, none is read any more."""
        if not tasks or self._failures >= _MAX_FAILURES:
            return
        self._failures += 1
        try:
            statuses = [self._read(self._logs[ref], record) for ref, record in tasks]
        except ClusterError as error:  # the others would wait as long
            problem = str(error).rstrip(".")
        else:
            problem = f"KFP's web page does not serve them (status {statuses[-1]})"
        if self._failures == _MAX_FAILURES:
            inform(f"Logs of tasks are not shown any more: {problem}.")

    def _read(self, log: _Log, record: Record) -> int:
        """Read a log, and return the status of the answer; it raises a ClusterError without one."""
        answer = self._http.look(log_path(self._run_id, record.pod), _MAX_BYTES)
        if is_log(answer):
            self._failures = 0
            if record.state is TaskState.FAILED:
                record.log = answer.body.decode("utf-8", "replace")
                log.end = record.log[-_MAX_END:]
            _take_new(log, answer.body, is_over=record.state.is_final)
        log.is_read |= record.state.is_final and answer.status not in TEMPORARY
        return answer.status


def _take_new(log: _Log, data: bytes, *, is_over: bool) -> None:
    """Take the lines that are new; the last one, which may not be complete, once the task has ended."""
    begin = log.shown if len(data) >= log.shown else 0  # otherwise the log was rotated
    end = len(data) if is_over else max(begin, data.rfind(b"\n") + 1)
    log.lines += data[begin:end].decode("utf-8", "replace").splitlines()
    if len(data) >= _MAX_BYTES:
        log.lines.append(_REST)
        log.is_read = True
    log.shown, log.due = end, time.monotonic() + len(data) * _PAUSE
