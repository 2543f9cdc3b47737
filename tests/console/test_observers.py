"""What a person sees of a run."""

from __future__ import annotations

import builtins
import logging
import re
import sys
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from standpipe.console.live import Live
from standpipe.console.messages import describe_cancelling
from standpipe.console.plain import PlainLines
from standpipe.console.quiet import Quiet
from standpipe.model.events import (
    AttemptFailed,
    AttemptStarted,
    DagStarted,
    Fact,
    Failure,
    IterationStarted,
    LoopStarted,
    RunCancelled,
    RunEnded,
    TaskCancelled,
    TaskFailed,
    TaskReady,
    TaskSkipped,
    TaskSucceeded,
)
from standpipe.model.refs import TaskRef
from standpipe.model.states import TaskState
from tests.plans import RUN

INNER = TaskRef((("prepare", None), ("load", None)))
OUTER = TaskRef((("prepare", None),))
NEXT = TaskRef((("train", None),))
LOOP = TaskRef((("loop", None),))
ROUND = TaskRef((("loop", 1),))
IN_LOOP = ROUND.child("fit")
LAST = TaskRef((("report", None),))
AGAIN = TaskRef((("again", None),))
SLOW = TaskRef((("slow", None),))
KNOWN = TaskRef((("known", None),))

STORY: Sequence[Fact] = (
    DagStarted(OUTER, {}),
    TaskReady(INNER, {}),
    AttemptStarted(INNER, 0),
    TaskSucceeded(INNER, {}),
    TaskSucceeded(OUTER, {}),
    AttemptStarted(KNOWN, 0),
    TaskSucceeded(KNOWN, {}, cached_from="run-0/known"),
    AttemptStarted(NEXT, 0),
    TaskFailed(NEXT, Failure("[red] boom")),
    TaskSkipped(TaskRef((("test", None),)), "its upstream task 'train' failed"),
    LoopStarted(LOOP, {}, (1, 2)),
    IterationStarted(ROUND, 2),
    AttemptStarted(IN_LOOP, 0),
    TaskFailed(IN_LOOP, Failure("boom")),
    TaskFailed(ROUND, Failure("its task 'loop/1/fit' failed: boom", cause_task=IN_LOOP)),
    TaskFailed(LOOP, Failure("its task 'loop/1/fit' failed: boom", cause_task=IN_LOOP)),
    AttemptStarted(LAST, 0),
    AttemptFailed(LAST, 0, 3, Failure("no luck"), 1000.0, 0.0),
    AttemptStarted(LAST, 1),
    AttemptFailed(LAST, 1, 3, Failure("no luck"), 1010.0, 10.0),
    AttemptStarted(LAST, 2),
    TaskFailed(LAST, Failure("no luck", attempts=3)),
    AttemptStarted(AGAIN, 0),
    AttemptFailed(AGAIN, 0, 2, Failure("boom"), 1020.0, 3600.0),
    AttemptStarted(SLOW, 0),
    RunCancelled(),
    TaskCancelled(AGAIN),
    RunCancelled(),
    TaskCancelled(SLOW),
    TaskCancelled(TaskRef((("never started", None),))),
    RunEnded(TaskState.FAILED, {}),
)


def tell(observer: Any) -> None:
    for fact in STORY:
        observer((fact,))
        if fact == AttemptStarted(NEXT, 0):
            observer.line(NEXT, "epoch [bold]1[/bold]")
    observer.close()


def test_plain_lines_tell_the_story_once(capsys: pytest.CaptureFixture[str]) -> None:
    tell(PlainLines(RUN, "/root-of-all/run-1"))
    text = re.sub(r"(in|after) \S+ s\b", r"\1 N s", capsys.readouterr().out)
    assert text.splitlines() == [
        "Running job in /root-of-all/run-1",
        "prepare/load: started",
        "prepare/load: succeeded in N s",
        "known: started",
        "known: cached (from run-0/known)",
        "train: started",
        "[train] epoch [bold]1[/bold]",
        "train: failed in N s: [red] boom",
        "test: skipped: its upstream task 'train' failed",
        "loop: 2 iterations",
        "loop/1/fit: started",
        "loop/1/fit: failed in N s: boom",
        "report: started",
        "report: failed in N s: no luck; attempt 2 of 3 follows",
        "report: attempt 2 started",
        "report: failed in N s: no luck; attempt 3 of 3 in N s",
        "report: attempt 3 started",
        "report: failed in N s in attempt 3 of 3: no luck",
        "again: started",
        "again: failed in N s: boom; attempt 2 of 2 in 1 h 0 min",
        "slow: started",
        "Cancelling: waiting for 1 task (slow). Press Ctrl-C again to kill it.",
        "Killing 1 task (slow)",
        "slow: cancelled after N s",
        "Failed in N s",
    ]


def test_the_live_view_keeps_what_is_printed_and_what_fails_and_ends_with_the_tree(
    capsys: pytest.CaptureFixture[str],
) -> None:
    tell(Live(RUN, "/root-of-all/run-1"))
    text = re.sub(r"\b[\d.e-]+ s\b", "N s", capsys.readouterr().out)
    assert [line.rstrip() for line in text.splitlines()] == [
        "Running job in /root-of-all/run-1",
        "[train] epoch [bold]1[/bold]",
        "train: failed: [red] boom",
        "loop/1/fit: failed: boom",
        "report: failed: no luck; attempt 2 of 3 follows",
        "report: failed: no luck; attempt 3 of 3 in N s",
        "report: failed in attempt 3 of 3: no luck",
        "again: failed: boom; attempt 2 of 2 in 1 h 0 min",
        "Cancelling: waiting for 1 task (slow). Press Ctrl-C again to kill it.",
        "Killing 1 task (slow)",
        "✓ prepare        N s",
        "≡ known          cached",
        "✗ train          N s  [red] boom",
        "- test           its upstream task 'train' failed",
        "✗ loop           ━━━━━━━━━━━──────────── 1/2, 1 failed  N s",
        "✗ report         N s  no luck",
        "! again          N s",
        "! slow           N s",
        "! never started",
        "Failed in N s",
        "  tasks  1 ran, 1 cached, 1 skipped, 3 failed, 2 cancelled",
        "  files  /root-of-all/run-1",
        f"  next   standpipe show --root {RUN.pipeline_root} {RUN.id}",
    ]


@pytest.mark.parametrize("observer", [PlainLines, Live])
def test_the_duration_of_a_resumed_run_is_that_of_run_history(
    observer: type[PlainLines | Live], capsys: pytest.CaptureFixture[str]
) -> None:
    resumed = observer(RUN, "/root-of-all/run-1", 600.0)
    resumed((RunEnded(TaskState.SUCCEEDED, {}),))
    resumed.close()
    assert re.search(r"Succeeded in 10 min 0 s, \S+ s of them since it was resumed\n", capsys.readouterr().out)


def test_the_duration_of_a_task_begins_with_its_first_attempt(capsys: pytest.CaptureFixture[str]) -> None:
    """As in run history: the attempts that failed and the delays between them count."""
    clock = iter([0.0, 1.0, 2.0, 12.0, 15.0])
    shown = PlainLines(RUN, "/root-of-all/run-1", now=lambda: next(clock))
    shown((AttemptStarted(LAST, 0), AttemptFailed(LAST, 0, 2, Failure("boom"), 2.0, 10.0)))
    shown((AttemptStarted(LAST, 1), TaskSucceeded(LAST, {})))
    assert "report: failed in 1 s: boom; attempt 2 of 2 in 10 s\n" in (text := capsys.readouterr().out)
    assert "report: succeeded in 14 s\n" in text


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    tell(Quiet())
    assert capsys.readouterr().out == ""


def test_observers_leave_the_process_as_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    before = (builtins.print, sys.stdout, sys.stderr, list(logging.getLogger().handlers))
    for observer in (PlainLines(RUN, "/"), Live(RUN, "/")):
        assert (builtins.print, sys.stdout, sys.stderr, list(logging.getLogger().handlers)) == before
        observer.close()
    assert (builtins.print, sys.stdout, sys.stderr, list(logging.getLogger().handlers)) == before


def test_lines_of_many_threads_do_not_mix(capsys: pytest.CaptureFixture[str]) -> None:
    observer = PlainLines(RUN, "/")
    threads = [threading.Thread(target=lambda: [observer.line(NEXT, "x" * 200) for _ in range(100)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = capsys.readouterr().out.splitlines()[1:]
    assert len(lines) == 800
    assert set(lines) == {"[train] " + "x" * 200}


def test_a_cancellation_names_some_of_many_tasks() -> None:
    tasks = [TaskRef(((f"t{number}", None),)) for number in range(7)]
    assert describe_cancelling(tasks, is_first=True) == (
        "Cancelling: waiting for 7 tasks (t0, t1, t2, t3, t4 and 2 more). Press Ctrl-C again to kill them."
    )
    assert describe_cancelling((), is_first=True) == "Cancelling"


def test_a_run_that_the_user_has_not_cancelled_says_nothing_of_ctrl_c() -> None:
    tasks = [TaskRef(((f"t{number}", None),)) for number in range(2)]
    reason = "it had not ended after 5 s"
    assert describe_cancelling(tasks, is_first=True, reason=reason) == (
        "Stopping the run: it had not ended after 5 s. Waiting for 2 tasks (t0, t1)."
    )
    assert describe_cancelling((), is_first=True, reason=reason) == "Stopping the run: it had not ended after 5 s."
    assert describe_cancelling(tasks, is_first=False) == "Killing 2 tasks (t0, t1)"
