"""What is written of errors, with tracebacks that are made in this process."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from standpipe import local
from standpipe.cli import failures
from standpipe.errors import SpecError
from standpipe.model import values


def caught(call: Callable[..., object], *arguments: object) -> Exception:
    with pytest.raises(Exception) as caught:
        call(*arguments)
    return caught.value


def test_a_defect_of_ours_is_shown_with_our_frames(capsys: pytest.CaptureFixture[str]) -> None:
    assert failures.report(caught(values.to_text, {1, 2})) == 1
    said = capsys.readouterr().err
    assert "in to_text" in said
    assert "in default" in said, "the frames of the library that it called, too"


def test_an_error_of_ours_is_its_message_and_the_users_line(capsys: pytest.CaptureFixture[str]) -> None:
    def refuse() -> None:
        raise SpecError("root: it is missing")

    assert failures.report(caught(refuse)) == 3
    assert (
        capsys.readouterr().err == f"root: it is missing\nAt {__file__}, line {refuse.__code__.co_firstlineno + 1}.\n"
    )


def test_a_message_that_quotes_a_server_is_not_executed_by_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert failures.report(SpecError("it says \x1b]0;evil\x07no, \x1b[31mred\x1b[0m\nreally")) == 3
    assert capsys.readouterr().err == "it says no, \x1b[31mred\x1b[0m\nreally\x1b[0m\n"


def test_code_that_is_in_no_file_is_not_the_users_line(capsys: pytest.CaptureFixture[str]) -> None:
    def refuse() -> None:
        local.init(local.SubprocessRunner(), max_parallel=0)  # which a method refuses that a frozen class generated

    assert failures.report(caught(refuse)) == 2
    assert capsys.readouterr().err.endswith(f"\nAt {__file__}, line {refuse.__code__.co_firstlineno + 1}.\n")


def test_errors_of_libraries_that_the_user_called_stay_whole(capsys: pytest.CaptureFixture[str]) -> None:
    assert failures.report(caught(json.loads, "{")) == 1
    assert "in raw_decode" in capsys.readouterr().err


def test_an_error_that_causes_itself_ends(capsys: pytest.CaptureFixture[str]) -> None:
    error = ValueError("boom")
    error.__cause__ = error
    assert failures.report(error) == 1
    assert "boom" in capsys.readouterr().err
