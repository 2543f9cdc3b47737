"""What one run takes from the cache, and what its payloads count as there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from standpipe.execution.cache.keys import KeyInputs, collect_import_inputs, collect_task_inputs
from standpipe.execution.cache.lookup import ResultCache
from standpipe.execution.checksums import ChecksumFunction, payload_digest
from standpipe.model.attempts import TaskRequest
from standpipe.model.cancellation import Cancellation
from standpipe.model.events import AttemptEnded, StartAttempt
from standpipe.model.plan import Component, Container, Importer
from standpipe.model.ports import ArtifactStore, Runner
from standpipe.model.refs import RunInfo
from standpipe.model.values import ArtifactValue, Checksum
from standpipe.support.file_digests import BLAKE3, SHA256


@dataclass(frozen=True)
class AttemptCache:
    """Takes the results of attempts from the cache. Without one, all attempts run.

    Args:
        run: the run's id and the values of its placeholders.
        workspace: the folder that its tasks share, if it has one.
        runner: runs tasks.
        artifacts: keeps the payloads of artifacts.
        results: the results of earlier attempts, if the run may use them.
    """

    run: RunInfo
    workspace: Path | None
    runner: Runner
    artifacts: ArtifactStore
    results: ResultCache | None

    def use(
        self, inputs: KeyInputs | None, command: StartAttempt, cancel: Cancellation, run: Callable[[], AttemptEnded]
    ) -> AttemptEnded:
        """Return the cached result of an attempt; if there is none, that of `run`."""
        if self.results is None or inputs is None:
            return run()
        return self.results.reuse_or_run(inputs, command, cancel, run)

    def collect_task_inputs(
        self,
        component: Component,
        container: Container,
        request: TaskRequest,
        command: StartAttempt,
        cancel: Cancellation,
    ) -> KeyInputs | None:
        """Return what the result of a task depends on; None if it is not cached."""
        if self.results is None:
            return None
        digest = self._digest_function(cancel)
        collect = partial(
            collect_task_inputs,
            command,
            component,
            container.program,
            request,
            workspace_paths=(str(self.workspace), self.run.workspace_path) if self.workspace else (),
            field=partial(self.run.placeholder, command.task),
            fingerprint=self.runner.fingerprint,
        )
        inputs = collect(digest=digest)
        if inputs is None or BLAKE3 not in inputs.text:
            return inputs

        def former_key() -> str:
            former = collect(digest=partial(digest, algorithm=SHA256))
            return former.compute_key() if former else ""

        return replace(inputs, former=former_key)

    def collect_import_inputs(
        self,
        component: Component,
        importer: Importer,
        artifact: ArtifactValue,
        command: StartAttempt,
        cancel: Cancellation,
    ) -> KeyInputs | None:
        """Return what an import depends on; None if it is not cached."""
        if self.results is None:
            return None
        return collect_import_inputs(command, component, importer, artifact, self._digest_function(cancel))

    def _digest_function(self, cancel: Cancellation) -> partial[str | None]:
        return partial(payload_digest, store=self.artifacts, compute=self.checksum_function(cancel))

    def checksum_function(self, cancel: Cancellation) -> ChecksumFunction:
        """Return the function that computes checksums, which the cache remembers if there is one."""

        def compute(location: str, algorithm: str) -> Checksum | None:
            if self.results:
                return self.results.checksum(location, cancel, algorithm)
            return self.put(location, algorithm, cancel)

        return compute

    def put(self, location: str, algorithm: str, cancel: Cancellation) -> Checksum | None:
        """Let the store take a payload over. Other payloads are read for the cache only."""
        checksum = self.artifacts.put(location, cancel)
        return self.results.checksum(location, cancel, algorithm) if checksum is None and self.results else checksum
