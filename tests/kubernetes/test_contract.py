"""The contract of runners, for pods of a cluster."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from standpipe.artifact_stores.remote import RemoteArtifactStore
from standpipe.model.attempts import TaskRequest, Transfers
from standpipe.model.cancellation import Cancellation
from standpipe.model.types import ArtifactType
from standpipe.model.values import ArtifactValue
from tests.kubernetes.test_runs import Place, in_process, place, s3  # noqa: F401  the fixtures of the runner
from tests.runners.bench import HERE
from tests.runners.contract import Harness, IsolatedRunnerContract, artifact, copy, executor_output

ROOT = "s3://data/contract"


class PodHarness(Harness):
    """A runner of pods, with outputs in an object store."""

    image = f"python:{HERE}"

    def __init__(self, place: Place) -> None:  # noqa: F811
        super().__init__(place.runner().task_runner, place.root)
        self.store = RemoteArtifactStore(place.root, ROOT, sys.maxsize)
        self._place = place

    def request(self, *arguments: Any, inputs: tuple[ArtifactValue, ...] = (), **fields: Any) -> TaskRequest:
        request = super().request(*arguments, **fields)
        uri = self.store.locate(request.folder, "model")
        model = {**artifact("model", "system.Model", Path()), "uri": uri, "customPath": self.store.local_path(uri)}
        outputs = request.executor_input["outputs"]
        assert isinstance(outputs, dict)
        changed = {**outputs, "artifacts": {"model": {"artifacts": [model]}}}
        return replace(
            request,
            executor_input={**request.executor_input, "outputs": changed},
            transfers=Transfers(ROOT, inputs),
        )

    def upload(self, name: str, text: str) -> ArtifactValue:
        """Return an artifact with a text, which is in the object store."""
        uri = self.store.locate(self.root / "before", name)
        path = Path(self.store.local_path(uri))
        path.parent.mkdir(parents=True)
        path.write_text(text)
        checksum = self.store.put(uri, Cancellation())
        return ArtifactValue(name, ArtifactType("system.Dataset", "0.0.1"), uri, checksum=checksum)

    def lose(self, request: TaskRequest) -> None:
        self._place.cluster.lose("node-0")


@in_process  # a real control plane takes minutes to notice that a node is lost
class TestPodRunner(IsolatedRunnerContract):
    """Pods of a cluster with one node."""

    @pytest.fixture
    def harness(self, place: Place) -> Iterator[PodHarness]:  # noqa: F811
        place.root.mkdir()
        harness = PodHarness(place)
        yield harness
        harness.runner.close()

    def test_artifacts_are_read_and_written(self, harness: PodHarness) -> None:  # type: ignore[override]
        data = harness.upload("data", "rows")
        path = harness.store.task_path(data)
        given = {"data": {"artifacts": [{**artifact("data", "system.Dataset", Path()), "customPath": path}]}}
        request = harness.request(copy, artifacts=given, inputs=(data,))
        uri = harness.store.locate(request.folder, "model")

        outcome = harness.run(request)
        assert outcome.succeeded
        assert list(outcome.stored) == [uri]
        assert not (request.folder / "model").exists()
        harness.store.fetch(uri, harness.root / "copy", harness.root, Cancellation())
        assert (harness.root / "copy").read_text() == "ROWS"
        (model,) = executor_output(request)["artifacts"]["model"]["artifacts"]
        assert (model["uri"], model["metadata"]) == (uri, {"rows": 3})

    # Files that are no outputs stay in the pod.
    test_files_have_the_permissions_of_the_request = None  # type: ignore[assignment]
    test_what_is_pending_when_the_function_returns_is_written = None  # type: ignore[assignment]
    test_files_in_global_variables_are_complete = None  # type: ignore[assignment]
