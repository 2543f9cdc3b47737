"""The values that the tasks of a DAG can refer to."""

from __future__ import annotations

from standpipe.engine.outputs import describe_end
from standpipe.engine.tasks import DagTask
from standpipe.model.cluster_differences import SP104, decides
from standpipe.model.refs import RunInfo
from standpipe.model.states import TaskState
from standpipe.model.types import Json
from standpipe.model.values import Value


class DagScope:
    """The scope of the tasks of a DAG: the inputs of the DAG, and its tasks. See `inputs.Scope`.

    Args:
        dag: the DAG.
        run: the run.
        stop_reason: why the run is being stopped; empty if it is not, or if the user cancelled it.
    """

    def __init__(self, dag: DagTask, run: RunInfo, stop_reason: str = "") -> None:
        self._dag = dag
        self._run = run
        self._stop_reason = stop_reason

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
        elif self._stop_reason and ended.state is TaskState.CANCELLED:
            status["error"] = {"code": 2, "message": f"The run was stopped: {self._stop_reason}."}
        return status
