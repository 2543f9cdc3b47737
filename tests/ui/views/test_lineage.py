"""The lineage of an artifact: its producers and consumers, in its run and in others."""

from __future__ import annotations

from pathlib import Path

from standpipe.history import Artifact, Run, get_run
from standpipe.ui.views.lineage import IndexedArtifact, IndexedRun, Search, Use, draw_lineage, trace_lineage
from standpipe.ui.views.previews import location_of
from tests.ui.artifacts import run_with_artifacts, text_writer

NOTHING = Search((), 1, is_complete=True)


def run_and_artifact(root: Path, name: str = "data") -> tuple[Run, Artifact]:
    run = get_run(root, run_with_artifacts(root, text_writer("x")))
    return run, next(each for each in run.artifacts if each.name == name)


def other_run(
    artifact: Artifact, *, location: str = "/other", digest: str | None = None, cached: bool = False
) -> Search:
    known = IndexedArtifact(location, artifact.digest if digest is None else digest, "a/b", cached, ("c", "d"))
    return Search((IndexedRun("other-1", (known,)),), 2, is_complete=True)


def test_the_run_has_inputs_and_outputs_of_the_tasks_around(tmp_path: Path) -> None:
    run, data = run_and_artifact(tmp_path)
    copy = next(each for each in run.artifacts if each.name == "copy")
    lineage = trace_lineage(run, data, NOTHING)

    assert lineage.producers == (Use(run.id, "make-shown-artifacts", False, True),)
    assert lineage.consumers == (Use(run.id, "use-shown-artifact", False, True),)
    assert (lineage.inputs, lineage.outputs) == ((), (copy,))
    assert trace_lineage(run, copy, NOTHING).inputs == (data,)


def test_the_same_content_in_another_run_is_a_use(tmp_path: Path) -> None:
    run, data = run_and_artifact(tmp_path)
    lineage = trace_lineage(run, data, other_run(data))

    assert lineage.producers[1:] == (Use("other-1", "a/b", False, False),)
    assert lineage.consumers[1:] == (Use("other-1", "c", False, False), Use("other-1", "d", False, False))


def test_the_same_file_in_another_run_is_a_use_even_without_a_digest(tmp_path: Path) -> None:
    run, data = run_and_artifact(tmp_path)
    lineage = trace_lineage(run, data, other_run(data, location=location_of(data), digest="", cached=True))

    assert lineage.producers[1:] == (Use("other-1", "a/b", True, True),)


def test_artifacts_without_a_digest_are_not_the_same(tmp_path: Path) -> None:
    run, numbers = run_and_artifact(tmp_path, "numbers")
    lineage = trace_lineage(run, numbers, other_run(numbers, digest=""))

    assert numbers.digest == ""
    assert len(lineage.producers) == 1


def test_a_picture_of_many_uses_is_limited(tmp_path: Path) -> None:
    run, data = run_and_artifact(tmp_path)
    known = IndexedArtifact("/other", data.digest, "a", False, tuple(map(str, range(100))))
    lineage = trace_lineage(run, data, Search((IndexedRun("other-1", (known,)),), 2, is_complete=True))
    picture = draw_lineage(lineage, run.id, data)

    assert len(lineage.consumers) == 101
    assert "93 more" in picture
    assert picture.count("<rect") == 2 + 1 + 9 + 1
