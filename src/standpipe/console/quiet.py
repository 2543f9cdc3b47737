"""The observer of `quiet=True`."""

from __future__ import annotations

from collections.abc import Sequence

from standpipe.model.events import Fact
from standpipe.model.refs import TaskRef


class Quiet:
    """Shows nothing. The logs and the run store are complete."""

    def __call__(self, facts: Sequence[Fact]) -> None:
        pass

    def line(self, task: TaskRef, text: str) -> None:
        pass

    def close(self) -> None:
        pass
