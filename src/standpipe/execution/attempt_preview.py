"""Attempts that are looked up in the cache and not executed: what a run would do, without doing it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from standpipe.errors import InternalError, StandpipeError
from standpipe.execution.attempt import AttemptExecutor
from standpipe.execution.failures import describe_os_error
from standpipe.execution.importing import resolve_uri
from standpipe.model.attempts import PodSettings, TaskRequest
from standpipe.model.cancellation import Cancellation
from standpipe.model.events import AttemptEnded, Failure, StartAttempt
from standpipe.model.layout import attempt_folder
from standpipe.model.locations import is_remote
from standpipe.model.plan import Container, ExecutorRef, Importer
from standpipe.model.ports import Cluster


class WouldRun(StandpipeError):
    """An attempt would be executed. The message says why it is not cached, if that is known before it starts."""


@dataclass(frozen=True)
class AttemptPreview(AttemptExecutor):
    """Looks up the attempts of a run that is not started. No file is written and no process is started.

    Importers whose artifact stays where it is are executed: they only look at it.
    """

    def look_up(self, command: StartAttempt) -> AttemptEnded:
        """Return how an attempt would end: with outputs of the cache, or with an error that is known already.

        Raises:
            WouldRun: if its end is not known before it runs.
        """
        folder = attempt_folder(self.run_folder, command.task, command.attempt)
        try:
            return replace(self._dispatch(folder, command, Cancellation()), is_final=True)
        except (WouldRun, InternalError):
            raise
        except StandpipeError as error:
            failure = Failure(str(error), hint=error.hint)
        except OSError as error:
            failure = describe_os_error(error, folder)
        return AttemptEnded(command.task, failure=failure, is_final=True)

    def _open_pod(self, command: StartAttempt) -> AbstractContextManager[PodSettings]:
        body = self._find_component(command).body
        if isinstance(body, ExecutorRef) and self.plan.kubernetes_settings(body.label):
            raise WouldRun("whether it is cached depends on its Kubernetes settings, which are read when it starts")
        return super()._open_pod(command)

    def _execute_importer(
        self, importer: Importer, folder: Path, command: StartAttempt, cancel: Cancellation
    ) -> AttemptEnded:
        if importer.download_to_workspace:
            raise WouldRun("it downloads to the workspace")
        if is_remote(resolve_uri(importer, command.inputs)):
            raise WouldRun("what is at its URI is not looked up")
        return super()._execute_importer(importer, folder, command, cancel)

    def _execute_operation(self, cluster: Cluster, image: str, folder: Path, command: StartAttempt) -> AttemptEnded:
        raise WouldRun("it creates or deletes a PVC")

    def _run_task(self, request: TaskRequest, command: StartAttempt, cancel: Cancellation) -> AttemptEnded:
        raise WouldRun(self._explain_miss(request, command, cancel))

    def _explain_miss(self, request: TaskRequest, command: StartAttempt, cancel: Cancellation) -> str:
        """Return why a task has no cache key; empty if it has one, so that no result is stored for it."""
        if self.cache is None or command.caching is None or not command.caching.enabled:
            return ""  # the user has said so
        container = self._find_executor(command)
        assert isinstance(container, Container), "only those have requests"
        inputs = self._reuse.collect_task_inputs(self._find_component(command), container, request, command, cancel)
        if inputs is None:
            return "it is never cached: it pauses, uses the workspace, or takes an artifact that cannot be read"
        if not inputs.compute_key():
            return "its runner does not know yet what it runs in, such as the digest of its image"
        return ""
