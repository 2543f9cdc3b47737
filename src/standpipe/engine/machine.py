"""The state machine of a run.

`Machine.handle(event)` decides; what it has decided are facts, and `Machine.apply(fact)` is the only thing that
changes the state. So a run can be rebuilt from its stored facts, and every rule below can be tested without a task
being run. All work is done by two agendas instead of recursion: chains and nesting may be of any depth.

The rules are those of the KFP backend. By default a task starts when every upstream task has succeeded, and is
skipped as soon as one has not; with `ALL_UPSTREAM_TASKS_COMPLETED` it starts whatever became of them. A DAG fails
when one of its tasks does, after all the others that still can have come to their end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

from standpipe.engine.binding import BindingError, bind, fit_inputs
from standpipe.engine.topology import Topology
from standpipe.errors import InternalError
from standpipe.model.events import (
    AttemptEnded,
    AttemptStarted,
    CancelRequested,
    Command,
    DagStarted,
    EndRun,
    Event,
    Fact,
    Failure,
    RunCancelled,
    RunEnded,
    RunStarted,
    Start,
    StartAttempt,
    StopAttempts,
    TaskCancelled,
    TaskFact,
    TaskFailed,
    TaskReady,
    TaskSkipped,
    TaskSucceeded,
)
from standpipe.model.plan import Component, Dag, Node, Plan, TriggerStrategy
from standpipe.model.refs import ROOT, RunInfo, TaskRef
from standpipe.model.states import TaskState
from standpipe.model.types import Json
from standpipe.model.values import Value

#: Which fact may come in which state, and the state that it leads to. Anything else is a defect.
TRANSITIONS: dict[TaskState, dict[type, TaskState]] = {
    TaskState.PENDING: {
        DagStarted: TaskState.RUNNING,
        TaskReady: TaskState.READY,
        TaskSkipped: TaskState.SKIPPED,
        TaskFailed: TaskState.FAILED,
        TaskCancelled: TaskState.CANCELLED,
    },
    TaskState.READY: {
        AttemptStarted: TaskState.RUNNING,
        TaskCancelled: TaskState.CANCELLED,
    },
    TaskState.RUNNING: {
        TaskSucceeded: TaskState.SUCCEEDED,
        TaskFailed: TaskState.FAILED,
        TaskCancelled: TaskState.CANCELLED,
    },
    TaskState.SUCCEEDED: {},
    TaskState.FAILED: {},
    TaskState.SKIPPED: {},
    TaskState.CANCELLED: {},
}


@dataclass(frozen=True)
class Step:
    """What one event led to, in order."""

    facts: tuple[Fact, ...]
    commands: tuple[Command, ...]


@dataclass(eq=False)
class _Task:
    """A task of the run. A DAG has `children` once it has started; `unfinished` counts those not yet final."""

    ref: TaskRef
    node: Node
    component: Component
    parent: _Task | None = None
    waiting: int = 0
    state: TaskState = TaskState.PENDING
    inputs: Mapping[str, Value] = field(default_factory=dict)
    outputs: Mapping[str, Value] = field(default_factory=dict)
    failure: Failure | None = None
    children: dict[str, _Task] = field(default_factory=dict)
    unfinished: int = 0

    @property
    def dag(self) -> Dag | None:
        return self.component.body if isinstance(self.component.body, Dag) else None


class Machine:
    """The state of one run.

    Args:
        plan: what runs.
        run: what the run knows of itself.
        max_parallel: how many attempts may run at once.
    """

    def __init__(self, plan: Plan, run: RunInfo, *, max_parallel: int) -> None:
        self._plan = plan
        self._run = run
        self._slots = max_parallel
        self._cancelled = False
        self._topologies: dict[int, Topology] = {}
        self._root = _Task(ROOT, Node(plan.name, component=""), plan.root)
        self._tasks: dict[TaskRef, _Task] = {ROOT: self._root}
        self._ready: deque[_Task] = deque()
        self._to_consider: deque[_Task] = deque()  # pending tasks whose upstream is final
        self._to_conclude: deque[_Task] = deque()  # running DAGs whose tasks are final
        self._failures: list[TaskFailed] = []
        self._facts: list[Fact] = []
        self._commands: list[Command] = []

    def handle(self, event: Event) -> Step:
        """Takes what happened and says what follows from it.

        Raises:
            InternalError: if the event cannot happen in the state that the run is in.
        """
        if isinstance(event, Start):
            self._start(event)
        elif isinstance(event, AttemptEnded):
            self._end_attempt(event)
        elif isinstance(event, CancelRequested):
            self._cancel()
        self._settle()
        step = Step(tuple(self._facts), tuple(self._commands))
        self._facts.clear()
        self._commands.clear()
        return step

    def state_of(self, task: TaskRef) -> TaskState:
        """The state of a task that the run has reached."""
        return self._tasks[task].state

    # --- decisions ----------------------------------------------------------------------------------------------------

    def _start(self, event: Start) -> None:
        inputs = fit_inputs(event.arguments, self._plan.root.inputs)
        self._record(RunStarted(inputs))

    def _end_attempt(self, event: AttemptEnded) -> None:
        if event.failure is None:
            self._record(TaskSucceeded(event.task, event.outputs))
        elif self._cancelled:
            self._record(TaskCancelled(event.task))
        else:
            self._record(TaskFailed(event.task, event.failure))

    def _cancel(self) -> None:
        if self._cancelled:
            return
        self._record(RunCancelled())
        if any(task.state is TaskState.RUNNING and not task.dag for task in self._tasks.values()):
            self._commands.append(StopAttempts())
        for task in tuple(self._ready):
            self._record(TaskCancelled(task.ref))

    def _settle(self) -> None:
        """Follows every consequence to its end, then hands out the free slots."""
        while self._to_consider or self._to_conclude:
            if self._to_consider:
                self._consider(self._to_consider.popleft())
            else:
                self._conclude(self._to_conclude.popleft())
        while self._ready and self._slots:
            task = self._ready[0]
            self._commands.append(StartAttempt(task.ref, task.node.component, task.inputs))
            self._record(AttemptStarted(task.ref, 0))

    def _consider(self, task: _Task) -> None:
        """Decides what becomes of a task whose upstream tasks have all come to an end."""
        node, parent = task.node, task.parent
        assert parent, "the root is never considered"
        if self._cancelled:
            self._record(TaskCancelled(task.ref))
            return
        if node.trigger.strategy is TriggerStrategy.ALL_UPSTREAM_TASKS_SUCCEEDED:
            unmet = [name for name in node.upstream if parent.children[name].state is not TaskState.SUCCEEDED]
            if unmet:
                self._record(TaskSkipped(task.ref, _because(parent.children[unmet[0]])))
                return
        try:
            field = partial(self._run.placeholder, task.ref)
            inputs = bind(node.inputs, task.component.inputs, _Siblings(parent, self._run), field)
        except BindingError as error:
            self._record(TaskFailed(task.ref, Failure(str(error))))
            return
        self._record(DagStarted(task.ref, inputs) if task.dag else TaskReady(task.ref, inputs))

    def _conclude(self, dag: _Task) -> None:
        """Decides how a DAG ended, all of whose tasks have come to an end."""
        states = {child.state for child in dag.children.values()}
        if self._cancelled and states - {TaskState.SUCCEEDED}:
            fact: TaskFact = TaskCancelled(dag.ref)
        elif TaskState.FAILED in states:
            fact = TaskFailed(dag.ref, _first_failure(dag))
        else:
            fact = self._dag_outputs(dag)
        if dag is self._root:
            self._end_run(fact)
        else:
            self._record(fact)

    def _end_run(self, fact: TaskFact) -> None:
        failures = tuple(self._failures)
        if isinstance(fact, TaskFailed) and not failures:
            failures = (fact,)
        outputs = fact.outputs if isinstance(fact, TaskSucceeded) else {}
        self._record(RunEnded(TRANSITIONS[TaskState.RUNNING][type(fact)], outputs, failures))
        self._commands.append(EndRun())

    def _dag_outputs(self, dag: _Task) -> TaskFact:
        assert dag.dag
        outputs: dict[str, Value] = {}
        for name, sources in dag.dag.outputs.items():
            for source in sources:
                child = dag.children[source.task]
                if source.output in child.outputs:
                    outputs[name] = child.outputs[source.output]
                    break
            else:
                tried = " or ".join(f"{source.output!r} of task {source.task!r}" for source in sources)
                return TaskFailed(dag.ref, Failure(f"its output {name!r} has no value: it comes from {tried}"))
        return TaskSucceeded(dag.ref, outputs)

    # --- state --------------------------------------------------------------------------------------------------------

    def _record(self, fact: Fact) -> None:
        self._facts.append(fact)
        self.apply(fact)

    def apply(self, fact: Fact) -> None:
        """Changes the state as the fact says; nothing else does."""
        if isinstance(fact, RunStarted):
            self._open(self._root, fact.inputs)
        elif isinstance(fact, RunCancelled):
            self._cancelled = True
        elif isinstance(fact, RunEnded):
            self._root.state, self._root.outputs = fact.state, fact.outputs
        else:
            self._apply_to_task(fact)

    def _apply_to_task(self, fact: TaskFact) -> None:
        task = self._tasks.get(fact.task)
        before = task.state if task else None
        if task is None or before is None or type(fact) not in TRANSITIONS[before]:
            raise InternalError(f"{type(fact).__name__} came for task '{fact.task}', which is {before}")
        if isinstance(fact, DagStarted):
            self._open(task, fact.inputs)
            return
        task.state = TRANSITIONS[before][type(fact)]
        if before is TaskState.READY:
            self._ready.remove(task)
        if isinstance(fact, TaskReady):
            task.inputs = fact.inputs
            self._ready.append(task)
        elif isinstance(fact, AttemptStarted):
            self._slots -= 1
        else:
            if before is TaskState.RUNNING and not task.dag:
                self._slots += 1
            self._close(task, fact)

    def _open(self, dag: _Task, inputs: Mapping[str, Value]) -> None:
        """Makes the tasks of a DAG; those without upstream can be considered at once."""
        assert dag.dag
        dag.state, dag.inputs = TaskState.RUNNING, inputs
        topology = self._topology(dag.dag)
        for name, node in dag.dag.nodes.items():
            component = self._plan.components[node.component]
            child = _Task(dag.ref.child(name), node, component, dag, waiting=topology.upstream_counts[name])
            dag.children[name] = self._tasks[child.ref] = child
            if not child.waiting:
                self._to_consider.append(child)
        dag.unfinished = len(dag.children)
        if not dag.unfinished:
            self._to_conclude.append(dag)

    def _close(self, task: _Task, fact: TaskFact) -> None:
        """Notes a task's end with those who wait for it: its dependents, and the DAG that it belongs to."""
        if isinstance(fact, TaskSucceeded):
            task.outputs = fact.outputs
        elif isinstance(fact, TaskFailed):
            task.failure = fact.failure
            if all(child.state is not TaskState.FAILED for child in task.children.values()):
                self._failures.append(fact)  # its own, not one of its tasks'
        parent = task.parent
        assert parent and parent.dag, "the root ends by RunEnded"
        for name in self._topology(parent.dag).dependents[task.ref.name]:
            dependent = parent.children[name]
            dependent.waiting -= 1
            if not dependent.waiting:
                self._to_consider.append(dependent)
        parent.unfinished -= 1
        if not parent.unfinished:
            self._to_conclude.append(parent)

    def _topology(self, dag: Dag) -> Topology:
        topology = self._topologies.get(id(dag))
        if topology is None:
            topology = self._topologies[id(dag)] = Topology.of(dag)
        return topology


@dataclass(frozen=True)
class _Siblings:
    """What a task of a DAG can see."""

    dag: _Task
    run: RunInfo

    def component_input(self, name: str) -> Value:
        return self.dag.inputs.get(name)

    def task_output(self, task: str, output: str) -> Value:
        return self.dag.children[task].outputs.get(output)

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


def _because(upstream: _Task) -> str:
    ended = "failed" if upstream.state is TaskState.FAILED else f"was {upstream.state.value.lower()}"
    return f"its upstream task '{upstream.ref.name}' {ended}"


def _first_failure(dag: _Task) -> Failure:
    child = next(child for child in dag.children.values() if child.state is TaskState.FAILED)
    assert child.failure
    return Failure(f"its task '{child.ref.name}' failed: {child.failure.message}", child.failure.detail)
