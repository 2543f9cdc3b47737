"""Progress as the log of a workflow on GitHub Actions."""

from __future__ import annotations

import re
from contextlib import closing

import pytest

from standpipe.console import github
from standpipe.console.github import GitHubLines
from standpipe.model.events import AttemptFailed, AttemptStarted, CodeLocation, Fact, Failure, TaskFailed, TaskSucceeded
from standpipe.model.refs import TaskRef
from tests.plans import RUN
from tests.processes import wait_until

TRAIN = TaskRef((("train", None),))
LOAD = TaskRef((("load", None),))
LOCATION = CodeLocation("/repo/jobs/train.py", 34, "train", "raise ValueError")


@pytest.fixture(autouse=True)
def _workspace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_WORKSPACE", "/repo")


def log_of(capsys: pytest.CaptureFixture[str], *steps: Fact | tuple[TaskRef, str]) -> list[str]:
    """Return the lines for facts and printed lines, with tokens and times replaced."""
    lines = GitHubLines(RUN, "/runs/run-1")
    for step in steps:
        if isinstance(step, tuple):
            lines.line(*step)
        else:
            lines((step,))
    lines.close()
    text = re.sub(r"\b[0-9a-f]{32}\b", "TOKEN", capsys.readouterr().out)
    return re.sub(r"in [\d.e-]+ s", "in N s", text).splitlines()[1:]


def test_each_task_has_a_group_with_its_own_lines(capsys: pytest.CaptureFixture[str]) -> None:
    assert log_of(
        capsys,
        AttemptStarted(TRAIN, 0),
        AttemptStarted(LOAD, 0),
        (TRAIN, "epoch 1"),
        (LOAD, "reading"),
        (TRAIN, "epoch 2"),
        TaskSucceeded(LOAD, {}),
        TaskSucceeded(TRAIN, {}),
    ) == [
        "train: started",
        "load: started",
        "::group::load",
        "::stop-commands::TOKEN",
        "reading",
        "::TOKEN::",
        "::endgroup::",
        "load: succeeded in N s",
        "::group::train",
        "::stop-commands::TOKEN",
        "epoch 1",
        "epoch 2",
        "::TOKEN::",
        "::endgroup::",
        "train: succeeded in N s",
    ]


def test_an_attempt_that_takes_long_has_groups_while_it_runs(capsys: pytest.CaptureFixture[str]) -> None:
    clock = [0.0]
    lines = GitHubLines(RUN, "/runs/run-1", now=lambda: clock[0], patience=60)
    with closing(lines):
        lines((AttemptStarted(TRAIN, 1), AttemptStarted(LOAD, 0)))
        lines.line(TRAIN, "epoch 1")
        clock[0] = 59.0
        lines.line(TRAIN, "epoch 2")
        lines.line(LOAD, "reading")
        lines.write_running()
        assert "::group" not in capsys.readouterr().out, "an attempt of less than a minute has one group"
        clock[0] = 60.0
        lines.write_running()
        lines.write_running()
        lines.line(TRAIN, "epoch 3")
        lines((TaskSucceeded(TRAIN, {}), TaskSucceeded(LOAD, {})))
    assert groups_of(capsys.readouterr().out) == [
        ("train, attempt 2, still running", ["epoch 1", "epoch 2"]),
        ("train, attempt 2", ["epoch 3"]),
        ("load", ["reading"]),
    ]


def test_a_group_is_written_without_another_line_or_fact(capsys: pytest.CaptureFixture[str]) -> None:
    lines, written = GitHubLines(RUN, "/runs/run-1", patience=0.01), list[str]()
    with closing(lines):
        lines((AttemptStarted(TRAIN, 0),))
        lines.line(TRAIN, "epoch 1")

        def has_group() -> bool:
            written.append(capsys.readouterr().out)
            return "::endgroup::" in "".join(written)

        assert wait_until(has_group)
    assert groups_of("".join(written) + capsys.readouterr().out) == [("train, still running", ["epoch 1"])]


def test_the_groups_of_a_running_attempt_have_so_many_lines(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(github, "_MAX_LINES", 3)
    clock = [0.0]
    lines = GitHubLines(RUN, "/runs/run-1", now=lambda: clock[0], patience=60)
    with closing(lines):
        lines((AttemptStarted(TRAIN, 0),))
        for minute in range(5):
            lines.line(TRAIN, f"{minute}a")
            lines.line(TRAIN, f"{minute}b")
            clock[0] += 60
            lines.write_running()
        lines((TaskSucceeded(TRAIN, {}), AttemptStarted(TRAIN, 0)))
        lines.line(TRAIN, "another attempt")
        clock[0] += 60
        lines.write_running()
    assert groups_of(capsys.readouterr().out) == [
        ("train, still running", ["0a", "0b"]),
        ("train, still running", ["1a", "1b"]),
        ("train", ["[3 earlier lines are in /runs/run-1/train/log.txt]", "3b", "4a", "4b"]),
        ("train, still running", ["another attempt"]),
    ]


def groups_of(text: str) -> list[tuple[str, list[str]]]:
    """Return the title and the lines of each group."""
    groups = re.findall(r"::group::(.*)\n::stop-commands::(\w+)\n((?:.*\n)*?)::\2::\n::endgroup::\n", text)
    return [(title, lines.splitlines()) for title, _, lines in groups]


def test_failures_are_annotations_at_the_line_of_the_user(capsys: pytest.CaptureFixture[str]) -> None:
    failure = Failure("ValueError: 50 %, or\nless: no", location=LOCATION)
    assert log_of(
        capsys,
        AttemptStarted(TRAIN, 0),
        AttemptFailed(TRAIN, 0, 2, failure, 0.0, 0.0),
        AttemptStarted(TRAIN, 1),
        (TRAIN, "again"),
        TaskFailed(TRAIN, Failure("it exited with code 3", attempts=2)),
    )[3:] == [
        "::warning file=jobs/train.py,line=34,title=Task train failed in attempt 1 of 2::"
        "ValueError: 50 %25, or%0Aless: no",
        "train: attempt 2 started",
        "::group::train, attempt 2",
        "::stop-commands::TOKEN",
        "again",
        "::TOKEN::",
        "::endgroup::",
        "train: failed in N s in attempt 2 of 2: it exited with code 3",
        "::error title=Task train failed in attempt 2 of 2::it exited with code 3",
    ]


def test_a_component_without_a_file_has_an_annotation_without_one(capsys: pytest.CaptureFixture[str]) -> None:
    failure = Failure("boom", location=CodeLocation("<component train>", 3, "train"))
    assert log_of(capsys, TaskFailed(TRAIN, failure))[-1] == "::error title=Task train failed::boom"


def test_properties_are_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    name = TaskRef((("a,b::c%", None),))
    assert log_of(capsys, TaskFailed(name, Failure("boom")))[-1] == ("::error title=Task a%2Cb%3A%3Ac%25 failed::boom")


@pytest.mark.parametrize("text", ["::error::forged", "  ::add-mask::x", "see ##[error]forged", "one\n::error::two"])
def test_a_task_cannot_command_the_runner(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    log = log_of(capsys, AttemptStarted(TRAIN, 0), (TRAIN, text), TaskFailed(TRAIN, Failure(f"{text} \n{text}")))
    stopped = False
    for line in log:
        if line == "::stop-commands::TOKEN":
            stopped = True
        elif line == "::TOKEN::":
            stopped = False
        elif "forged" in line or "add-mask" in line or "::two" in line:
            assert stopped or line.startswith("::error title=Task train failed::")
    assert not stopped


def test_tokens_are_never_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    lines = GitHubLines(RUN, "/runs/run-1")
    for task in (TRAIN, LOAD):
        lines((AttemptStarted(task, 0),))
        lines.line(task, "x")
        lines((TaskSucceeded(task, {}),))
    assert len(set(re.findall(r"stop-commands::(\w+)", capsys.readouterr().out))) == 2


def test_a_long_log_is_cut_and_named(capsys: pytest.CaptureFixture[str]) -> None:
    log = log_of(capsys, AttemptStarted(TRAIN, 0), *((TRAIN, f"{number}") for number in range(5_002)))
    assert log[1:5] == [
        "::group::train",
        "::stop-commands::TOKEN",
        "[2 earlier lines are in /runs/run-1/train/log.txt]",
        "2",
    ]
