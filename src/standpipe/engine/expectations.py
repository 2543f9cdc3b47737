"""The attempts that are expected to start next: what waits for resources, and what follows if all attempts succeed.

Whether a task runs can depend on what the tasks before it return. So this is an expectation: a task may fail, or its
dependent be skipped or cached.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping

from standpipe.engine.state import RunState
from standpipe.engine.tasks import DagMember, DagTask, ExecutorTask, Iteration, LoopTask, Task, make_task
from standpipe.model.events import StartAttempt
from standpipe.model.plan import Component, FromInput, FromTask
from standpipe.model.refs import TaskRef
from standpipe.model.resources import ResourceRequest
from standpipe.model.states import TaskState
from standpipe.model.types import ArtifactInput, ParameterOutput
from standpipe.model.values import Value, find_artifacts

#: Returns the resources of a task of a component; None if they depend on values that are not known yet.
ResolveResources = Callable[[TaskRef, Component], "ResourceRequest | None"]


def expect_attempts(state: RunState, limit: int, resolve_resources: ResolveResources) -> list[StartAttempt]:
    """Return the attempts that are expected to start next, in that order, if all attempts before them succeed.

    The inputs are complete for tasks that are ready. Those of the others are the artifacts, all of which exist: an
    attempt that reads an artifact that is not written yet is not expected.

    Args:
        state: the state of the run, which takes no event meanwhile.
        limit: the most attempts to return.
        resolve_resources: returns what an attempt acquires.
    """
    if state.cancel_requests:
        return []
    ready = state.queue.peek(limit)
    expected = [state.make_start(task) for task in ready]
    outlook = _Outlook(state, resolve_resources)
    ending: deque[Task] = deque([*state.pool.holders, *ready])
    while ending and len(expected) < limit:
        for task in outlook.end(ending.popleft()):
            expected += outlook.start(task)
            ending.append(task)
    return expected[:limit]


class _Outlook:
    """What follows if tasks succeed, one after the other."""

    def __init__(self, state: RunState, resolve_resources: ResolveResources) -> None:
        self._state = state
        self._resolve_resources = resolve_resources
        self._ended: set[TaskRef] = set()
        self._ended_parts: Counter[TaskRef] = Counter()  # of DAGs and loops

    def end(self, task: Task) -> Iterator[Task]:
        """Yield the pending tasks that can start once a task has succeeded, and all before it."""
        whole: Task | None = task
        while whole is not None:
            task, whole = whole, None
            self._ended.add(task.ref)
            position = task.position
            if isinstance(position, DagMember):
                whole = self._end_part(position.parent)
                yield from self._find_dependents(task, position.parent)
            elif isinstance(position, Iteration):
                loop = position.parent
                whole = self._end_part(loop)
                number = loop.next_to_admit + self._ended_parts[loop.ref] - 1
                following = loop.iterations[number : number + 1]  # a resumed run has kept some that succeeded
                yield from (iteration for iteration in following if iteration.state is TaskState.PENDING)

    def _end_part(self, whole: DagTask | LoopTask) -> Task | None:
        """Count the end of a part of a DAG or loop; return the whole if it was the last one."""
        self._ended_parts[whole.ref] += 1
        return whole if self._ended_parts[whole.ref] == whole.unfinished_parts else None

    def _find_dependents(self, task: Task, dag: DagTask) -> Iterator[Task]:
        topology = self._state.topologies.get(dag.dag)
        for name in topology.dependents[task.ref.name]:
            dependent = dag.children[name]
            is_certain = dependent.state is TaskState.PENDING and dependent.node.trigger.condition is None
            if is_certain and all(self._has_succeeded(dag.children[other]) for other in topology.upstream[name]):
                yield dependent

    def _has_succeeded(self, task: Task) -> bool:
        return task.state is TaskState.SUCCEEDED or task.ref in self._ended

    def start(self, task: Task) -> list[StartAttempt]:
        """Return the attempts that are expected once a pending task starts."""
        if isinstance(task, ExecutorTask):
            artifacts = self._find_inputs(task)
            return [] if artifacts is None else self._expect(task, artifacts, task.next_attempt)
        return self._open(task) if isinstance(task, DagTask) else []

    def _open(self, dag: DagTask) -> list[StartAttempt]:
        """Return the first attempts of a DAG that has not started, of which only parameters are inputs.

        How many tasks run beside them is known only if none in the DAG has a condition or is a loop.
        """
        attempts: list[StartAttempt] = []
        if any(node.trigger.condition or node.loop for node in dag.dag.nodes.values()):
            return attempts
        for name, node in dag.dag.nodes.items():
            component = self._state.plan.components[node.component]
            has_artifacts = any(isinstance(declared, ArtifactInput) for declared in component.inputs.values())
            task = make_task(dag.ref.child(name), node, component, DagMember(dag))
            if isinstance(task, ExecutorTask) and not node.upstream and not has_artifacts:
                attempts += self._expect(task, {}, self._state.count_earlier_attempts(task.ref))
        return attempts

    def _expect(self, task: ExecutorTask, artifacts: Mapping[str, Value], attempt: int) -> list[StartAttempt]:
        resources = self._resolve_resources(task.ref, task.component)
        if resources is None:
            return []
        return [
            StartAttempt(
                task.ref,
                task.node.component,
                artifacts,
                attempt,
                caching=task.node.caching,
                resources=resources,
                concurrency=self._state.estimate_concurrency(task, resources),
            )
        ]

    def _find_inputs(self, task: ExecutorTask) -> Mapping[str, Value] | None:
        """Return the artifacts among the inputs of a task; None if one is not known yet."""
        position = task.position
        if isinstance(position, Iteration):
            loop = position.parent
            return _select_artifacts({**loop.inputs, loop.loop.item_input: position.item})
        assert isinstance(position, DagMember), "only the run itself has no position"
        dag, inputs = position.parent, {}
        for name, binding in task.node.inputs.items():
            if isinstance(binding, FromInput):
                inputs[name] = dag.inputs.get(binding.input)
            elif isinstance(binding, FromTask):
                producer = dag.children[binding.task]
                if producer.state is TaskState.SUCCEEDED:
                    inputs[name] = producer.outputs.get(binding.output)
                elif not isinstance(producer.component.outputs.get(binding.output), ParameterOutput):
                    return None
        return _select_artifacts(inputs)


def _select_artifacts(inputs: Mapping[str, Value]) -> dict[str, Value]:
    return {name: value for name, value in inputs.items() if any(find_artifacts([value]))}
