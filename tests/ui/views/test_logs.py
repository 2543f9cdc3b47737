"""The tab Logs: one log or all of them, live, searched, and what is said if there is none."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standpipe import dsl, local
from standpipe.errors import NoSuchTask
from standpipe.history import Run, get_run, log_files
from standpipe.local import SubprocessRunner
from standpipe.model import events as e
from standpipe.model.refs import TaskRef
from standpipe.model.states import TaskState
from standpipe.store.locks import RunLock
from standpipe.store.runs import RunRecorder
from standpipe.ui.views.log_records import Cursor, Followed, LogLine, LogQuery, LogsView, Note
from standpipe.ui.views.logs import read_logs, read_new_lines
from tests.plans import RUN, dag, node, plan

A, B = TaskRef((("a", None),)), TaskRef((("b", None),))


@dsl.component
def logs_say(text: str) -> str:
    print(text)
    print("\x1b[31mred\x1b[0m <b>")
    return text


@dsl.pipeline
def logs_all(words: list = ["one", "two"], flag: str = "no") -> None:  # noqa: B006 - KFP copies it
    with dsl.ParallelFor(words) as word:
        logs_say(text=word)
    with dsl.If(flag == "yes"):
        logs_say(text="never")


def text_of(line: LogLine | Note) -> str:
    return line.text if isinstance(line, Note) else "".join(span.text for span in line.spans)


def texts(view: LogsView) -> list[str]:
    return [text_of(line) for line in view.lines]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    root = tmp_path_factory.mktemp("root")
    local.run(logs_all, runner=SubprocessRunner(use_venv=False), quiet=True, pipeline_root=root, max_parallel=1)
    return get_run(root, "latest")


def test_the_log_of_a_task_has_numbers_and_colors(run: Run) -> None:
    view = read_logs(run, LogQuery(run.id, "for-loop-1/0/logs-say"))

    assert texts(view) == ["one", "red <b>"]
    assert [line.number for line in view.lines if isinstance(line, LogLine)] == [1, 2]
    assert isinstance(view.lines[1], LogLine)
    assert view.lines[1].spans[0].classes == "ansi-fg-1"
    assert (view.is_single, view.cursor, view.shown_attempt) == (True, "", 1)


def test_all_logs_follow_each_other_with_the_names_of_the_tasks(run: Run) -> None:
    view = read_logs(run, LogQuery(run.id))

    assert [(line.task, text_of(line)) for line in view.lines] == [
        *(("for-loop-1/0/logs-say", text) for text in ("one", "red <b>")),
        *(("for-loop-1/1/logs-say", text) for text in ("two", "red <b>")),
    ]
    assert len({line.color for line in view.lines}) == 1
    assert not view.is_single


def test_the_logs_of_a_group_are_those_of_the_tasks_in_it(run: Run) -> None:
    assert texts(read_logs(run, LogQuery(run.id, "for-loop-1/1"))) == ["two", "red <b>"]


def test_a_search_leads_to_the_lines_around_its_matches(run: Run) -> None:
    (match,) = read_logs(run, LogQuery(run.id, search="TWO")).lines

    assert isinstance(match, LogLine)
    assert (match.number, match.task, text_of(match)) == (1, "for-loop-1/1/logs-say", "two")
    assert "end=4" in match.href


def test_a_task_that_did_not_run_says_why_it_has_no_log(run: Run) -> None:
    skipped = next(task.path for task in run.all_tasks() if task.status.value == "SKIPPED")

    assert read_logs(run, LogQuery(run.id, skipped)).problem.startswith("It was skipped: ")
    assert read_logs(run, LogQuery(run.id, "for-loop-1/0/logs-say", attempt=7)).problem == "There was no attempt 7."
    with pytest.raises(NoSuchTask):
        read_logs(run, LogQuery(run.id, "nothing"))


# --- logs of recorded facts -------------------------------------------------------------------------------------------


class Recorded:
    """A run that is in progress, with a task whose log a test writes."""

    def __init__(self, root: Path, recorder: RunRecorder) -> None:
        self.root = root
        self.record = recorder

    @property
    def run(self) -> Run:
        return get_run(self.root, RUN.id)

    def start(self, task: TaskRef, at: float = 5.0, attempt: int = 0) -> None:
        self.record([e.TaskReady(task, {}), e.AttemptStarted(task, attempt, at)])

    def write(self, task: TaskRef, content: bytes) -> None:
        folder = self.root / RUN.id / task.name
        folder.mkdir(exist_ok=True)
        with (folder / "log.txt").open("ab") as file:
            file.write(content)


@pytest.fixture
def recorded(tmp_path: Path) -> Iterator[Recorded]:
    with ExitStack() as stack:
        recorder = stack.enter_context(closing(RunRecorder(tmp_path, RUN, plan(dag(node("a"))))))
        (tmp_path / RUN.id).mkdir(exist_ok=True)
        stack.enter_context(RunLock(tmp_path / RUN.id))
        made = Recorded(tmp_path, recorder)
        made.record([e.RunStarted({})])
        made.start(A)
        yield made


def test_a_live_log_continues_where_the_page_ends(recorded: Recorded) -> None:
    recorded.write(A, b"one\n\x1b[32mtwo\nthr")
    view = read_logs(recorded.run, LogQuery(RUN.id, "a"))
    recorded.write(A, b"ee\x1b[0m\nfour\n10 %\r20 %")
    new = read_new_lines(recorded.run, Cursor.decode(view.cursor))

    assert texts(view) == ["one", "two"]
    assert [text_of(line) for line in view.unfinished] == ["thr"]
    assert [(text_of(line), line.number) for line in new.lines if isinstance(line, LogLine)] == [
        ("three", 3),
        ("four", 4),
    ]
    assert isinstance(new.lines[0], LogLine)
    assert new.lines[0].spans[0].classes == "ansi-fg-2"
    assert [text_of(line) for line in new.unfinished] == ["20 %"]


def test_nothing_new_leaves_the_cursor_as_it_was(recorded: Recorded) -> None:
    recorded.write(A, b"one\ntw")
    cursor = read_logs(recorded.run, LogQuery(RUN.id, "a")).cursor

    assert read_new_lines(recorded.run, Cursor.decode(cursor)).cursor == cursor


def test_a_log_ends_with_its_task(recorded: Recorded) -> None:
    recorded.write(A, b"one\n")
    cursor = read_logs(recorded.run, LogQuery(RUN.id, "a")).cursor
    recorded.write(A, b"last")
    recorded.record([e.TaskSucceeded(A, {})])
    new = read_new_lines(recorded.run, Cursor.decode(cursor))

    assert ([text_of(line) for line in new.lines], new.unfinished, new.cursor) == (["last"], (), "")


def test_all_logs_take_in_tasks_that_start_later(recorded: Recorded) -> None:
    view = read_logs(recorded.run, LogQuery(RUN.id))
    assert (texts(view), view.problem) == ([], "")
    recorded.write(A, b"of a\n")
    recorded.start(B, 6.0)
    recorded.write(B, b"of b\n")
    new = read_new_lines(recorded.run, Cursor.decode(view.cursor))

    assert [(line.task, text_of(line)) for line in new.lines] == [("a", "of a"), ("b", "of b")]
    recorded.record([e.TaskSucceeded(A, {}), e.TaskSucceeded(B, {})])
    idle = read_new_lines(recorded.run, Cursor.decode(new.cursor))
    assert idle.cursor
    recorded.record([e.RunEnded(TaskState.SUCCEEDED, {})])
    assert not read_new_lines(recorded.run, Cursor.decode(idle.cursor)).cursor


def test_a_log_that_does_not_exist_yet_appears(recorded: Recorded) -> None:
    view = read_logs(recorded.run, LogQuery(RUN.id, "a"))

    assert view.problem == "It has not printed anything yet."
    assert view.cursor
    recorded.write(A, b"one\n")
    assert [text_of(line) for line in read_new_lines(recorded.run, Cursor.decode(view.cursor)).lines] == ["one"]


def test_a_log_that_was_removed_says_so(recorded: Recorded) -> None:
    recorded.record([e.TaskSucceeded(A, {})])

    assert read_logs(recorded.run, LogQuery(RUN.id, "a")).problem.startswith("The log was removed: ")
    assert "was removed" in texts(read_logs(recorded.run, LogQuery(RUN.id)))[0]


def test_a_log_that_was_truncated_says_so(recorded: Recorded) -> None:
    recorded.write(A, b"one\n")
    recorded.record([e.TaskSucceeded(A, {}, report=e.AttemptReport(1.0, log_bytes=10, log_lines=2))])

    assert texts(read_logs(recorded.run, LogQuery(RUN.id, "a"))) == [
        "one",
        "The log was truncated: it has 4 of the 10 bytes that the task printed.",
    ]


def test_a_link_in_place_of_a_log_is_not_followed(recorded: Recorded) -> None:
    (recorded.root / "secret").write_text("secret")
    (recorded.root / RUN.id / "a").mkdir()
    os.symlink(recorded.root / "secret", recorded.root / RUN.id / "a" / "log.txt")
    view = read_logs(recorded.run, LogQuery(RUN.id, "a"))

    assert "a symbolic link" in view.problem
    assert not view.lines


def test_a_large_log_has_pages_with_numbers(recorded: Recorded) -> None:
    recorded.write(A, b"".join(b"line %d\n" % number for number in range(1, 5001)))
    recorded.record([e.TaskSucceeded(A, {})])
    view = read_logs(recorded.run, LogQuery(RUN.id, "a"))
    earlier = read_logs(recorded.run, LogQuery(RUN.id, "a", end=int(view.earlier.rpartition("end=")[2])))

    assert texts(view)[0] == "line 4001"
    assert [line.number for line in view.lines if isinstance(line, LogLine)] == list(range(4001, 5001))
    assert (texts(earlier)[0], texts(earlier)[-1]) == ("line 3001", "line 4000")
    assert earlier.later


def test_of_a_large_log_among_others_the_end_is_shown(recorded: Recorded) -> None:
    recorded.write(A, b"".join(b"line %d\n" % number for number in range(1, 5001)))
    recorded.record([e.TaskSucceeded(A, {})])
    view = read_logs(recorded.run, LogQuery(RUN.id))

    assert isinstance(view.lines[0], Note)
    assert "attempt=1" in view.lines[0].href
    assert texts(view)[-1] == "line 5000"


def test_a_log_is_never_read_whole(recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded.write(A, (b"x" * 99 + b"\n") * 500_000)
    recorded.record([e.TaskSucceeded(A, {})])
    largest = 0
    pread = os.pread

    def watched(file: int, length: int, offset: int) -> bytes:
        nonlocal largest
        largest = max(largest, length)
        return pread(file, length, offset)

    monkeypatch.setattr(os, "pread", watched)
    view = read_logs(recorded.run, LogQuery(RUN.id, "a"))
    matches = read_logs(recorded.run, LogQuery(RUN.id, "a", search="x"))

    assert len(view.lines) == log_files.MAX_LINES
    assert matches.has_more_matches
    assert largest <= 1024 * 1024


@given(st.text(), st.integers(0, 2**40), st.text(alphabet="0123456789;"))
def test_a_cursor_is_read_as_it_was_written(task: str, offset: int, style: str) -> None:
    cursor = Cursor("group", 3, (Followed(task, 1, offset, offset, style, 5), Followed(task, 2)))

    assert Cursor.decode(cursor.encode()) == cursor


@pytest.mark.parametrize("text", ["", "{}", "[]", '["a",1]', '["",1,[[1,2,3]]]', '["",-1,[["a",1,"0"]]]', "[1,2,3]"])
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a position in a log"):
        Cursor.decode(text)


def test_a_cursor_beyond_the_run_gives_nothing(recorded: Recorded) -> None:
    recorded.write(A, b"one\n")
    cursor = Cursor("", 10**6, (Followed("a", 99), replace(Followed("a", 1), offset=10**12)))

    assert [text_of(line) for line in read_new_lines(recorded.run, cursor).lines] == ["one"]
