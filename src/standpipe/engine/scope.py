"""The values that the tasks of a DAG can refer to."""

from __future__ import annotations

from standpipe.engine.outputs import describe_end
from standpipe.engine.tasks import DagTask
from standpipe.model.cluster_differences import SP104, decides
from standpipe.model.refs import RunInfo
from standpipe.model.types import Json
from standpipe.model.values import Value


class DagScope:
    """The scope of the tasks of a DAG: the inputs of the DAG, and its tasks. See `inputs.Scope`."""

    def __init__(self, dag: DagTask, run: RunInfo) -> None:
        self._dag = dag
        self._run = run

    def get_input(self, name: str) -> Value:
        return self._dag.inputs.get(name)

    def declares_input(self, name: str) -> bool:
        return name in self._dag.component.inputs

    def get_output(self, task: str, output: str) -> Value:
        return self._dag.children[task].outputs.get(output)

    def describe_end(self, task: str) -> str:
        return describe_end(self._dag.children[task])

    @decides(SP104)
    def get_final_status(self, task: str) -> Json:
        """Return KFP's `PipelineTaskFinalStatus` of a task as JSON. The error code is `UNKNOWN` of google.rpc.Code."""
        ended = self._dag.children[task]
        status: dict[str, Json] = {
            "state": ended.state.value,
            "pipelineJobResourceName": self._run.id,
            "pipelineTaskName": task,
        }
        if ended.failure:
            status["error"] = {"code": 2, "message": ended.failure.message}
        return status
