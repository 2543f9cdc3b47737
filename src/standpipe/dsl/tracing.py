"""The pipeline that is being traced: what calls of components are recorded in."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from standpipe.dsl.tasks import PipelineTask
from standpipe.model.kfp import kubernetes_name, unique_name


@dataclass
class Trace:
    """The tasks of one pipeline function, in the order of their calls."""

    pipeline: str
    tasks: dict[str, PipelineTask] = field(default_factory=dict)

    def name_for(self, component: str) -> str:
        """The name of a component's next task, unique in this pipeline."""
        return unique_name(kubernetes_name(component) or "task", self.tasks)


class _Current(threading.local):
    """Threads trace independently of each other."""

    trace: Trace | None = None


_current = _Current()


def current() -> Trace | None:
    """The trace of the pipeline function that runs in this thread, if one does."""
    return _current.trace


@contextmanager
def tracing(pipeline: str) -> Iterator[Trace]:
    """Records calls of components in a new trace; one that was under way goes on afterwards."""
    outer, _current.trace = _current.trace, Trace(pipeline)
    try:
        yield _current.trace
    finally:
        _current.trace = outer
