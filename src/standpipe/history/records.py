"""The records that a run is made of, apart from its tasks: statuses, artifacts and attempts.

Times are local times with their offset from UTC. Durations are seconds of progress: the time between the end of a run,
or of its process, and the moment when it is resumed does not count. Attempts are numbered from 1.
"""

from __future__ import annotations

import enum
import os
import time
from collections.abc import Mapping
from datetime import datetime, timezone, tzinfo
from functools import lru_cache
from pathlib import Path
from typing import Union

from standpipe.model.events import Failure
from standpipe.model.frozen import field, frozen
from standpipe.model.layout import LOG_FILE, attempt_folder
from standpipe.model.locations import is_remote
from standpipe.model.refs import TaskRef
from standpipe.model.types import Json
from standpipe.support.notebooks import to_html


class Status(enum.Enum):
    """The status of a run, a task or an attempt."""

    READY = "READY"  # a task that waits for a free slot, or for the time of its next attempt
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"
    CANCELLED = "CANCELLED"
    INTERRUPTED = "INTERRUPTED"  # its process ended before it did

    __hash__ = object.__hash__  # each is one object; that of `Enum` is in Python, and counting tasks calls it for each


@frozen
class Artifact:
    """An artifact of a run, with its lineage.

    `digest` (`sha256:…`) and `size` (bytes) describe the payload at the end of the task that produced it; they are
    empty and None if its checksum was not computed. `producer` is the path of the task that produced it, None for an
    artifact that was passed to the run; `consumers` are the paths of the tasks that took it as an input. Both name
    tasks with an executor, never the pipelines and loops around them. `registration` has the arguments of
    `dsl.Model.register`, None if it was not called.
    """

    name: str
    type: str
    uri: str
    digest: str
    size: int | None
    metadata: Mapping[str, Json]
    producer: str | None
    consumers: tuple[str, ...]
    _location: str = field(repr=False)
    registration: Mapping[str, Json] | None = None
    _copy: str = field(repr=False, default="", compare=False)

    def _repr_html_(self) -> str:
        return to_html(self)

    def __repr__(self) -> str:
        producer = f", of task {self.producer}" if self.producer else ""
        return f"<Artifact {self.name}: {self.type}{producer}, {self._location}>"

    @property
    def path(self) -> Path | None:
        """The path of its payload on this machine; None if it is in a remote store only."""
        if is_remote(self._location):
            return Path(self._copy) if self._copy and os.path.lexists(self._copy) else None
        return Path(self._location)

    @property
    def location(self) -> str:
        """Where its payload belongs: a path of this machine, or a URI."""
        return self._location if is_remote(self._location) else str(Path(self._location))

    @property
    def exists(self) -> bool | None:
        """Whether anything is at its `path` now; None if it is in a remote store only, or its URI is not a path."""
        if is_remote(self._location):
            return True if self.path else None
        return os.path.lexists(self._location) if os.path.isabs(self._location) else None


#: An input or output: JSON, an artifact, or a list of artifacts.
Value = Union[Json, Artifact, "list[Artifact]"]


@frozen
class Attempt:
    """One attempt of a task. `number` counts from 1 over the whole run, resumes included.

    `cpu_seconds` and `peak_memory` (bytes) add up all processes of the attempt, None if they could not be measured.
    `log_bytes` and `log_lines` are the size of its log; None for an attempt that has not ended. `warm_imports` is
    whether its packages were imported before it was forked.
    """

    number: int
    status: Status
    started: datetime
    _run_folder: Path = field(repr=False)
    _task: TaskRef = field(repr=False)
    ended: datetime | None = None
    duration: float | None = None
    failure: Failure | None = None
    cpu_seconds: float | None = None
    peak_memory: int | None = None
    log_bytes: int | None = None
    log_lines: int | None = None
    warm_imports: bool = False

    def __repr__(self) -> str:
        duration = "" if self.duration is None else f" in {self.duration:.3g} s"
        reason = f": {first_line(self.failure.message)}" if self.failure else ""
        return f"<Attempt {self.number}: {self.status.value}{duration}{reason}>"

    @property
    def folder(self) -> Path:
        """The folder with its outputs and its log."""
        return attempt_folder(self._run_folder, self._task, self.number - 1)

    @property
    def log(self) -> Path:
        """The file with everything that it printed."""
        return self.folder / LOG_FILE


_QUARTER_HOUR = 900  # seconds


def first_line(text: str) -> str:
    """Return the first line of a text."""
    return text.partition("\n")[0]


def to_datetime(seconds: float) -> datetime:
    """Return the local time, with its offset from UTC, that is so many seconds after the epoch."""
    return datetime.fromtimestamp(seconds, _local_offset(seconds // _QUARTER_HOUR, time.timezone, time.tzname))


def format_time(time: datetime, precision: str = "seconds") -> str:
    """Return a time as text, with its offset from UTC: `2026-11-22 10:47:51 +01:00`.

    Args:
        time: the time.
        precision: its smallest unit, as `datetime.isoformat` takes it.
    """
    text = time.isoformat(" ", precision)
    return f"{text[:-6]} {text[-6:]}"


@lru_cache(maxsize=256)
def _local_offset(quarter: float, *zone: object) -> tzinfo | None:
    """Return the offset of the local `zone` in a quarter of an hour since the epoch: it changes only between two.

    To ask the system for each time takes a tenth of the time in which a run of many tasks is read.
    """
    return datetime.fromtimestamp(quarter * _QUARTER_HOUR, timezone.utc).astimezone().tzinfo


def seconds_of_progress(start: datetime | None, end: datetime | None, idle: float) -> float | None:
    """Return the seconds from one time to another, without the `idle` ones; None unless both times are known.

    Stores of older versions have times before and after the clock was set back, so that the sum may be negative.
    """
    return round(max(0.0, (end - start).total_seconds() - idle), 6) if start and end else None
