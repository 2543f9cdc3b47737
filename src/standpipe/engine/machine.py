"""The state machine of a run.

`Machine.handle(event)` decides; what it has decided are facts, and `Machine.apply(fact)` is the only thing that
changes the state. So a run can be rebuilt from its stored facts, and every rule below can be tested without a task
being run. All work is done by two agendas instead of recursion: chains and nesting may be of any depth.

The rules are those of the KFP backend. By default a task starts when every upstream task has succeeded, and is
skipped as soon as one has not; with `ALL_UPSTREAM_TASKS_COMPLETED` it starts whatever became of them. Then its inputs
are looked up, and its condition is decided by them. A DAG fails when one of its tasks does, and a loop when one of its
iterations does, after all the others that still can have come to their end. A task whose attempt failed is ready
again if it may be retried; it holds no slot while it waits for its time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from heapq import heappop, heappush

from standpipe.engine.binding import BindingError, bind, fit_inputs
from standpipe.engine.conditions import parameters_of, why_skipped
from standpipe.engine.consumers import Consumers
from standpipe.engine.loops import gathered_outputs, item_of, items_of
from standpipe.engine.outputs import OutputMissing, dag_outputs, first_failure, how_ended
from standpipe.engine.retries import delay_before_next
from standpipe.engine.siblings import Siblings
from standpipe.engine.tasks import Task
from standpipe.engine.topology import Topology
from standpipe.errors import InternalError
from standpipe.model.events import (
    AttemptEnded,
    AttemptFailed,
    AttemptStarted,
    CancelRequested,
    Command,
    DagStarted,
    EndRun,
    Event,
    Fact,
    Failure,
    IterationStarted,
    LoopStarted,
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
from standpipe.model.expressions import ExpressionError
from standpipe.model.plan import Dag, Node, Plan, Retry, TriggerStrategy
from standpipe.model.refs import ROOT, RunInfo, TaskRef
from standpipe.model.states import TaskState
from standpipe.model.values import Value, flattened

#: Which fact may come in which state, and the state that it leads to. Anything else is a defect.
TRANSITIONS: dict[TaskState, dict[type, TaskState]] = {
    TaskState.PENDING: {
        DagStarted: TaskState.RUNNING,
        LoopStarted: TaskState.RUNNING,
        IterationStarted: TaskState.RUNNING,
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
        AttemptFailed: TaskState.READY,
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
        self._consumers = Consumers(plan)
        self._max_parallel = max_parallel
        self._running: dict[TaskRef, Task] = {}  # with an attempt each
        self._cancels = 0  # how often the user asked to stop
        self._topologies: dict[int, Topology] = {}
        self._root = Task(ROOT, Node(plan.name, component=""), plan.root)
        self._tasks: dict[TaskRef, Task] = {ROOT: self._root}
        self._ready: deque[Task] = deque()  # for their first attempts
        self._resting: list[tuple[float, int, Task]] = []  # a heap: for another attempt, by when that is due
        self._rested = 0  # how many ever were there: those that are due at the same time go by their order
        self._to_consider: deque[Task] = deque()  # pending tasks whose upstream is final, and admitted iterations
        self._to_conclude: deque[Task] = deque()  # running DAGs and loops whose parts are final
        self._failures: list[TaskFailed] = []
        self._facts: list[Fact] = []
        self._commands: list[Command] = []

    def handle(self, event: Event, now: float) -> Step:
        """Takes what happened and says what follows from it.

        `now` is when that is, in seconds since the epoch; it never goes back.

        Raises:
            InternalError: if the event cannot happen in the state that the run is in.
        """
        if isinstance(event, Start):
            self._start(event)
        elif isinstance(event, AttemptEnded):
            self._end_attempt(event, now)
        elif isinstance(event, CancelRequested):
            self._cancel()
        self._settle(now)
        step = Step(tuple(self._facts), tuple(self._commands))
        self._facts.clear()
        self._commands.clear()
        return step

    @property
    def due(self) -> float | None:
        """When `TimePassed` must be told, unless something else happens before; None if nothing waits for its time."""
        resting = self._first_resting()
        return resting.due if resting and self._has_free_slot else None

    def state_of(self, task: TaskRef) -> TaskState:
        """The state of a task that the run has reached."""
        return self._tasks[task].state

    # --- decisions ----------------------------------------------------------------------------------------------------

    def _start(self, event: Start) -> None:
        inputs = fit_inputs(event.arguments, self._plan.root.inputs)
        self._record(RunStarted(inputs))

    def _end_attempt(self, event: AttemptEnded, now: float) -> None:
        task, failure = self._tasks[event.task], event.failure
        if failure is None:
            self._record(TaskSucceeded(task.ref, event.outputs, event.report, event.cached))
            return
        if self._is_called_off(task):
            self._record(TaskCancelled(task.ref, event.report))
            return
        retry = task.retry or Retry()
        delay = delay_before_next(task.failed, retry, task.began, now)
        if delay is not None:
            self._record(AttemptFailed(task.ref, task.failed, retry.max_retries + 1, failure, now, delay, event.report))
        else:
            tried_again = replace(failure, attempts=task.failed + 1) if task.failed else failure
            self._record(TaskFailed(task.ref, tried_again, event.report))

    def _cancel(self) -> None:
        self._record(RunCancelled())
        to_stop = tuple(ref for ref, task in self._running.items() if self._is_called_off(task))
        if to_stop:
            self._commands.append(StopAttempts(to_stop))
        for task in (*self._ready, *self._all_resting()):
            if self._is_called_off(task):
                self._record(TaskCancelled(task.ref))

    def _is_called_off(self, task: Task) -> bool:
        """Whether the user's wish to stop holds for a task: exit tasks clean up, until asked again."""
        return self._cancels > 1 if task.after_all else self._cancels > 0

    def _settle(self, now: float) -> None:
        """Follows every consequence to its end, then hands out the free slots."""
        while self._to_consider or self._to_conclude:
            if self._to_consider:
                self._consider(self._to_consider.popleft())
            else:
                self._conclude(self._to_conclude.popleft())
        while self._has_free_slot and (task := self._next_ready(now)):
            self._commands.append(
                StartAttempt(task.ref, task.node.component, task.inputs, task.failed, task.failed, task.node.caching)
            )
            self._record(AttemptStarted(task.ref, task.failed, now))

    @property
    def _has_free_slot(self) -> bool:
        return len(self._running) < self._max_parallel

    def _next_ready(self, now: float) -> Task | None:
        """Who gets a slot: those whose time has come begin exactly then, before all that have not begun at all."""
        resting = self._first_resting()
        if resting and resting.due <= now:
            return resting
        return self._ready[0] if self._ready else None

    def _consider(self, task: Task) -> None:
        """Decides what becomes of a task whose upstream tasks have all come to an end, or of an iteration."""
        if task.state is not TaskState.PENDING:
            return  # a replayed fact has decided it
        if self._is_called_off(task):
            self._record(TaskCancelled(task.ref))
            return
        try:
            self._record(self._started_iteration(task) if task.is_iteration else self._started(task))
        except (BindingError, ExpressionError) as error:
            self._record(TaskFailed(task.ref, Failure(str(error))))

    def _started(self, task: Task) -> TaskFact:
        """The start of a task whose upstream tasks have all come to an end, unless something skips it."""
        because = self._unmet_upstream(task)
        if because:
            return TaskSkipped(task.ref, because)
        inputs = self._bound(task)
        if task.node.trigger.condition:
            because = why_skipped(task.node.trigger.condition, parameters_of(inputs, task.component.inputs))
            if because:
                return TaskSkipped(task.ref, because)
        if task.loop:
            return LoopStarted(task.ref, inputs, items_of(task.loop, inputs))
        return DagStarted(task.ref, inputs) if task.dag else self._ready_for_attempt(task, inputs)

    def _unmet_upstream(self, task: Task) -> str:
        assert task.parent, "the root is never considered"
        assert task.parent.dag
        if task.node.trigger.strategy is TriggerStrategy.ALL_UPSTREAM_TASKS_SUCCEEDED:
            for name in self._topology(task.parent.dag).upstream[task.ref.name]:
                upstream = task.parent.children[name]
                if upstream.state is not TaskState.SUCCEEDED:
                    return f"its upstream task '{name}' {how_ended(upstream)}"
        return ""

    def _bound(self, task: Task) -> dict[str, Value]:
        assert task.parent
        declared = task.component.inputs
        if task.loop:
            declared = {name: found for name, found in declared.items() if name != task.loop.item_input}
        field = partial(self._run.placeholder, task.ref)
        return bind(task.node.inputs, declared, Siblings(task.parent, self._run), field)

    def _started_iteration(self, iteration: Task) -> TaskFact:
        loop = iteration.parent
        assert loop
        assert loop.loop
        item = item_of(loop.loop, iteration)
        if iteration.dag:
            return IterationStarted(iteration.ref, item)
        return self._ready_for_attempt(iteration, {**loop.inputs, loop.loop.item_input: item})

    def _ready_for_attempt(self, task: Task, inputs: Mapping[str, Value]) -> TaskReady:
        return TaskReady(task.ref, self._consumers.adapted(task.component, inputs))

    def _conclude(self, whole: Task) -> None:
        """Decides how a DAG or loop ended, all of whose parts have come to an end."""
        if whole.state is not TaskState.RUNNING:
            return  # a replayed fact has decided it
        states = {part.state for part in whole.parts}
        if TaskState.CANCELLED in states or (self._cancels and TaskState.FAILED in states):
            fact: TaskFact = TaskCancelled(whole.ref)
        elif TaskState.FAILED in states:
            fact = TaskFailed(whole.ref, first_failure(whole))
        else:
            try:
                fact = TaskSucceeded(whole.ref, gathered_outputs(whole) if whole.loop else dag_outputs(whole))
            except OutputMissing as error:
                fact = TaskFailed(whole.ref, Failure(str(error)))
        if whole is self._root:
            self._end_run(fact)
        else:
            self._record(fact)

    def _end_run(self, fact: TaskFact) -> None:
        failures = tuple(self._failures)
        if isinstance(fact, TaskFailed) and not fact.failure.within:
            failures = (*failures, fact)
        outputs = fact.outputs if isinstance(fact, TaskSucceeded) else {}
        state = TRANSITIONS[TaskState.RUNNING][type(fact)]
        self._record(RunEnded(state, {name: flattened(value) for name, value in outputs.items()}, failures))
        self._commands.append(EndRun())

    # --- state --------------------------------------------------------------------------------------------------------

    def _record(self, fact: Fact) -> None:
        self._facts.append(fact)
        self.apply(fact)

    def apply(self, fact: Fact) -> None:
        """Changes the state as the fact says; nothing else does."""
        if isinstance(fact, RunStarted):
            self._open_dag(self._root, fact.inputs)
        elif isinstance(fact, RunCancelled):
            self._cancels += 1
        elif isinstance(fact, RunEnded):
            self._root.state, self._root.outputs = fact.state, fact.outputs
        else:
            self._apply_to_task(fact)

    def _apply_to_task(self, fact: TaskFact) -> None:
        task = self._tasks.get(fact.task)
        before = task.state if task else None
        if task is None or before is None or type(fact) not in TRANSITIONS[before]:
            raise InternalError(f"{type(fact).__name__} came for task '{fact.task}', which is {before}")
        task.state = TRANSITIONS[before][type(fact)]
        if before is TaskState.READY and not task.failed:
            self._ready.remove(task)
        self._running.pop(task.ref, None)
        if isinstance(fact, DagStarted):
            self._open_dag(task, fact.inputs)
        elif isinstance(fact, IterationStarted):
            assert task.parent
            assert task.parent.loop
            self._open_dag(task, {**task.parent.inputs, task.parent.loop.item_input: fact.item})
        elif isinstance(fact, LoopStarted):
            self._open_loop(task, fact)
        elif isinstance(fact, TaskReady):
            task.inputs = fact.inputs
            self._ready.append(task)
        elif isinstance(fact, AttemptStarted):
            self._running[task.ref] = task
            if not fact.attempt:
                task.began = fact.at
        elif isinstance(fact, AttemptFailed):
            task.failed, task.due = fact.attempt + 1, fact.due
            heappush(self._resting, (task.due, self._rested, task))
            self._rested += 1
        else:
            self._close(task, fact)

    def _first_resting(self) -> Task | None:
        """The task whose next attempt is due first. Those that began or were cancelled are forgotten here."""
        while self._resting:
            due, _, task = self._resting[0]
            if task.state is TaskState.READY and task.due == due:
                return task
            heappop(self._resting)
        return None

    def _all_resting(self) -> tuple[Task, ...]:
        return tuple(dict.fromkeys(task for _, _, task in self._resting if task.state is TaskState.READY))

    def _open_dag(self, dag: Task, inputs: Mapping[str, Value]) -> None:
        """Makes the tasks of a DAG; those without upstream can be considered at once."""
        assert dag.dag
        dag.state, dag.inputs = TaskState.RUNNING, inputs
        topology = self._topology(dag.dag)
        for name, node in dag.dag.nodes.items():
            component = self._plan.components[node.component]
            child = Task(dag.ref.child(name), node, component, dag, waiting=len(topology.upstream[name]))
            dag.children[name] = self._tasks[child.ref] = child
            if not child.waiting:
                self._to_consider.append(child)
        self._await_parts(dag)

    def _open_loop(self, loop: Task, fact: LoopStarted) -> None:
        """Makes the iterations of a loop; as many as may run at once can be considered."""
        assert loop.parent
        loop.inputs = fact.inputs
        for number, item in enumerate(fact.items):
            ref = loop.parent.ref.child(loop.ref.name, number)
            iteration = Task(ref, loop.node, loop.component, loop, item=item)
            loop.iterations.append(iteration)
            self._tasks[ref] = iteration
        self._await_parts(loop)
        self._admit(loop)

    def _await_parts(self, whole: Task) -> None:
        whole.unfinished = len(whole.parts)
        if not whole.unfinished:
            self._to_conclude.append(whole)

    def _admit(self, loop: Task) -> None:
        """Lets iterations start, in order, while fewer are open than may be."""
        assert loop.loop
        final = len(loop.iterations) - loop.unfinished
        end = min(len(loop.iterations), final + (loop.loop.parallelism or len(loop.iterations)))
        self._to_consider.extend(loop.iterations[loop.admitted : end])
        loop.admitted = max(loop.admitted, end)

    def _close(self, task: Task, fact: TaskFact) -> None:
        """Notes a task's end with those who wait for it: its dependents, and the DAG or loop that it belongs to."""
        if isinstance(fact, TaskSucceeded):
            task.outputs = fact.outputs
        elif isinstance(fact, TaskFailed):
            task.failure = fact.failure
            if not fact.failure.within:
                self._failures.append(fact)
        parent = task.parent
        assert parent, "the root ends by RunEnded"
        parent.unfinished -= 1
        if not parent.unfinished:
            self._to_conclude.append(parent)
        if parent.loop:
            self._admit(parent)
            return
        assert parent.dag
        for name in self._topology(parent.dag).dependents[task.ref.name]:
            dependent = parent.children[name]
            dependent.waiting -= 1
            if not dependent.waiting:
                self._to_consider.append(dependent)

    def _topology(self, dag: Dag) -> Topology:
        topology = self._topologies.get(id(dag))
        if topology is None:
            topology = self._topologies[id(dag)] = Topology.of(dag)
        return topology
