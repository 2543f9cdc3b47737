"""The state machine of a run.

`Machine.handle(event)` makes the decisions. Decisions are facts, and only `Machine.apply(fact)` changes the state. So a
run can be rebuilt from its stored facts, and every rule can be tested without running a task. Work is done from queues
instead of by recursion: chains and nesting may have any depth.

The rules are those of the KFP backend. By default a task starts when every upstream task has succeeded, and is skipped
as soon as one has ended otherwise; with `ALL_UPSTREAM_TASKS_COMPLETED` it starts however they end. Then its inputs are
resolved, and its condition is evaluated with them. A DAG fails when one of its tasks has failed, and a loop when one of
its iterations has, after all others that can run have ended. A task whose attempt failed is ready again if it may be
retried; while it waits for the retry it holds no slot. An attempt starts when its resources are free.

A run that has ended or was interrupted can be resumed, also with another Plan: `RunResumed` names the tasks to rerun,
and all others keep their state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from standpipe.engine.conditions import explain_skip, select_parameters
from standpipe.engine.expectations import expect_attempts
from standpipe.engine.inputs import InputError, fit_inputs, render_constant, resolve_inputs
from standpipe.engine.loops import collect_loop_outputs, fit_item, resolve_items
from standpipe.engine.outputs import OutputMissing, collect_dag_outputs, describe_end, find_failure
from standpipe.engine.resource_pool import ResourcePool
from standpipe.engine.resource_requests import resolve_request
from standpipe.engine.retries import MOST_LOST_ATTEMPTS, compute_retry_delay
from standpipe.engine.scope import DagScope
from standpipe.engine.state import RunState
from standpipe.engine.tasks import DagMember, DagTask, ExecutorTask, Iteration, LoopTask, Task
from standpipe.engine.transitions import REPLAY, TRANSITIONS, IllegalTransition
from standpipe.model.cluster_differences import SP110, SP111, SP112, decides
from standpipe.model.events import (
    AttemptEnded,
    AttemptFailed,
    AttemptReport,
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
from standpipe.model.plan import Component, Container, Dag, ExecutorRef, Plan, Retry, TriggerStrategy
from standpipe.model.refs import ROOT, RunInfo, TaskRef
from standpipe.model.resources import UNBOUNDED, Capacity, ResourcePolicy, ResourceRequest
from standpipe.model.states import TaskState
from standpipe.model.templates import Template
from standpipe.model.values import Value, flatten

#: The most tasks that start after one event; see `Machine.due`. The first iterations of a long loop run while the
#: others become ready, a cancel request is heard of, and no batch of facts is large.
_MOST_STARTS = 1000


class Step(NamedTuple):
    """The facts and commands that follow from one event, in order."""

    facts: tuple[Fact, ...]
    commands: tuple[Command, ...]


class Machine:
    """The state machine of one run.

    Args:
        plan: the Plan to run.
        run: the names and times of the run, for placeholders.
        max_parallel: how many attempts may run at once.
        capacity: what the machine has for them.
        policy: what happens to a task that requests more.
        later: the Plans that the run may be resumed with, by the names that `Resume` has for them.
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
        self._run = run
        self.capacity = capacity
        self._policy = policy
        self._state = RunState(plan, later or {}, ResourcePool(capacity, max_parallel))
        self._facts: list[Fact] = []
        self._commands: list[Command] = []

    def handle(self, event: Event, now: float) -> Step:
        """Return what follows from an event.

        Args:
            event: what has happened.
            now: seconds since the epoch, never less than in an earlier call.

        Raises:
            InternalError: if the state of the run does not allow the event.
            InputError: if the inputs of the run do not fit the Plan that it is started or resumed with.
        """
        self._state.transitions.event = type(event).__name__
        if isinstance(event, Start):
            self._start_run(event)
        elif isinstance(event, Resume):
            self._resume_run(event, now)
        elif isinstance(event, AttemptEnded):
            self._end_attempt(event, now)
        elif isinstance(event, CancelRequested):
            self._cancel_run(event)
        self._start_and_finish_tasks()
        self._start_attempts(now)
        step = Step(tuple(self._facts), tuple(self._commands))
        self._facts.clear()
        self._commands.clear()
        return step

    def apply(self, fact: Fact) -> None:
        """Change the state as a stored fact says.

        Raises:
            InternalError: if the state of the run does not allow the fact.
        """
        self._state.transitions.event = REPLAY
        self._state.apply(fact)

    @property
    def due(self) -> float | None:
        """When to send `TimePassed` unless another event comes first, 0 for at once; None if there is no need to."""
        if self._state.has_startable:
            return 0.0
        return self._state.queue.next_due if self._state.pool.has_free_slot else None

    def expect_attempts(self, limit: int) -> list[StartAttempt]:
        """Return the attempts that are expected to start next; see `expectations`. Their accelerators are not known."""
        return expect_attempts(self._state, limit, self._resolve_fixed_resources)

    @property
    def running_attempts(self) -> Iterator[tuple[TaskRef, int]]:
        """The tasks with a running attempt, and its number."""
        return ((task.ref, task.next_attempt - 1) for task in self._state.pool.holders)

    @property
    def root(self) -> DagTask:
        """The run as a task, with all others in it. Read only."""
        return self._state.root

    @property
    def plan(self) -> Plan:
        """The Plan that the tasks are of."""
        return self._state.plan

    def task(self, ref: TaskRef) -> Task:
        """Return a task that the run has reached. Read only."""
        return self._state.tasks[ref]

    def state_of(self, task: TaskRef) -> TaskState:
        """Return the state of a task that the run has reached."""
        return self._state.tasks[task].state

    def _record(self, fact: Fact) -> None:
        self._facts.append(fact)
        self._state.apply(fact)

    # --- events -------------------------------------------------------------------------------------------------------

    def _start_run(self, event: Start) -> None:
        get_field = self._make_field_getter(self._call)
        arguments = {name: render_constant(value, {}, get_field) for name, value in event.arguments.items()}
        self._record(RunStarted(fit_inputs(arguments, self._state.plan.root.inputs, get_field)))

    @property
    def _call(self) -> TaskRef:
        """The task that placeholders in the run's inputs are about: the call of the pipeline itself."""
        return ROOT.child(self._state.plan.name)

    def _resume_run(self, event: Resume, now: float) -> None:
        declared = self._state.get_plan(event.plan).root.inputs
        kept = {name: value for name, value in self.root.inputs.items() if name in declared}
        inputs = fit_inputs(kept, declared, self._make_field_getter(self._call))
        self._record(RunResumed(event.rerun_tasks, event.plan, inputs, now))

    def _end_attempt(self, event: AttemptEnded, now: float) -> None:
        task, failure = self._state.tasks.get(event.task), event.failure
        if not isinstance(task, ExecutorTask):
            raise IllegalTransition(event.task, task, type(event).__name__, type(event).__name__)
        if failure is None:
            self._record(TaskSucceeded(task.ref, event.outputs, event.report, event.cached_from))
            return
        if self._is_cancelled(task):
            self._record(self._end_cancelled(task, event.report))
            return
        retry = task.retry or Retry()
        is_lost = event.is_lost and task.lost_attempts < MOST_LOST_ATTEMPTS
        delay = 0.0 if is_lost else None
        if not is_lost and not event.is_final:
            delay = compute_retry_delay(task.retry_index, retry, task.first_started_at, now)
        if delay is not None:
            attempt = task.next_attempt - 1
            max_attempts = task.next_attempt + retry.max_retries - task.retry_index + is_lost
            self._record(AttemptFailed(task.ref, attempt, max_attempts, failure, now, delay, event.report, is_lost))
        else:
            if task.retry_index:
                failure = replace(failure, attempts=task.retry_index + 1)
            self._record(TaskFailed(task.ref, failure, event.report))

    def _cancel_run(self, event: CancelRequested) -> None:
        self._record(RunCancelled(event.reason, event.failures))
        to_stop = tuple(task.ref for task in self._state.pool.holders if self._is_cancelled(task))
        if to_stop:
            self._commands.append(StopAttempts(to_stop, urgent=self._state.cancel_requests > 1))
        for task in list(self._state.queue):
            if self._is_cancelled(task):
                self._record(self._end_cancelled(task))

    def _end_cancelled(self, task: Task, report: AttemptReport | None = None) -> TaskFact:
        """Return the end of a task that a cancel request is for: a task that cannot be set up fails with the reason."""
        failure = self._state.unprepared.find(task.ref)
        return TaskFailed(task.ref, failure, report) if failure else TaskCancelled(task.ref, report)

    def _is_cancelled(self, task: Task) -> bool:
        """Return whether a cancel request is for a task: exit tasks run until the second request."""
        requests = self._state.cancel_requests
        return requests > 1 if task.ignores_upstream_failure else requests > 0

    # --- consequences -------------------------------------------------------------------------------------------------

    def _start_and_finish_tasks(self) -> None:
        """Record the facts that follow without an attempt, of so many starts of tasks as one event may cause."""
        startable, finishable = self._state.startable, self._state.finishable
        starts = 0
        while startable or finishable:
            if not startable:
                self._finish(finishable.popleft())
            elif starts == _MOST_STARTS:
                return
            else:
                starts += 1
                self._start_task(startable.popleft())

    def _start_attempts(self, now: float) -> None:
        """Start attempts while there are resources for them."""
        state = self._state
        while state.pool.has_free_slot and (task := state.queue.find_next(now, state.pool)):
            gpus = state.pool.select_gpus(task.resources.gpus)
            self._commands.append(state.make_start(task, gpus))
            self._record(AttemptStarted(task.ref, task.next_attempt, now, gpus))

    def _start_task(self, task: Task) -> None:
        """Start, skip, cancel or fail a task whose upstream tasks are all final, or an iteration."""
        if task.state is not TaskState.PENDING:
            return  # a replayed fact has started it
        position = task.position
        if self._state.cancel_requests and self._is_cancelled(task):
            self._record(self._end_cancelled(task))
            return
        try:
            if isinstance(position, DagMember):
                self._record(self._decide_start(task, position.parent))
            elif isinstance(position, Iteration):
                self._record(self._decide_iteration_start(task, position))
        except (InputError, ExpressionError) as error:
            self._record(TaskFailed(task.ref, Failure(str(error))))

    def _decide_start(self, task: Task, dag: DagTask) -> TaskFact:
        """Return the start of a task of a DAG, or the reason to skip it."""
        reason = self._find_unmet_upstream(task, dag)
        if reason:
            return TaskSkipped(task.ref, reason)
        get_field = self._make_field_getter(task.ref)
        inputs = self._resolve_inputs(task, dag, get_field)
        if task.node.trigger.condition:
            reason = explain_skip(task.node.trigger.condition, select_parameters(inputs, task.component.inputs))
            if reason:
                return TaskSkipped(task.ref, reason)
        if isinstance(task, LoopTask):
            return LoopStarted(task.ref, inputs, resolve_items(task.loop, inputs, get_field))
        return DagStarted(task.ref, inputs) if isinstance(task, DagTask) else self._make_ready(task, inputs, get_field)

    @decides(SP110, SP111, SP112)
    def _find_unmet_upstream(self, task: Task, dag: DagTask) -> str:
        if task.node.trigger.strategy is TriggerStrategy.ALL_UPSTREAM_TASKS_SUCCEEDED:
            for name in self._state.topologies.get(dag.dag).upstream[task.ref.name]:
                upstream = dag.children[name]
                if upstream.state is not TaskState.SUCCEEDED:
                    return f"its upstream task '{name}' {describe_end(upstream)}"
        return ""

    def _resolve_inputs(self, task: Task, dag: DagTask, get_field: Callable[[str], str]) -> dict[str, Value]:
        declared = task.component.inputs
        if isinstance(task, LoopTask):
            declared = {name: declaration for name, declaration in declared.items() if name != task.loop.item_input}
        is_group = isinstance(task.component.body, Dag)
        scope = DagScope(dag, self._run, self._state.stop_reason)
        return resolve_inputs(task.node.inputs, declared, scope, get_field, is_group=is_group)

    def _make_field_getter(self, task: TaskRef) -> Callable[[str], str]:
        """Return the function that returns the values of placeholders about the run and a task."""
        return partial(self._run.placeholder, task)

    def _decide_iteration_start(self, iteration: Task, position: Iteration) -> TaskFact:
        get_field, loop = self._make_field_getter(iteration.ref), position.parent
        item = fit_item(iteration, position, get_field)
        if isinstance(iteration, ExecutorTask):
            return self._make_ready(iteration, {**loop.inputs, loop.loop.item_input: item}, get_field)
        return IterationStarted(iteration.ref, item)

    def _make_ready(
        self, task: ExecutorTask, inputs: Mapping[str, Value], get_field: Callable[[str], str]
    ) -> TaskReady:
        executor = self._state.plan.executors[task.executor.label]
        request = resolve_request(task.component, executor, inputs, self.capacity, self._policy, get_field)
        return TaskReady(task.ref, self._state.list_flattener.flatten(task.executor, inputs), request)

    def _resolve_fixed_resources(self, task: TaskRef, component: Component) -> ResourceRequest | None:
        """Return the resources of a task, None if they are invalid or depend on its inputs."""
        executor = self._state.plan.executors[component.body.label] if isinstance(component.body, ExecutorRef) else None
        if not isinstance(executor, Container) or any(
            isinstance(quantity, Template) for quantity in executor.resources.quantities.values()
        ):
            return None
        try:
            return resolve_request(component, executor, {}, self.capacity, self._policy, self._make_field_getter(task))
        except InputError:
            return None

    def _finish(self, whole: DagTask | LoopTask) -> None:
        """Decide how a DAG or loop ended whose parts are all final."""
        if whole.state is not TaskState.RUNNING:
            return  # a replayed fact has ended it
        states = {part.state for part in whole.parts}
        failure = find_failure(whole) if TaskState.FAILED in states else None
        is_cancelled = TaskState.CANCELLED in states or (self._state.cancel_requests and failure)
        if failure and (self._state.unprepared or not is_cancelled):
            fact: TaskFact = TaskFailed(whole.ref, failure)
        elif is_cancelled:
            fact = TaskCancelled(whole.ref)
        else:
            try:
                outputs = collect_loop_outputs(whole) if isinstance(whole, LoopTask) else collect_dag_outputs(whole)
                fact = TaskSucceeded(whole.ref, outputs)
            except OutputMissing as error:
                fact = TaskFailed(whole.ref, Failure(str(error)))
        if whole is self.root:
            self._end_run(fact)
        else:
            self._record(fact)

    def _end_run(self, fact: TaskFact) -> None:
        failures = tuple(self._state.failures)
        if isinstance(fact, TaskFailed) and not fact.failure.cause_task:
            failures = (*failures, fact)
        outputs = fact.outputs if isinstance(fact, TaskSucceeded) else {}
        state = TRANSITIONS[TaskState.RUNNING][type(fact)]
        self._record(RunEnded(state, {name: flatten(value) for name, value in outputs.items()}, failures))
        self._commands.append(EndRun())
