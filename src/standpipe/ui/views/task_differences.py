"""What the tasks of two runs differ in: their inputs, their outputs, their artifacts, their states."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from math import inf

from standpipe.history import Run, Task
from standpipe.history.records import Artifact, Value, first_line
from standpipe.model.frozen import frozen
from standpipe.model.plan import Importer, Plan
from standpipe.ui.views.changes import (
    Change,
    Section,
    artifact_text,
    compare_values,
    join_words,
    make_section,
    same_content,
    same_value,
)
from standpipe.ui.views.metrics import Metrics, read_metrics
from standpipe.ui.views.plan_differences import compare_executors
from standpipe.ui.views.planned import PlannedTask, find_planned

#: The fields that a `PipelineTaskFinalStatus` always has as JSON; the name of the run differs in each run.
_RUN_NAME = "pipelineJobResourceName"
_FINAL_STATUS = {"state", _RUN_NAME, "pipelineTaskName"}


@frozen
class Divergence:
    """The first task whose outputs differ. `reason` is what else differs about it, as far as that is known."""

    task: str
    reason: str


def tasks_by_path(run: Run) -> dict[str, Task]:
    """Return all tasks of a run by their paths, in the order in which the run reached them."""
    return {task.path: task for task in run.all_tasks()}


def find_divergence(before: Run, after: Run, plans: tuple[Plan | None, Plan | None]) -> Divergence | None:
    """Return the first task, in the order in which the tasks ended, that has other outputs than before.

    Args:
        before: the run to compare with.
        after: the other run.
        plans: the Plans of the two runs; None where it is not known.
    """
    earlier = tasks_by_path(before)
    common = [(earlier[task.path], task) for task in after.all_tasks() if task.path in earlier and not task.children]
    different = [(old, new) for old, new in common if old.outputs and new.outputs and list(_output_changes(old, new))]
    if not different:
        return None
    old, new = min(different, key=lambda pair: pair[1].ended.timestamp() if pair[1].ended else inf)
    return Divergence(new.path, _explain(old, new, find_planned(plans[0], old), find_planned(plans[1], new)))


def _explain(old: Task, new: Task, old_plan: PlannedTask | None, new_plan: PlannedTask | None) -> str:
    """Return what differs of a task besides its outputs, as phrases."""
    parts = list(compare_executors(old_plan, new_plan)) if old_plan and new_plan else None
    reasons = []
    if parts:
        reasons.append(f"its {join_words(parts)} {'differs' if parts in (['code'], ['image']) else 'differ'}")
    if names := [change.subject for change in compare_values(_comparable(old.inputs), _comparable(new.inputs))]:
        reasons.append(f"its input{'s differ' if len(names) > 1 else ' differs'}: {', '.join(names)}")
    if reasons:
        return "; ".join(reasons)
    if new_plan and isinstance(new_plan.executor, Importer):
        return "what it imports differs"
    if unknown := [name for name, value in new.inputs.items() if _is_content_unknown(old.inputs.get(name), value)]:
        return f"its input{'s'[: len(unknown) > 1]} may differ, without a checksum: {', '.join(unknown)}"
    return "its inputs are the same" if parts is None else "its code and inputs are the same"


def _is_content_unknown(old: Value, new: Value) -> bool:
    """Return whether artifacts are at the same place in both runs, such as a file of the user, without checksums."""
    pairs = zip(_artifacts_in(old), _artifacts_in(new), strict=False)
    return any(one.uri == other.uri and not (one.digest or other.digest) for one, other in pairs)


def compare_tasks(before: Run, after: Run) -> Iterator[Section]:
    """Yield what the tasks of two runs differ in, by kind; tasks are compared by their paths."""
    old, new = tasks_by_path(before), tasks_by_path(after)
    common = [(old[path], new[path]) for path in old if path in new]
    outputs = list(_outputs(before, after, common))
    explained = {(each.before, each.after) for each in (*outputs, *_parameters(before, after))}
    inputs = [each for each in _inputs(before, after, common) if (each.before, each.after) not in explained]
    yield make_section("inputs", "Inputs of tasks", inputs)
    yield make_section("artifacts", "Artifacts, by checksum", (c for pair in common for c in _artifacts(*pair)))
    yield make_section("outputs", "Outputs", outputs)
    yield make_section("metrics", "Metrics", (c for pair in common for c in _metrics(*pair)))
    yield make_section("tasks", "Tasks", _added_and_removed(old, new))
    yield make_section("states", "States", _states(before, after, common))


def _parameters(before: Run, after: Run) -> Iterable[Change]:
    return compare_values(parameters_in(before.inputs), parameters_in(after.inputs))


def _inputs(before: Run, after: Run, common: Iterable[tuple[Task, Task]]) -> Iterator[Change]:
    """Yield other values of parameters, and other contents of artifacts that no task of the run made.

    The caller leaves out values that are those of a parameter of the pipeline or of an output, which are listed there.
    """
    yield from compare_values(_artifacts_only(before.inputs), _artifacts_only(after.inputs), "pipeline: ")
    for old, new in common:
        if not new.children:
            yield from compare_values(_without_own(old.inputs), _without_own(new.inputs), f"{new.path}: ")


def _artifacts_only(values: Mapping[str, Value]) -> dict[str, Value]:
    return {name: value for name, value in values.items() if _artifacts_in(value)}


def _without_own(values: Mapping[str, Value]) -> dict[str, Value]:
    """Return the inputs but for artifacts that a task of the run made, which are compared as its outputs."""
    return {
        name: value
        for name, value in _comparable(values).items()
        if all(item.producer is None for item in _artifacts_in(value))
    }


def _comparable(values: Mapping[str, Value]) -> dict[str, Value]:
    """Return the inputs of a task, without the name of the run in a `PipelineTaskFinalStatus`."""
    return {name: _without_run(value) for name, value in values.items()}


def _without_run(value: Value) -> Value:
    if not isinstance(value, dict) or value.keys() - {"error"} != _FINAL_STATUS:
        return value
    return {name: field for name, field in value.items() if name != _RUN_NAME}


def _artifacts_in(value: Value) -> list[Artifact]:
    return [item for item in (value if isinstance(value, list) else [value]) if isinstance(item, Artifact)]


def _artifacts(old: Task, new: Task) -> Iterator[Change]:
    """Yield the artifacts of a task whose contents differ."""
    for name, value in old.outputs.items() if not new.children else ():
        pairs = list(zip(_artifacts_in(value), _artifacts_in(new.outputs.get(name)), strict=False))
        for number, (one, other) in enumerate(pairs):
            if not same_content(one, other):
                index = f"[{number}]" if len(pairs) > 1 else ""
                yield Change(f"{new.path}: {name}{index}", artifact_text(one), artifact_text(other))


def _outputs(before: Run, after: Run, common: Iterable[tuple[Task, Task]]) -> Iterator[Change]:
    """Yield the parameters that differ, then the metadata of artifacts."""
    if before.outputs and after.outputs:
        yield from compare_values(parameters_in(before.outputs), parameters_in(after.outputs), "pipeline: ")
    for old, new in common:
        if old.outputs and new.outputs and not new.children:
            yield from compare_values(parameters_in(old.outputs), parameters_in(new.outputs), f"{new.path}: ")
            yield from _metadata(old, new)


def parameters_in(values: Mapping[str, Value]) -> dict[str, Value]:
    """Return the inputs or outputs that are parameters."""
    return {name: value for name, value in values.items() if not _artifacts_in(value)}


def _metadata(old: Task, new: Task) -> Iterator[Change]:
    """Yield the metadata of artifacts that differ, apart from metrics."""
    for name, one, other in _single_artifacts(old, new):
        if not (read_metrics(one) or read_metrics(other)):
            yield from compare_values(one.metadata, other.metadata, f"{new.path}: {name}.")


def _metrics(old: Task, new: Task) -> Iterator[Change]:
    """Yield the metrics of a task that differ, of matrices and curves the numbers that sum them up."""
    for name, one, other in _single_artifacts(old, new) if not new.children else ():
        yield from compare_values(_numbers(read_metrics(one)), _numbers(read_metrics(other)), f"{new.path}: {name}.")


def _numbers(metrics: Metrics) -> dict[str, Value]:
    numbers: dict[str, Value] = {scalar.name: scalar.value for scalar in metrics.scalars}
    if metrics.matrix:
        numbers["accuracy (confusion matrix)"] = metrics.matrix.accuracy
    if metrics.curve:
        numbers["AUC (ROC curve)"] = metrics.curve.auc
    return numbers


def _single_artifacts(old: Task, new: Task) -> Iterator[tuple[str, Artifact, Artifact]]:
    """Yield the outputs that are one artifact in both runs."""
    for name, one in old.outputs.items():
        other = new.outputs.get(name)
        if isinstance(one, Artifact) and isinstance(other, Artifact):
            yield name, one, other


def _output_changes(old: Task, new: Task) -> Iterator[str]:
    """Yield the names of the outputs that differ."""
    for name in dict.fromkeys((*old.outputs, *new.outputs)):
        if not same_value(old.outputs.get(name), new.outputs.get(name)):
            yield name


def _added_and_removed(before: Mapping[str, Task], after: Mapping[str, Task]) -> Iterator[Change]:
    """Yield the tasks that one run has alone, without what is in them; iterations of a loop are counted."""
    for path in dict.fromkeys((*before, *after)):
        old, new = before.get(path), after.get(path)
        if old is not None and new is not None:
            counts = _iterations(old), _iterations(new)
            if counts[0] != counts[1]:
                yield Change(path, f"{counts[0]} iterations", f"{counts[1]} iterations")
            continue
        alone = new or old
        parent = path.rpartition("/")[0]
        assert alone is not None, "the path is that of one of them"
        if alone.iteration is None and (not parent or (parent in before and parent in after)):
            yield Change(path, _state(old) if old else None, _state(new) if new else None)


def _iterations(task: Task) -> int:
    return sum(child.iteration is not None for child in task.children)


def _states(before: Run, after: Run, common: Iterable[tuple[Task, Task]]) -> Iterator[Change]:
    if before.status is not after.status:
        yield Change("run", before.status.value.lower(), after.status.value.lower())
    for old, new in common:
        if old.status is not new.status and not (old.children and new.children):
            yield Change(new.path, _state(old), _state(new))


def _state(task: Task) -> str:
    """Return the state of a task, with the reason if it failed or was skipped."""
    reason = first_line(task.failure.message) if task.failure else task.skip_reason
    return task.status.value.lower() + (f": {reason}" if reason else "")
