"""Rules for PVCs: who mounts one at the same time, and when it is deleted."""

from __future__ import annotations

from collections.abc import Iterator

from standpipe.check.fields import dig, entries, producer_of, text_of
from standpipe.check.rule import Problem
from standpipe.check.view import DagView, PipelineView, TaskView
from standpipe.model.plan import FromInput, FromTask
from standpipe.model.types import Json

#: Access modes that only the pods of one node have, or only one pod.
_EXCLUSIVE = {"ReadWriteOnce", "ReadWriteOncePod"}

#: A task, after the tasks of other DAGs that it is in, from the DAG of its PVC on.
_Chain = tuple[TaskView, ...]


class _Uses:
    """What uses the PVC that a task creates."""

    def __init__(self, pipeline: PipelineView, creation: TaskView) -> None:
        self._pipeline = pipeline
        self.mounts: list[_Chain] = []
        self.deletions: list[_Chain] = []
        self.is_passed_on = any(
            source.task == creation.name for sources in creation.dag.dag.outputs.values() for source in sources
        )
        self._follow(creation.dag, creation.name, "name", ())

    def _follow(self, dag: DagView, task: str, output: str, chain: _Chain) -> None:
        """Collect the uses in a DAG of an output of one of its tasks, or of an input of its own if the task is ""."""
        for view in dag.tasks.values():
            here = (*chain, view)
            if any(_is_mounted(mount, task, output) for mount in entries(view.settings, "pvcMount")):
                self.mounts.append(here)
            for name, binding in view.node.inputs.items():
                is_source = isinstance(binding, FromTask) and (binding.task, binding.output) == (task, output)
                if is_source or (not task and isinstance(binding, FromInput) and binding.input == output):
                    self._follow_into(view, name, here)

    def _follow_into(self, view: TaskView, name: str, here: _Chain) -> None:
        body = self._pipeline.body_of(view)
        if view.deletes_pvc:
            self.deletions.append(here)
        elif body:
            self._follow(body, "", name, here)
        else:
            self.is_passed_on = True  # its component may delete it


def _is_mounted(mount: Json, task: str, output: str) -> bool:
    if task:
        return producer_of(mount) == (task, output)
    reference = dig(mount, "pvcNameParameter") or mount
    return text_of(reference, "componentInputParameter") == output


def _creations(pipeline: PipelineView) -> Iterator[tuple[TaskView, _Uses]]:
    for task in pipeline.tasks:
        if task.creates_pvc:
            yield task, _Uses(pipeline, task)


def find_shared_exclusive_volumes(pipeline: PipelineView) -> Iterator[Problem]:
    for creation, uses in _creations(pipeline):
        modes = dict(creation.constants()).get("access_modes")
        if not isinstance(modes, list) or not modes or not _EXCLUSIVE.issuperset(map(str, modes)):
            continue
        for number, chain in enumerate(uses.mounts):
            others = [other for other in uses.mounts[:number] if _may_overlap(other, chain)]
            problem = f"task {chain[-1].name!r} mounts a {modes[0]} PVC at the same time as"
            if any(view.node.loop and view.node.loop.parallelism != 1 for view in chain):
                yield Problem(chain[-1], f"{problem} its other iterations")
            elif others:
                yield Problem(chain[-1], f"{problem} task {others[0][-1].name!r}")


def _may_overlap(first: _Chain, second: _Chain) -> bool:
    """Return whether two tasks may run at the same time. Branches of conditions are not judged: one may exclude all."""
    for one, other in zip(first, second, strict=False):
        if one is not other:
            ancestors = one.dag.ancestors
            is_ordered = one.name in ancestors[other.name] or other.name in ancestors[one.name]
            return not is_ordered and not (one.node.trigger.condition and other.node.trigger.condition)
    return False


def find_early_deletions(pipeline: PipelineView) -> Iterator[Problem]:
    for _, uses in _creations(pipeline):
        for deletion in uses.deletions:
            for chain in uses.mounts:
                if not _is_before(chain, deletion):
                    problem = f"task {deletion[-1].name!r} deletes the PVC without waiting for {chain[-1].name!r}"
                    yield Problem(deletion[-1], f"{problem}, which mounts it")


def _is_before(first: _Chain, second: _Chain) -> bool:
    for one, other in zip(first, second, strict=False):
        if one is not other:
            return one.name in other.dag.ancestors[other.name]
    return False


def find_lasting_volumes(pipeline: PipelineView) -> Iterator[Problem]:
    """Yield PVCs with a new name in each run that nothing deletes."""
    for creation, uses in _creations(pipeline):
        has_name = creation.node.inputs.get("pvc_name") is not None
        if not has_name and not uses.deletions and not uses.is_passed_on:
            yield Problem(creation, f"task {creation.name!r} creates a PVC in each run, which nothing deletes")
