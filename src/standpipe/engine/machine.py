"""The state machine of a run.

`Machine.handle(event)` decides; what it has decided are facts, and `Machine.apply(fact)` is the only thing that
changes the state. So a run can be rebuilt from its stored facts, and every rule below can be tested without a task
being run. All work is done by two agendas instead of recursion: chains and nesting may be of any depth.

The rules are those of the KFP backend. By default a task starts when every upstream task has succeeded, and is
skipped as soon as one has not; with `ALL_UPSTREAM_TASKS_COMPLETED` it starts whatever became of them. Then its inputs
are looked up, and its condition is decided by them. A DAG fails when one of its tasks does, and a loop when one of its
iterations does, after all the others that still can have come to their end. A task whose attempt failed is ready
again if it may be retried; it holds no slot while it waits for its time. An attempt starts when there is room for what
it needs of the machine.

A run that had ended or was interrupted can go on, with another Plan too: `RunResumed` takes the tasks out that are to
be done again, and all else stays as it was.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

from standpipe.engine.conditions import parameters_of, why_skipped
from standpipe.engine.inputs import BindingError, bind, fit_inputs
from standpipe.engine.loops import gathered_outputs, item_of, items_of
from standpipe.engine.nested_lists import Consumers
from standpipe.engine.outputs import OutputMissing, dag_outputs, first_failure, how_ended
from standpipe.engine.ready_queue import Waiting
from standpipe.engine.resource_pool import Room
from standpipe.engine.resource_requests import needs_of
from standpipe.engine.resume import reopened
from standpipe.engine.retries import delay_before_next
from standpipe.engine.scope import Siblings
from standpipe.engine.tasks import Task
from standpipe.engine.topology import Topologies
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
    Resume,
    RunCancelled,
    RunEnded,
    RunResumed,
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
from standpipe.model.plan import ExecutorRef, Node, Plan, Retry, TriggerStrategy
from standpipe.model.refs import ROOT, RunInfo, TaskRef
from standpipe.model.resources import UNBOUNDED, Capacity, ResourcePolicy
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
        capacity: what the machine has for them.
        policy: what becomes of a task that asks for more.
        later: the Plans that the run goes on with when it is resumed, by their digests.
    """

    def __init__(
        self,
        plan: Plan,
        run: RunInfo,
        *,
        max_parallel: int,
        capacity: Capacity = UNBOUNDED,
        policy: ResourcePolicy = ResourcePolicy.CLAMP,
        later: Mapping[str, Plan] | None = None,
    ) -> None:
        self._plan = plan
        self._run = run
        self._capacity = capacity
        self._policy = policy
        self._later = later or {}
        self._consumers = Consumers(plan)
        self._topologies = Topologies()
        self._room = Room(capacity, max_parallel)
        self._waiting = Waiting()
        self._cancels = 0  # how often the user asked to stop
        self._root = Task(ROOT, Node(plan.name, component=""), plan.root)
        self._tasks: dict[TaskRef, Task] = {ROOT: self._root}
        self._attempts: dict[TaskRef, int] = {}  # how many there were before the run was resumed
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
            BindingError: if the run's own inputs do not fit the Plan that it starts or goes on with.
        """
        if isinstance(event, Start):
            self._start(event)
        elif isinstance(event, Resume):
            self._resume(event)
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
        return self._waiting.next_due if self._room.has_slot else None

    @property
    def root(self) -> Task:
        """The run itself as a task, with all others in it; to be read only."""
        return self._root

    def task(self, ref: TaskRef) -> Task:
        """A task that the run has reached; to be read only."""
        return self._tasks[ref]

    def state_of(self, task: TaskRef) -> TaskState:
        """The state of a task that the run has reached."""
        return self._tasks[task].state

    # --- decisions ----------------------------------------------------------------------------------------------------

    def _start(self, event: Start) -> None:
        inputs = fit_inputs(event.arguments, self._plan.root.inputs)
        self._record(RunStarted(inputs))

    def _resume(self, event: Resume) -> None:
        declared = self._later.get(event.plan, self._plan).root.inputs
        kept = {name: value for name, value in self._root.inputs.items() if name in declared}
        self._record(RunResumed(event.again, event.plan, fit_inputs(kept, declared)))

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
            attempt = task.attempts - 1
            of = attempt - task.failed + retry.max_retries + 1
            self._record(AttemptFailed(task.ref, attempt, of, failure, now, delay, event.report))
        else:
            tried_again = replace(failure, attempts=task.failed + 1) if task.failed else failure
            self._record(TaskFailed(task.ref, tried_again, event.report))

    def _cancel(self) -> None:
        self._record(RunCancelled())
        to_stop = tuple(task.ref for task in self._room.holders if self._is_called_off(task))
        if to_stop:
            self._commands.append(StopAttempts(to_stop, now=self._cancels > 1))
        for task in list(self._waiting):
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
        while self._room.has_slot and (task := self._waiting.next(now, self._room)):
            self._begin_attempt(task, now)

    def _begin_attempt(self, task: Task, now: float) -> None:
        gpus = self._room.free_gpus(task.needs.gpus)
        self._commands.append(
            StartAttempt(
                task.ref,
                task.node.component,
                task.inputs,
                attempt=task.attempts,
                retry_index=task.failed,
                caching=task.node.caching,
                needs=task.needs,
                gpus=gpus,
            )
        )
        self._record(AttemptStarted(task.ref, task.attempts, now, gpus))

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
            for name in self._topologies.of(task.parent.dag).upstream[task.ref.name]:
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
        assert isinstance(task.component.body, ExecutorRef), "DAGs are opened"
        executor = self._plan.executors[task.component.body.label]
        field = partial(self._run.placeholder, task.ref)
        needs = needs_of(task.component, executor, inputs, self._capacity, self._policy, field)
        return TaskReady(task.ref, self._consumers.adapted(task.component, inputs), needs)

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
        elif isinstance(fact, RunResumed):
            self._reopen(fact)
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
        self._room.give_back(task)
        if isinstance(fact, DagStarted):
            self._open_dag(task, fact.inputs)
        elif isinstance(fact, IterationStarted):
            assert task.parent
            assert task.parent.loop
            self._open_dag(task, {**task.parent.inputs, task.parent.loop.item_input: fact.item})
        elif isinstance(fact, LoopStarted):
            self._open_loop(task, fact)
        elif isinstance(fact, TaskReady):
            task.inputs, task.needs = fact.inputs, fact.needs
            self._waiting.add(task)
        elif isinstance(fact, AttemptStarted):
            task.attempts = fact.attempt + 1
            if not task.failed:
                task.began = fact.at
            self._room.take(task, fact.gpus)
        elif isinstance(fact, AttemptFailed):
            task.failed, task.due = task.failed + 1, fact.due
            self._waiting.rest(task)
        else:
            self._close(task, fact)

    def _reopen(self, fact: RunResumed) -> None:
        """Lets the run go on, all of whose attempts have ended somehow."""
        self._attempts.update({ref: task.attempts for ref, task in self._tasks.items() if task.attempts})
        self._plan = self._later.get(fact.plan, self._plan)
        self._consumers, self._topologies = Consumers(self._plan), Topologies()
        self._room.clear()
        self._waiting = Waiting()
        self._cancels = 0
        for left in (self._tasks, self._to_consider, self._to_conclude, self._failures):
            left.clear()
        self._root.become(self._root.node, self._plan.root)
        self._root.inputs = fact.inputs
        for task in reopened(self._root, self._plan, frozenset(fact.again)):
            self._tasks[task.ref] = task
            self._go_on(task)

    def _go_on(self, task: Task) -> None:
        """Puts a task of a run that is resumed where it belongs."""
        if task.state is TaskState.PENDING:
            task.attempts = self._attempts.get(task.ref, 0)
            if task.parent and task.parent.dag:
                self._await_upstream(task)
        elif task.state is TaskState.READY:
            (self._waiting.rest if task.failed else self._waiting.add)(task)
        elif task.state is TaskState.RUNNING:
            self._await_parts(task)
            if task.loop:
                self._admit(task)

    def _open_dag(self, dag: Task, inputs: Mapping[str, Value]) -> None:
        """Makes the tasks of a DAG; those without upstream can be considered at once."""
        assert dag.dag
        dag.state, dag.inputs = TaskState.RUNNING, inputs
        for name, node in dag.dag.nodes.items():
            child = Task(dag.ref.child(name), node, self._plan.components[node.component], dag)
            child.attempts = self._attempts.get(child.ref, 0)
            dag.children[name] = self._tasks[child.ref] = child
        for child in dag.children.values():
            self._await_upstream(child)
        self._await_parts(dag)

    def _open_loop(self, loop: Task, fact: LoopStarted) -> None:
        """Makes the iterations of a loop; as many as may run at once can be considered."""
        assert loop.parent
        loop.inputs = fact.inputs
        for number, item in enumerate(fact.items):
            ref = loop.parent.ref.child(loop.ref.name, number)
            iteration = Task(ref, loop.node, loop.component, loop, item=item)
            iteration.attempts = self._attempts.get(ref, 0)
            loop.iterations.append(iteration)
            self._tasks[ref] = iteration
        self._await_parts(loop)
        self._admit(loop)

    def _await_upstream(self, task: Task) -> None:
        """Counts the upstream tasks that are not final; a task without any can be considered at once."""
        assert task.parent
        assert task.parent.dag
        upstream = self._topologies.of(task.parent.dag).upstream[task.ref.name]
        task.waiting = sum(not task.parent.children[name].state.is_final for name in upstream)
        if not task.waiting:
            self._to_consider.append(task)

    def _await_parts(self, whole: Task) -> None:
        """Counts the parts that are not final; without any, it can be concluded."""
        whole.unfinished = sum(not part.state.is_final for part in whole.parts)
        if not whole.unfinished:
            self._to_conclude.append(whole)

    def _admit(self, loop: Task) -> None:
        """Lets iterations start, in order, while fewer are open than may be."""
        assert loop.loop
        most = loop.loop.parallelism or len(loop.iterations)
        while loop.open < most and loop.admitted < len(loop.iterations):
            iteration = loop.iterations[loop.admitted]
            loop.admitted += 1
            if iteration.state is TaskState.PENDING:
                loop.open += 1
                self._to_consider.append(iteration)

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
            parent.open -= 1
            self._admit(parent)
            return
        assert parent.dag
        for name in self._topologies.of(parent.dag).dependents[task.ref.name]:
            dependent = parent.children[name]
            dependent.waiting -= 1
            if not dependent.waiting:
                self._to_consider.append(dependent)
