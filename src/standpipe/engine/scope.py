"""What a task of a DAG can see."""

from __future__ import annotations

from dataclasses import dataclass

from standpipe.engine.outputs import how_ended
from standpipe.engine.tasks import Task
from standpipe.model.refs import RunInfo
from standpipe.model.types import Json
from standpipe.model.values import Value


@dataclass(frozen=True)
class Siblings:
    """The scope of a task: the inputs of its DAG, and the other tasks of that DAG."""

    dag: Task
    run: RunInfo

    def component_input(self, name: str) -> Value:
        return self.dag.inputs.get(name)

    def takes(self, name: str) -> bool:
        return name in self.dag.component.inputs

    def task_output(self, task: str, output: str) -> Value:
        return self.dag.children[task].outputs.get(output)

    def how_ended(self, task: str) -> str:
        return how_ended(self.dag.children[task])

    def final_status(self, task: str) -> Json:
        """KFP's `PipelineTaskFinalStatus` as JSON; the code is `UNKNOWN` of google.rpc.Code."""
        sibling = self.dag.children[task]
        status: dict[str, Json] = {
            "state": sibling.state.value,
            "pipelineJobResourceName": self.run.id,
            "pipelineTaskName": task,
        }
        if sibling.failure:
            status["error"] = {"code": 2, "message": sibling.failure.message}
        return status
