"""The state of a run, which only facts change."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from standpipe.engine.concurrency import ConcurrencyEstimator
from standpipe.engine.nested_lists import ListFlattener
from standpipe.engine.ready_queue import ReadyQueue
from standpipe.engine.resource_pool import ResourcePool
from standpipe.engine.resume import resume_tasks
from standpipe.engine.tasks import (
    DagMember,
    DagTask,
    ExecutorTask,
    Iteration,
    LoopTask,
    Task,
    make_root,
    make_task,
)
from standpipe.engine.topology import Topologies
from standpipe.engine.transitions import IllegalTransition, Transitions
from standpipe.engine.unprepared import UnpreparedFailures
from standpipe.model.events import (
    AttemptFailed,
    AttemptStarted,
    DagStarted,
    Fact,
    IterationStarted,
    LoopStarted,
    RunCancelled,
    RunEnded,
    RunResumed,
    RunStarted,
    StartAttempt,
    TaskCancelled,
    TaskFact,
    TaskFailed,
    TaskReady,
    TaskSkipped,
    TaskSucceeded,
)
from standpipe.model.plan import Component, Node, Plan
from standpipe.model.refs import TaskRef
from standpipe.model.resources import ResourceRequest
from standpipe.model.states import TaskState
from standpipe.model.values import Value


class RunState:
    """The tasks of a run, with everything that follows from their states: queues, counters, acquired resources.

    Args:
        plan: the Plan to start with.
        later: the Plans to resume with, by the names that `RunResumed` has for them.
        pool: the resources for attempts.
    """

    def __init__(self, plan: Plan, later: Mapping[str, Plan], pool: ResourcePool) -> None:
        self.plan = plan
        self.pool = pool
        self.queue = ReadyQueue()
        self.transitions = Transitions()
        self.topologies = Topologies()
        self.list_flattener = ListFlattener(plan)
        self._concurrency = ConcurrencyEstimator(plan, self.topologies, pool.slots)
        self.root = make_root(plan)
        self.tasks: dict[TaskRef, Task] = {self.root.ref: self.root}
        self.startable: deque[Task] = deque()  # pending tasks whose upstream tasks are final, and admitted iterations
        self.finishable: deque[DagTask | LoopTask] = deque()  # running DAGs and loops whose parts are final
        self.failures: list[TaskFailed] = []  # without those of DAGs and loops that failed because of a part
        self.cancel_requests = 0
        self.stop_reason = ""
        self.unprepared = UnpreparedFailures()
        self._later = later
        self._earlier_attempts: dict[TaskRef, int] = {}  # the number of attempts before the run was resumed

    @property
    def has_startable(self) -> bool:
        """Whether there are tasks to start, besides those that replayed facts have started."""
        while self.startable and self.startable[0].state is not TaskState.PENDING:
            self.startable.popleft()
        return bool(self.startable)

    def get_plan(self, name: str) -> Plan:
        """Return the Plan that `RunResumed` names."""
        return self._later.get(name, self.plan)

    def count_earlier_attempts(self, task: TaskRef) -> int:
        """Return how many attempts at a task there were before the run was resumed."""
        return self._earlier_attempts.get(task, 0)

    def make_start(self, task: ExecutorTask, gpus: tuple[str, ...] = ()) -> StartAttempt:
        """Return the command that starts the next attempt at a task that is ready, with these accelerators."""
        return StartAttempt(
            task.ref,
            task.node.component,
            task.inputs,
            attempt=task.next_attempt,
            retry_index=task.retry_index,
            caching=task.node.caching,
            resources=task.resources,
            gpus=gpus,
            concurrency=self.estimate_concurrency(task, task.resources),
        )

    def estimate_concurrency(self, task: ExecutorTask, request: ResourceRequest) -> int:
        """Return how many tasks are expected to run at the same time as a task with a request; it counts, too.

        Cores that it requests are its own, however many others there are.
        """
        expected = self._concurrency.estimate(task, self.pool.count_fitting(request))
        return min(expected, self.pool.count_fitting(ResourceRequest(cpu=request.cpu))) if request.cpu else expected

    def apply(self, fact: Fact) -> None:
        """Change the state as a fact says.

        Raises:
            IllegalTransition: if the state does not allow the fact.
        """
        if isinstance(fact, (RunStarted, RunCancelled, RunResumed, RunEnded)):
            self._apply_to_run(fact)
            return
        task = self.tasks.get(fact.task)
        if task is None:
            raise IllegalTransition(fact.task, None, type(fact).__name__, self.transitions.event)
        self.transitions.advance(task, fact)
        _APPLY_TO_TASK[fact.__class__](self, task, fact)

    def _apply_to_run(self, fact: RunStarted | RunCancelled | RunResumed | RunEnded) -> None:
        if isinstance(fact, RunStarted):
            self.transitions.force(self.root, TaskState.RUNNING, RunStarted)
            self._open_dag(self.root, fact.inputs)
        elif isinstance(fact, RunCancelled):
            self.cancel_requests += 1
            self.stop_reason = fact.reason or self.stop_reason
            self.unprepared.add(fact.failures)
        elif isinstance(fact, RunResumed):
            self._resume(fact)
        else:
            self.transitions.force(self.root, fact.state, RunEnded)
            self.root.outputs = fact.outputs

    # --- attempts -----------------------------------------------------------------------------------------------------

    def _queue_first_attempt(self, task: ExecutorTask, fact: TaskReady) -> None:
        task.inputs, task.resources = fact.inputs, fact.resources
        self.queue.add(task)

    def _start_attempt(self, task: ExecutorTask, fact: AttemptStarted) -> None:
        task.next_attempt = fact.attempt + 1
        if not task.retry_index:
            task.first_started_at = fact.at
        self.pool.acquire(task, fact.gpus)

    def _queue_retry(self, task: ExecutorTask, fact: AttemptFailed) -> None:
        self.pool.release(task)
        task.failed_at, task.due_at = fact.at, fact.due
        if fact.is_lost:
            task.lost_attempts += 1
        else:
            task.retry_index += 1
        self.queue.add_retry(task)

    # --- start of DAGs and loops --------------------------------------------------------------------------------------

    def _start_dag(self, dag: DagTask, fact: DagStarted) -> None:
        self._open_dag(dag, fact.inputs)

    def _start_iteration(self, dag: DagTask, fact: IterationStarted) -> None:
        assert isinstance(dag.position, Iteration), "the fact is for iterations only"
        loop = dag.position.parent
        self._open_dag(dag, {**loop.inputs, loop.loop.item_input: fact.item})

    def _open_dag(self, dag: DagTask, inputs: Mapping[str, Value]) -> None:
        """Make the tasks of a DAG. Those without upstream tasks can start."""
        dag.inputs = inputs
        upstream, components = self.topologies.get(dag.dag).upstream, self.plan.components
        for name, node in dag.dag.nodes.items():
            position = DagMember(dag)
            task = self._add_task(dag.ref.child(name), node, components[node.component], position)
            dag.children[name] = task
            position.unfinished_upstream = len(upstream[name])
            if not position.unfinished_upstream:
                self.startable.append(task)
        dag.unfinished_parts = len(dag.children)
        if not dag.children:
            self.finishable.append(dag)

    def _start_loop(self, loop: LoopTask, fact: LoopStarted) -> None:
        """Make the iterations of a loop. As many as may run at once can start."""
        assert isinstance(loop.position, DagMember), "an iteration is never a loop itself"
        parent = loop.position.parent
        loop.inputs, loop.items = fact.inputs, fact.items
        for number, item in enumerate(fact.items):
            ref = parent.ref.child(loop.ref.name, number)
            loop.iterations.append(self._add_task(ref, loop.node, loop.component, Iteration(loop, item)))
        self._count_parts(loop)
        self._admit_iterations(loop)

    def _add_task(self, ref: TaskRef, node: Node, component: Component, position: DagMember | Iteration) -> Task:
        task = self.tasks[ref] = make_task(ref, node, component, position)
        if self._earlier_attempts and isinstance(task, ExecutorTask):
            task.next_attempt = self.count_earlier_attempts(ref)
        return task

    def _count_upstream(self, task: Task, position: DagMember) -> None:
        """Count the upstream tasks that are not final; without any, the task can start."""
        dag = position.parent
        upstream = self.topologies.get(dag.dag).upstream[task.ref.name]
        position.unfinished_upstream = sum(not dag.children[name].state.is_final for name in upstream)
        if not position.unfinished_upstream:
            self.startable.append(task)

    def _count_parts(self, whole: DagTask | LoopTask) -> None:
        """Count the parts that are not final; without any, the whole can finish."""
        whole.unfinished_parts = sum(not part.state.is_final for part in whole.parts)
        if not whole.unfinished_parts:
            self.finishable.append(whole)

    def _admit_iterations(self, loop: LoopTask) -> None:
        """Let pending iterations start, in order, while fewer are active than may run at once."""
        limit = loop.loop.parallelism or len(loop.iterations)
        while loop.active < limit and loop.next_to_admit < len(loop.iterations):
            iteration = loop.iterations[loop.next_to_admit]
            loop.next_to_admit += 1
            if iteration.state is TaskState.PENDING:
                loop.active += 1
                self.startable.append(iteration)

    # --- end of tasks -------------------------------------------------------------------------------------------------

    def _close(self, task: Task, fact: TaskFact) -> None:
        """Keep the result of a final task, and tell its dependents and the DAG or loop around it."""
        self.pool.release(task)
        if isinstance(fact, TaskSucceeded):
            task.outputs = fact.outputs
        elif isinstance(fact, TaskFailed):
            task.failure = fact.failure
            if not fact.failure.cause_task:
                self.failures.append(fact)
        position = task.position
        if isinstance(position, DagMember):
            self._close_part(position.parent)
            self._close_upstream(task.ref.name, position.parent)
        elif isinstance(position, Iteration):
            loop = position.parent
            self._close_part(loop)
            loop.active -= 1
            self._admit_iterations(loop)

    def _close_part(self, whole: DagTask | LoopTask) -> None:
        whole.unfinished_parts -= 1
        if not whole.unfinished_parts:
            self.finishable.append(whole)

    def _close_upstream(self, name: str, dag: DagTask) -> None:
        for dependent_name in self.topologies.get(dag.dag).dependents[name]:
            dependent = dag.children[dependent_name]
            if isinstance(dependent.position, DagMember):
                dependent.position.unfinished_upstream -= 1
                if not dependent.position.unfinished_upstream:
                    self.startable.append(dependent)

    # --- resume -------------------------------------------------------------------------------------------------------

    def _resume(self, fact: RunResumed) -> None:
        """Continue the run, whose attempts have all ended, with the Plan that the fact names."""
        self._earlier_attempts.update(
            (ref, task.next_attempt)
            for ref, task in self.tasks.items()
            if isinstance(task, ExecutorTask) and task.next_attempt
        )
        self.plan = self.get_plan(fact.plan)
        self.list_flattener, self.topologies = ListFlattener(self.plan), Topologies()
        self._concurrency = ConcurrencyEstimator(self.plan, self.topologies, self.pool.slots)
        self.pool.release_all()
        self.queue = ReadyQueue()
        self.cancel_requests, self.stop_reason = 0, ""
        self.unprepared = UnpreparedFailures()
        self.startable.clear()
        self.finishable.clear()
        self.failures.clear()
        self.root = resume_tasks(self.root, self.plan, frozenset(fact.rerun_tasks), self.transitions)
        self.tasks = {task.ref: task for task in self.root.walk()}
        self.root.inputs = fact.inputs
        for task in self.tasks.values():
            self._continue_task(task, fact.at)

    def _continue_task(self, task: Task, now: float) -> None:
        """Put a task of a resumed run into the queue that its state calls for.

        A task that waits for a retry keeps the others that it has left: the time since it failed, in which nothing may
        have driven the run, is not part of the time in which attempts may start.
        """
        if task.state is TaskState.PENDING:
            if isinstance(task, ExecutorTask):
                task.next_attempt = self.count_earlier_attempts(task.ref)
            if isinstance(task.position, DagMember):
                self._count_upstream(task, task.position)
        elif isinstance(task, ExecutorTask):
            if task.state is TaskState.READY and task.retry_index:
                task.first_started_at += max(0.0, now - task.failed_at)
                task.failed_at = max(now, task.failed_at)
                self.queue.add_retry(task)
            elif task.state is TaskState.READY:
                self.queue.add(task)
        elif task.state is TaskState.RUNNING:
            self._count_parts(task)
            if isinstance(task, LoopTask):
                self._admit_iterations(task)


#: What each kind of fact about a task does, once the state of the task has changed. A run that has a hundred thousand
#: tasks looks into this half a million times.
_APPLY_TO_TASK: dict[type[Fact], Callable[[RunState, Any, Any], None]] = {
    DagStarted: RunState._start_dag,
    LoopStarted: RunState._start_loop,
    IterationStarted: RunState._start_iteration,
    TaskReady: RunState._queue_first_attempt,
    AttemptStarted: RunState._start_attempt,
    AttemptFailed: RunState._queue_retry,
    TaskSucceeded: RunState._close,
    TaskFailed: RunState._close,
    TaskSkipped: RunState._close,
    TaskCancelled: RunState._close,
}
