"""The names of files and folders of runs: safe, apart from each other, and spelled once."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import standpipe
from standpipe.model import layout
from standpipe.model.layout import StateLayout, attempt_folder, file_name, task_folder, task_segments
from standpipe.model.refs import TaskRef
from standpipe.worker import process_state
from standpipe.worker.artifacts import Artifact

PACKAGE = Path(standpipe.__file__).parent
NAMES = {value for name, value in vars(layout).items() if name.endswith(("_FILE", "_FOLDER"))}


@pytest.mark.parametrize("name", ["add", "add-2", "out_artifact", "with space"])
def test_ordinary_names_stay_as_they_are(name: str) -> None:
    assert file_name(name) == name


@given(st.lists(st.text(st.characters(), max_size=400), min_size=2, max_size=2, unique=True))
def test_any_name_is_a_file_of_its_own_that_meets_none_of_ours(names: list[str]) -> None:
    one, other = map(file_name, names)
    assert one != other
    assert not set(one) & set("./@\0")
    assert len(one.encode()) <= 200


def test_a_task_in_nested_pipelines_has_its_folder_in_theirs() -> None:
    task = TaskRef((("outer", None), ("loop", 3), ("a/b", None)))
    assert task_segments(task) == ("outer", "loop", "3", "a%2Fb")
    assert task_folder(Path("/run"), task) == Path("/run/outer/loop/3/a%2Fb")


def test_each_attempt_has_a_folder_beside_that_of_its_task() -> None:
    task = TaskRef((("loop", 3), ("train", None)))
    folders = [attempt_folder(Path("/run"), task, attempt) for attempt in range(3)]
    assert folders == [Path("/run/loop/3", name) for name in ("train", "train@1", "train@2")]


def test_the_state_of_runs_is_below_one_root() -> None:
    state = StateLayout(Path("/root"))
    assert (state.volumes, state.run_folder("p-1")) == (Path("/root/pvcs"), Path("/root/p-1"))


def literals(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def test_no_other_module_spells_a_name() -> None:
    spelled = {
        str(path.relative_to(PACKAGE)): found
        for path in PACKAGE.rglob("*.py")
        if (found := literals(path) & NAMES) and path.name != "layout.py"
    }
    assert spelled == {
        "pods/provisions.py": {"pvcs"},  # a key of the user's own file
        "store/overview.py": {"runs.sqlite"},  # it imports next to nothing
        "cli/show.py": {".pulled"},  # it answers without that import
        "worker/artifacts.py": {".artifacts"},  # it imports nothing of ours
        "worker/process_state.py": {".modules"},  # as well
    }


def test_tasks_look_for_downloads_where_importers_put_them() -> None:
    artifact = Artifact(uri="s3://bucket/data", metadata={"_kfp_workspace": True})
    assert Path(artifact.path).relative_to("/kfp-workspace").parts[0] == layout.DOWNLOADS_FOLDER
    assert process_state.MODULES_FOLDER == layout.MODULES_FOLDER
