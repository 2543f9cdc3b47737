"""The facts of a run that another system has executed, so that it is a run like any other for the store and the engine.

What the cluster decided is taken as it is: no condition is evaluated, no item of a loop is computed. The engine would
decide the same, but not from values that the cluster does not tell. Only inputs that are not told are derived from the
Plan, where constants, the arguments of the run and outputs that are known suffice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from standpipe.kfp_cluster.logs import find_exception, tail
from standpipe.kfp_cluster.records import Record
from standpipe.kfp_cluster.values import KnownValues, collect, find_inputs, fit_arguments, read_inputs, read_outputs
from standpipe.model import events
from standpipe.model.plan import Component, Dag, Node, Plan
from standpipe.model.refs import ROOT, TaskRef
from standpipe.model.states import TaskState
from standpipe.model.types import Json
from standpipe.model.values import Value, flatten


class DatedFact(NamedTuple):
    """A fact, and when it happened, in seconds since the epoch."""

    at: float
    fact: events.Fact


@dataclass(frozen=True)
class ClusterRun:
    """A run of a cluster.

    Attributes:
        plan: its Plan.
        parameters: its arguments.
        root: its tasks.
        state: the state of the run; RUNNING if it has not ended.
        start: when it was created, in seconds since the epoch.
        end: when it ended; 0 if it has not, or if it is not known.
        error: what the cluster says of its failure; empty if it says nothing.
    """

    plan: Plan
    parameters: Mapping[str, Json]
    root: Record
    state: TaskState
    start: float
    end: float = 0.0
    error: str = ""

    @property
    def has_ended(self) -> bool:
        return self.state.is_final


def tell_facts(run: ClusterRun) -> list[DatedFact]:
    """Return the facts of a run in the order in which they happened, as far as it has got.

    Facts of one task, and of a DAG and its parts, stay in the order that replays need, whatever the clocks of the
    cluster say.
    """
    teller = _Teller(run)
    teller.tell_run()
    return [each for _, each in sorted(enumerate(teller.facts), key=lambda pair: (pair[1].at, pair[0]))]


class _End(NamedTuple):
    """How a task has ended: its state, the time, its outputs, its failure. The state may not be final."""

    state: TaskState
    at: float
    outputs: Mapping[str, Value] = {}
    failure: events.TaskFailed | None = None


class _Started(NamedTuple):
    """The run, a task or an iteration that has started: its record, the inputs that are known, and when it began."""

    ref: TaskRef
    component: Component
    record: Record
    inputs: Mapping[str, Value]
    start: float


class _Teller:
    """Collects the facts of a run: depth first, each DAG before its parts, with times that agree with that."""

    def __init__(self, run: ClusterRun) -> None:
        self._run = run
        self._plan = run.plan
        self.facts: list[DatedFact] = []
        self._failures: list[events.TaskFailed] = []

    def tell_run(self) -> None:
        run, root = self._run, self._plan.root
        inputs = fit_arguments(run.plan, run.parameters)
        self._add(run.start, events.RunStarted(inputs))
        assert isinstance(root.body, Dag), "a pipeline is a DAG"
        end = self._tell_parts(_Started(ROOT, root, run.root, inputs, run.start), root.body)
        if not run.has_ended:
            return
        at = max(run.end, end.at)
        if run.state is TaskState.CANCELLED:
            self._add(at, events.RunCancelled())
        ended_well = run.state is TaskState.SUCCEEDED
        outputs = {name: flatten(value) for name, value in end.outputs.items()} if ended_well else {}
        self._add(at, events.RunEnded(run.state, outputs, tuple(self._failures)))

    def _add(self, at: float, fact: events.Fact) -> None:
        self.facts.append(DatedFact(at, fact))

    # --- DAGs and loops -----------------------------------------------------------------------------------------------

    def _tell_parts(self, group: _Started, dag: Dag) -> _End:
        """Tell the facts of the tasks of a DAG, and return how it ended; of the DAG itself nothing is told."""
        scope = KnownValues(group.component, group.inputs)
        ends: dict[str, _End] = {}
        for name, node in _in_order(dag):
            ready = max([group.start, *(ends[each].at for each in node.upstream if each in ends)])
            record = _find_part(group.record, dag, node)
            ends[name] = self._tell_task(group.ref.child(name), node, record, scope, group.start, ready)
            scope.outputs[name] = ends[name].outputs
        return self._sum_up(group, list(ends.values()), scope.collect_outputs(dag))

    def _sum_up(self, group: _Started, ends: Sequence[_End], outputs: Mapping[str, Value]) -> _End:
        """Return the end of a DAG or loop by that of its parts: the cluster does not always close it."""
        record = group.record
        at = max([record.end, group.start, *(end.at for end in ends)])
        if not self._run.has_ended and not all(end.state.is_final for end in ends):
            return _End(TaskState.RUNNING, at)
        failure = next((end.failure for end in ends if end.failure), None)
        if failure:
            return _End(TaskState.FAILED, at, failure=failure)
        if record.state is TaskState.FAILED:
            return _End(TaskState.FAILED, at)
        if any(end.state is TaskState.CANCELLED for end in ends):
            return _End(TaskState.CANCELLED, at)
        if self._run.has_ended or record.state.is_final:
            return _End(TaskState.SUCCEEDED, at, outputs)
        return _End(TaskState.RUNNING, at)

    def _tell_task(
        self, ref: TaskRef, node: Node, record: Record | None, scope: KnownValues, start: float, ready: float
    ) -> _End:
        """Tell the facts of a task of a DAG that began at `start`; its upstream tasks had ended when it was ready."""
        component = self._plan.components[node.component]
        if record is None or record.state is TaskState.PENDING:
            return self._tell_absent(ref, ready)
        start = max(start, record.start)
        if record.state is TaskState.SKIPPED:
            self._add(start, events.TaskSkipped(ref, "the cluster skipped it: its condition is false"))
            return _End(TaskState.SKIPPED, start)
        task = _Started(ref, component, record, find_inputs(node, component, record, scope), start)
        if node.loop:
            return self._tell_loop(task, node)
        if isinstance(component.body, Dag):
            self._add(start, events.DagStarted(ref, task.inputs))
            return self._tell_dag_end(ref, self._tell_parts(task, component.body))
        return self._tell_attempt(task, node)

    def _tell_absent(self, ref: TaskRef, at: float) -> _End:
        """Tell that the cluster has not started a task; as long as the run is active, it may still do so."""
        if not self._run.has_ended:
            return _End(TaskState.PENDING, at)
        self._add(at, events.TaskSkipped(ref, "the cluster did not start it, or does not tell it"))
        return _End(TaskState.SKIPPED, at)

    def _tell_loop(self, loop: _Started, node: Node) -> _End:
        assert node.loop, "the caller has looked"
        record, item_input = loop.record, node.loop.item_input
        count = max([record.iteration_count or 0, *(number + 1 for number in record.iterations)])
        items = [(record.iterations.get(number, record).parameters or {}).get(item_input) for number in range(count)]
        loop = loop._replace(inputs={name: value for name, value in loop.inputs.items() if name != item_input})
        self._add(loop.start, events.LoopStarted(loop.ref, loop.inputs, tuple(items)))
        ends = [self._tell_iteration(loop, node, number, item) for number, item in enumerate(items)]
        outputs: dict[str, Value] = {
            name: collect((end.outputs[name] for end in ends if name in end.outputs), output)
            for name, output in loop.component.outputs.items()
        }
        return self._tell_dag_end(loop.ref, self._sum_up(loop, ends, outputs))

    def _tell_iteration(self, loop: _Started, node: Node, number: int, item: Json) -> _End:
        assert node.loop, "it is an iteration of a loop"
        ref, record = loop.ref.parent.child(loop.ref.name, number), loop.record.iterations.get(number)
        if record is None or record.state in (TaskState.PENDING, TaskState.SKIPPED):
            return self._tell_absent(ref, loop.start)
        inputs = {**loop.inputs, node.loop.item_input: item, **read_inputs(loop.component, record)}
        iteration = _Started(ref, loop.component, record, inputs, max(loop.start, record.start))
        if isinstance(loop.component.body, Dag):
            self._add(iteration.start, events.IterationStarted(ref, item))
            return self._tell_dag_end(ref, self._tell_parts(iteration, loop.component.body))
        return self._tell_attempt(iteration, node)

    def _tell_dag_end(self, ref: TaskRef, end: _End) -> _End:
        if end.state is TaskState.FAILED:
            return _End(end.state, end.at, failure=self._fail(ref, end))
        if end.state is TaskState.CANCELLED:
            self._add(end.at, events.TaskCancelled(ref))
        elif end.state is TaskState.SUCCEEDED:
            self._add(end.at, events.TaskSucceeded(ref, end.outputs))
        return end

    def _fail(self, ref: TaskRef, end: _End) -> events.TaskFailed:
        """Tell the failure of a DAG or loop, whose cause is that of its first part that failed."""
        if end.failure is None:
            failure = events.Failure("it failed on the cluster, which does not say why. See the page of the run there")
        else:
            cause = end.failure.failure.cause_task or end.failure.task
            failure = events.Failure(f"its task '{cause}' failed", cause_task=cause)
        fact = events.TaskFailed(ref, failure)
        self._add(end.at, fact)
        if not failure.cause_task:
            self._failures.append(fact)
        return fact

    # --- executors ----------------------------------------------------------------------------------------------------

    def _tell_attempt(self, task: _Started, node: Node) -> _End:
        ref, record, start = task.ref, task.record, task.start
        self._add(start, events.TaskReady(ref, {name: flatten(value) for name, value in task.inputs.items()}))
        self._add(start, events.AttemptStarted(ref, 0, start))
        state = self._state_of(record, node)
        end = max(start, record.end or (self._run.end if state.is_final else 0.0))
        size, lines = len(record.log.encode()), len(record.log.splitlines())
        report = events.AttemptReport(end - start, log_bytes=size, log_lines=lines)
        if state is TaskState.SUCCEEDED:
            outputs = read_outputs(task.component, record)
            self._add(
                end, events.TaskSucceeded(ref, outputs, report, "the cluster's cache" if record.is_cached else "")
            )
            return _End(state, end, outputs)
        if state is TaskState.CANCELLED:
            self._add(end, events.TaskCancelled(ref, report))
        if state is not TaskState.FAILED:
            return _End(state, end)
        failed = events.TaskFailed(ref, self._describe_failure(record), report)
        self._add(end, failed)
        self._failures.append(failed)
        return _End(state, end, failure=failed)

    def _state_of(self, record: Record, node: Node) -> TaskState:
        """Return the state of a task that started; one that a killed pod left open ended with the run.

        An attempt that the cluster retries looks like the failure of its task (`PrePublishExecution` in
        `client.go`), as long as the run is in progress.
        """
        if not self._run.has_ended:
            return TaskState.RUNNING if record.state is TaskState.FAILED and node.retry else record.state
        if record.state.is_final:
            return record.state
        return TaskState.CANCELLED if self._run.state is TaskState.CANCELLED else TaskState.FAILED

    def _describe_failure(self, record: Record) -> events.Failure:
        namespace, _, pod = record.pod.rpartition("/")
        option = f" -n {namespace}" if namespace else ""
        log = f". Its log there: kubectl logs{option} {pod} -c main" if pod and not record.log else ""
        why = find_exception(record.log) or self._run.error or "the API of KFP does not tell why"
        return events.Failure(f"it failed on the cluster: {why}{log}", log_tail=tail(record.log))


def _find_part(record: Record, dag: Dag, node: Node) -> Record | None:
    """Return the record of a task: by its name, or by its display name, which importers and older backends record."""
    by_display_name = None if node.display_name in dag.nodes else record.parts.get(node.display_name)
    return record.parts.get(node.name) or by_display_name


def _in_order(dag: Dag) -> Iterator[tuple[str, Node]]:
    """Yield the tasks of a DAG, each after those that it depends on."""
    done: set[str] = set()
    left = dict(dag.nodes)
    while left:
        ready = [name for name, node in left.items() if done.issuperset(set(node.upstream) & dag.nodes.keys())]
        for name in ready or list(left):
            yield name, left.pop(name)
            done.add(name)
