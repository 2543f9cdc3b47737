"""Resolution of names of Kubernetes objects that are inputs of pipelines or outputs of tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from standpipe.model.events import DagStarted, Fact, IterationStarted, LoopStarted, RunStarted, TaskSucceeded
from standpipe.model.plan import Constant, Dag, FromInput, Plan
from standpipe.model.refs import ROOT, TaskRef
from standpipe.model.values import Value, to_text
from standpipe.pods.settings import Name, SettingError


class NameResolver:
    """Resolves names with the values of a run, which it collects from the facts of the run.

    The thread of the driver passes the facts before it starts a task that uses their values.

    Args:
        plan: the Plan of the run.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._inputs: dict[TaskRef, Mapping[str, Value]] = {}
        self._outputs: dict[TaskRef, Mapping[str, Value]] = {}

    def __call__(self, facts: Sequence[Fact]) -> None:
        """Collect the values in facts, as a `model.ports.FactSink`."""
        for fact in facts:
            if isinstance(fact, RunStarted):
                self._inputs[ROOT] = fact.inputs
            elif isinstance(fact, (DagStarted, LoopStarted)):
                self._inputs[fact.task] = fact.inputs
            elif isinstance(fact, IterationStarted):
                self._inputs[fact.task] = self._with_item(fact)
            elif isinstance(fact, TaskSucceeded):
                self._outputs[fact.task] = fact.outputs

    def _with_item(self, iteration: IterationStarted) -> Mapping[str, Value]:
        """Return the inputs of an iteration: those of its loop, and the item."""
        path, component = iteration.task.path, self._plan.root
        for name, _ in path:
            assert isinstance(component.body, Dag), "a component with tasks is a DAG"
            node = component.body.nodes[name]
            component = self._plan.components[node.component]
        assert node.loop, "only loops have iterations"
        loop = TaskRef((*path[:-1], (iteration.task.name, None)))
        return {**self._inputs[loop], node.loop.item_input: iteration.item}

    def resolve(self, source: Name, task: TaskRef) -> str | None:
        """Return the name for a task; None if it comes from an optional input without a value.

        Raises:
            SettingError: if the input does not exist, or the name is empty.
        """
        value = self.value(source, task)
        if value == "":
            raise SettingError("the name of a secret, config map or PVC is empty")
        return None if value is None else to_text(value)

    def value(self, source: Name, task: TaskRef) -> Value:
        """Return the value of a source for a task; None if it has none.

        Raises:
            SettingError: if the input does not exist.
        """
        if isinstance(source, Constant):
            return source.value
        if isinstance(source, FromInput):
            inputs = self._inputs.get(task.parent, {})
            if source.input not in inputs:
                raise SettingError(
                    f"the name of a secret, config map or PVC comes from the input {source.input!r}, which its "
                    "pipeline does not have"
                )
            return inputs[source.input]
        return self._outputs.get(task.parent.child(source.task), {}).get(source.output)
