"""The axis of a timeline: seconds of progress since the start of a run, without the times in which it was paused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from standpipe.model.frozen import frozen
from standpipe.support.durations import format_duration

#: The distances between ticks, in seconds, up to a day; longer runs have ticks a number of days apart.
_STEPS = (
    *(factor * 10**power for power in (-3, -2, -1) for factor in (1, 2, 5)),
    *(1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400),
)

#: The most ticks on an axis.
_MAX_TICKS = 8


@frozen
class Tick:
    """A line across the timeline, at a part from 0 to 1 of its length."""

    at: float
    label: str


@frozen
class TimeAxis:
    """Maps times to parts of the axis, from 0 to 1.

    `start` and `end` are what it shows. Nothing of `pauses` is on it, since nothing happens then.
    """

    start: datetime
    end: datetime
    pauses: Sequence[tuple[datetime, datetime]] = ()

    @property
    def seconds(self) -> float:
        """Its length: seconds in which the run was in progress."""
        return max(self._seconds_until(self.end), 0.001)

    def place(self, time: datetime) -> float:
        """Return the part of the axis at which a time is."""
        return min(1.0, max(0.0, self._seconds_until(time) / self.seconds))

    def between(self, start: datetime, end: datetime) -> float:
        """Return the seconds from one time to another in which the run was in progress."""
        return max(0.0, self._seconds_until(end) - self._seconds_until(start))

    def ticks(self) -> tuple[Tick, ...]:
        """Return a tick for each round number of seconds."""
        seconds = self.seconds
        step = next((step for step in _STEPS if seconds / step <= _MAX_TICKS), 86400 * (1 + int(seconds / 86400 / 8)))
        return tuple(
            Tick(round(number * step / seconds, 6), _label(number * step, step))
            for number in range(int(seconds / step) + 1)
        )

    def gaps(self) -> tuple[Tick, ...]:
        """Return where the run was resumed, and after how long."""
        return tuple(Tick(self.place(end), format_duration(seconds)) for end, seconds in self._lengths())

    def is_paused_between(self, start: datetime, end: datetime) -> bool:
        """Return whether the run was paused from one time to another, or for a part of that."""
        return any(start <= pause <= end for pause, _ in self.pauses)

    def end_of_progress(self, time: datetime) -> datetime:
        """Return when the run was next paused after a time; the end of the axis if it was not."""
        return min((start for start, _ in self.pauses if start >= time), default=self.end)

    def _lengths(self) -> Iterator[tuple[datetime, float]]:
        return ((end, (end - start).total_seconds()) for start, end in self.pauses)

    def _seconds_until(self, time: datetime) -> float:
        idle = sum((min(time, end) - start).total_seconds() for start, end in self.pauses if start < time)
        return (time - self.start).total_seconds() - idle


def _label(seconds: float, step: float) -> str:
    """Return the text of a tick: `0`, `0.2 s`, `1:30`, `2:05:00`, `3 d`."""
    if seconds == 0:
        return "0"
    if seconds < 60 and step < 60:
        return f"{seconds:.3g} s"
    if step >= 86400:
        return f"{seconds / 86400:.3g} d"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
