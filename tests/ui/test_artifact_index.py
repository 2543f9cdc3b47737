"""The index of artifacts across runs: it reads runs that have ended once, and never waits for all of them."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from standpipe.history import Run
from standpipe.model.refs import RunInfo
from standpipe.store.reading import read_plan, read_run
from standpipe.store.runs import RunRecorder
from standpipe.ui import artifact_index
from standpipe.ui.artifact_index import ArtifactIndex
from standpipe.ui.source import RunSource
from standpipe.ui.views.lineage import IndexedRun
from tests.ui.artifacts import location, run_with_artifacts, text_writer


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the ids of the runs whose artifacts are read, which grows."""
    read, ids = artifact_index._index, list[str]()

    def note(run: Run) -> IndexedRun:
        ids.append(run.id)
        return read(run)

    monkeypatch.setattr(artifact_index, "_index", note)
    return ids


def test_artifacts_are_found_by_their_location_and_digest(tmp_path: Path) -> None:
    run = run_with_artifacts(tmp_path, text_writer("hello"))
    search = ArtifactIndex().read(RunSource(tmp_path), "another")

    (indexed,) = search.runs
    artifact = next(each for each in indexed.artifacts if each.location == location(tmp_path, run))
    assert artifact.digest.startswith("sha256:")
    assert (artifact.producer, artifact.consumers) == ("make-shown-artifacts", ("use-shown-artifact",))
    assert (search.run_count, search.is_complete) == (1, True)


def test_runs_that_have_ended_are_read_once(tmp_path: Path, reads: list[str]) -> None:
    runs = [run_with_artifacts(tmp_path, seed=seed) for seed in range(3)]
    index, source = ArtifactIndex(), RunSource(tmp_path)
    first = index.read(source, runs[2])
    second = index.read(source, runs[2])

    assert first == second
    assert reads == [runs[1], runs[0]]
    runs.append(run_with_artifacts(tmp_path, seed=4))
    assert [each.run for each in index.read(source, runs[2]).runs] == [runs[3], runs[1], runs[0]]
    assert reads == [runs[1], runs[0], runs[3]]


def test_a_run_whose_facts_another_pull_has_replaced_is_read_again(tmp_path: Path, reads: list[str]) -> None:
    run = run_with_artifacts(tmp_path)
    index, source = ArtifactIndex(), RunSource(tmp_path)
    index.read(source, "another")
    row, facts = read_run(tmp_path, run)
    info = RunInfo(run, row.uuid, row.pipeline, row.created, str(tmp_path))
    with closing(RunRecorder(tmp_path, info, read_plan(tmp_path, row.plan), replaces=True)) as recorder:
        recorder.append(facts)
    index.read(source, "another")
    index.read(source, "another")
    assert reads == [run, run]


def test_a_search_without_time_continues_on_the_next_page(
    tmp_path: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [run_with_artifacts(tmp_path, seed=seed) for seed in range(2)]
    monkeypatch.setattr(artifact_index, "_SECONDS", -1)
    index, source = ArtifactIndex(), RunSource(tmp_path)
    search = index.read(source, "another")

    assert (search.runs, search.run_count, search.is_complete) == ((), 2, False)
    monkeypatch.undo()
    assert [each.run for each in index.read(source, "another").runs] == runs[::-1]


def test_the_index_keeps_so_many_artifacts(tmp_path: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [run_with_artifacts(tmp_path, seed=seed) for seed in range(3)]
    monkeypatch.setattr(artifact_index, "_MOST_KEPT", 8)  # of two runs
    index, source = ArtifactIndex(), RunSource(tmp_path)
    index.read(source, "another")
    reads.clear()

    assert len(index.read(source, "another").runs) == 3
    assert set(reads) <= set(runs)
    assert reads
