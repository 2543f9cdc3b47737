"""Names of tasks and outputs as names of files."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standpipe.model.refs import TaskRef, file_name


@pytest.mark.parametrize("name", ["add", "add-2", "out_artifact", "with space"])
def test_ordinary_names_stay_as_they_are(name: str) -> None:
    assert file_name(name) == name


@given(st.lists(st.text(st.characters(), min_size=1, max_size=400), min_size=2, max_size=2, unique=True))
def test_any_name_is_a_file_of_its_own_that_meets_none_of_ours(names: list[str]) -> None:
    one, other = map(file_name, names)
    assert one != other
    assert not set(one) & set("./@\0")
    assert len(one.encode()) <= 200


def test_a_task_in_nested_pipelines_has_its_folder_in_theirs() -> None:
    assert TaskRef((("outer", None), ("loop", 3), ("a/b", None))).segments == ("outer", "loop", "3", "a%2Fb")
