"""The artifacts of a run by the task and the output that they are in, as users name them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from standpipe.errors import StandpipeError
from standpipe.history.records import Artifact, Value
from standpipe.history.run import Run


class NoSuchArtifact(StandpipeError):
    """A run has no artifact of a name, or several."""

    exit_code = 2


@dataclass(frozen=True)
class LocatedArtifact:
    """An artifact, and where it is in its run: the path of its task, its output, and its number in a list of them.

    `task` is empty for an artifact that was passed to the run; then `output` is the name of the input.
    """

    task: str
    output: str
    index: int | None
    artifact: Artifact

    @property
    def name(self) -> str:
        """The name of its output, with its number in a list."""
        return self.output if self.index is None else f"{self.output}[{self.index}]"

    @property
    def reference(self) -> str:
        """What names it in its run, such as `for-loop-1/0/train/model`."""
        return f"{self.task}/{self.name}" if self.task else self.name

    @property
    def key(self) -> tuple[str, str]:
        """What it has in common with the same artifact of other runs."""
        return self.task, self.name


def output_artifacts(run: Run) -> Iterator[LocatedArtifact]:
    """Yield the output artifacts of the tasks that made them."""
    for task in run.all_tasks():
        for name, value in task.outputs.items() if not task.children else ():
            yield from _locate(task.path, name, value)


def all_artifacts(run: Run) -> Iterator[LocatedArtifact]:
    """Yield the artifacts that were passed to a run, and the output artifacts of its tasks."""
    for name, value in run.inputs.items():
        yield from _locate("", name, value)
    yield from output_artifacts(run)


def find_artifact(run: Run, reference: str) -> LocatedArtifact:
    """Return the artifact that a reference names.

    Args:
        run: the run.
        reference: the path or the name of a task, a slash, and the name of an output: `train/model`. The name of the
            output is enough if only one task has it. An item of a list has its number, from 0: `train/models[0]`.

    Raises:
        NoSuchArtifact: if there is none, or several.
    """
    artifacts = list(all_artifacts(run))
    matches = [each for each in artifacts if each.reference == reference]
    matches = matches or [each for each in artifacts if each.reference.endswith(f"/{reference}")]
    if len(matches) == 1:
        return matches[0]
    raise NoSuchArtifact(_no_such_artifact(run, reference, matches, artifacts))


def _locate(task: str, name: str, value: Value) -> Iterator[LocatedArtifact]:
    if isinstance(value, Artifact):
        yield LocatedArtifact(task, name, None, value)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            if isinstance(item, Artifact):
                yield LocatedArtifact(task, name, number, item)


def _no_such_artifact(
    run: Run, reference: str, matches: list[LocatedArtifact], artifacts: list[LocatedArtifact]
) -> str:
    from standpipe.support.shell_commands import standpipe_command  # only a mistake needs it

    command = f"`{standpipe_command('artifacts', run.folder.parent, run.id)}` lists all artifacts."
    if matches:
        return (
            f"{len(matches)} artifacts of run {run.id} are named {reference!r}: name the task as well, as in "
            f"{matches[0].reference}. {command}"
        )
    if not artifacts:
        return f"Run {run.id} has no artifacts."
    from standpipe.support.near_misses import close_meanings  # only a mistake needs it

    names = {each.name: each.reference for each in reversed(artifacts)}
    close = close_meanings(reference, {**names, **{each.reference: each.reference for each in artifacts}}, most=3)
    suggestion = f" Did you mean {' or '.join(close)}?" if close else ""
    return f"Run {run.id} has no artifact {reference!r}.{suggestion} {command}"
