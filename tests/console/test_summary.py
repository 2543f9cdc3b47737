"""The last lines of a run that is not in the run store."""

from __future__ import annotations

from standpipe.console.summary import summarize
from standpipe.console.tree import TaskTree
from standpipe.model.events import RunEnded
from standpipe.model.refs import RunInfo
from standpipe.model.states import TaskState


def test_the_command_that_comes_next_may_be_another_one() -> None:
    run = RunInfo("7", "7", "train", "", "https://kfp.example.com")
    end = RunEnded(TaskState.FAILED, {})
    *_, last = summarize(run, "https://kfp.example.com", TaskTree(), end, 1.0, 0.0, next_command="standpipe pull 7")
    assert "".join(span.text for span in last) == "  next   standpipe pull 7"
