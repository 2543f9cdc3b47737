"""Tests of the tab Pipeline Spec."""

from __future__ import annotations

import pytest

from standpipe.model.plan import Dag, Node
from standpipe.ui.views.spec import view_spec
from tests.plans import plan


@pytest.mark.parametrize(("tasks", "is_shown"), [(10, True), (5_001, False)])
def test_the_file_of_a_very_large_pipeline_is_for_download_only(tasks: int, is_shown: bool) -> None:
    view = view_spec(plan(Dag({f"t{number}": Node(f"t{number}", "leaf") for number in range(tasks)})))
    assert bool(view.sections) is is_shown
    assert (view.problem == "The file is too long for this page: download it.") is not is_shown
