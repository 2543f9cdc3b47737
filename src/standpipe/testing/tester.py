"""What tests run pipelines with: the object that the fixture `standpipe` is."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from standpipe import history, local
from standpipe.dsl import Artifact
from standpipe.dsl.base_component import BaseComponent
from standpipe.errors import ArgumentError, shorten_errors
from standpipe.history import Run
from standpipe.runners.api import LocalRunner
from standpipe.runners.fake import FakeRunner
from standpipe.runners.partly_fake import PartlyFakeRunner
from standpipe.testing.fakes import make_fake_runner
from standpipe.testing.finished_run import FinishedRun, finished_run
from standpipe.testing.task_logs import LOGGER, log_tasks

A = TypeVar("A", bound=Artifact)

#: What can be run: a component or pipeline, or the path of a compiled file.
Target = BaseComponent | str | os.PathLike[str]


class PipelineTester:
    """Runs components and pipelines for one test, in a pipeline root of its own.

    Args:
        folder: an empty folder for the pipeline root and for artifacts that the test makes.
        runner: where tasks run.
        enable_caching: whether outputs may come from earlier runs of the test.
    """

    def __init__(self, folder: Path, runner: LocalRunner, *, enable_caching: bool = False) -> None:
        self._folder = folder
        self.options: Mapping[str, Any] = {
            "runner": runner,
            "pipeline_root": folder / "runs",
            "enable_caching": enable_caching,
            "quiet": True,
        }
        self._artifacts = 0
        self._lock = threading.RLock()  # held by a run, which is found as the one that was not there before

    def __repr__(self) -> str:
        return f"<{type(self).__name__} in {self.root}, with {self.options['runner']!r}>"

    @property
    def root(self) -> Path:
        """The pipeline root."""
        root: Path = self.options["pipeline_root"]
        return root

    @property
    def runs(self) -> list[Run]:
        """The runs of the test so far, the newest first."""
        return history.runs(self.root)

    @shorten_errors
    def call(self, component: Target, arguments: Mapping[str, Any] | None = None, /, **inputs: Any) -> Any:
        """Run a component with types checked as in a pipeline, and return what it returns.

        Args:
            component: the component.
            arguments: its inputs by name.
            **inputs: more inputs.

        Returns:
            The value of its only output; None if it has none; a dict of all outputs if there are several. An output
            artifact is an object with `.path` and `.metadata`.

        Raises:
            AuthoringTypeError: if the arguments do not fit the inputs.
            TaskFailed: if it fails.
        """
        task = self._run(local.to_component(component), _merge(arguments, inputs), {}, None)
        outputs = dict(task.outputs)
        return next(iter(outputs.values()), None) if len(outputs) < 2 else outputs

    @shorten_errors
    def run(
        self,
        pipeline: Target,
        arguments: Mapping[str, Any] | None = None,
        /,
        *,
        fakes: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        **inputs: Any,
    ) -> FinishedRun:
        """Run a pipeline, and return the finished run.

        Args:
            pipeline: the pipeline.
            arguments: its inputs by name; also those that are called as an argument of this method.
            fakes: what stands in for tasks, by the name of a component or task, or by the path of a task: a function,
                an exception that the task raises, or its outputs.
            options: options of `local.init` for this run, such as `{"raise_on_error": False}`, with which a failed run
                is returned.
            **inputs: more inputs.

        Raises:
            ArgumentError: if the pipeline has no task for a fake.
            AuthoringTypeError: if the arguments do not fit the inputs.
            TaskFailed: if a task fails and `raise_on_error` is true.
        """
        component = local.to_component(pipeline)
        fake = make_fake_runner(fakes, component.plan) if fakes else None
        with self._lock:
            known = self._run_ids()
            self._run(component, _merge(arguments, inputs), options or {}, fake)
            *_, run = (run for run in self.runs if run.id not in known)  # the oldest: tasks may run pipelines, too
        unused = fake.uncalled if fake else ()
        if unused:
            LOGGER.info("not called: the fakes %s", ", ".join(map(repr, unused)))
        return finished_run(run, component.plan, unused)

    def artifact(
        self, kind: type[A], payload: str | bytes = b"", *, name: str = "", metadata: Mapping[str, Any] | None = None
    ) -> A:
        """Return an artifact with a payload, to pass to a component or pipeline.

        Args:
            kind: its class, such as `dsl.Dataset`.
            payload: the content of its file.
            name: its name; by default, that of its class.
            metadata: its metadata.
        """
        self._artifacts += 1
        path = self._folder / "artifacts" / str(self._artifacts) / (name or kind.__name__.lower())
        path.parent.mkdir(parents=True)
        path.write_bytes(payload.encode() if isinstance(payload, str) else payload)
        return kind(name=path.name, uri=str(path), metadata=dict(metadata or {}))

    def _run(
        self, component: BaseComponent, inputs: Mapping[str, Any], options: Mapping[str, Any], fake: FakeRunner | None
    ) -> Any:
        options = {**self.options, **options}
        if fake is not None and isinstance(options["runner"], LocalRunner):  # others are refused below
            options["runner"] = PartlyFakeRunner(fake, options["runner"])
        known = self._run_ids()
        try:
            return local.run(component, inputs, **options)
        finally:
            for run in self.runs:
                if run.id not in known:
                    log_tasks(run)

    def _run_ids(self) -> set[str]:
        return {run.id for run in self.runs}


def _merge(arguments: Mapping[str, Any] | None, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
    if arguments is not None and not isinstance(arguments, Mapping):
        raise ArgumentError(f"Invalid arguments={arguments!r}: expected a dict of inputs such as {{'rate': 0.1}}.")
    return {**(arguments or {}), **inputs}
