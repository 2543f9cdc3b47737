"""The parsers of all commands: their help, its examples, and what they say about mistakes."""

from __future__ import annotations

import argparse
import re
import shlex
from importlib import import_module

import pytest

from standpipe.cli import parsers
from standpipe.cli.main import COMMANDS, main


def parser_of(command: str) -> argparse.ArgumentParser:
    parser = import_module(f"standpipe.cli.{command}").make_parser()
    assert isinstance(parser, argparse.ArgumentParser)
    return parser


def examples_of(command: str) -> list[str]:
    _, _, examples = (parser_of(command).epilog or "").partition("examples:\n")
    return examples.splitlines()


def error_of(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    return capsys.readouterr().err


@pytest.fixture
def parser() -> argparse.ArgumentParser:
    parser = parsers.new_parser(
        "count",
        "Count the runs. " + "It counts them all. " * 10,
        examples=("standpipe count  # all", "standpipe count -h  # help", "standpipe count --json"),
    )
    parsers.add_json(parser, "a number")
    parser.add_argument("--of", choices=("failed", "cancelled"), help="which runs")
    return parser


def test_help_fills_the_description_and_keeps_the_lines_of_examples(
    parser: argparse.ArgumentParser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = parser.format_help()
    assert max(map(len, text.splitlines())) <= 80
    assert text.endswith(
        "examples:\n  standpipe count     # all\n  standpipe count -h  # help\n  standpipe count --json\n"
    )


def test_a_note_stands_above_the_examples(parser: argparse.ArgumentParser) -> None:
    parsers.add_note(parser, "It takes no time.")
    assert "It takes no time.\n\nexamples:\n" in parser.format_help()


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_two_to_four_examples_that_its_parser_accepts(command: str) -> None:
    lines = examples_of(command)
    assert 2 <= len(lines) <= 4
    for line in lines:
        inner = re.search(r"\$\((.*)\)", line)  # as in eval "$(...)"
        words = shlex.split(inner[1] if inner else line, comments=True)
        end = next((number for number, word in enumerate(words) if word in ("|", "&&", ">", "--")), len(words))
        words = words[:end]
        assert words[0] == "standpipe"
        words = words[2:] if words[1] == "dsl" else words[1:]
        assert words[0] == command
        if not (command == "run" and words[1].endswith(".py")):  # a script has all options
            parser_of(command).parse_args([word.replace("--debug=", "--debug-port=") for word in words[1:]])


def test_an_unknown_option_is_one_line_with_a_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    assert error_of(["show", "latest", "--jsno", "--lgo"], capsys) == (
        "standpipe show: error: unrecognized arguments: --jsno --lgo; did you mean --json and --log? "
        "See `standpipe show --help`.\n"
    )


def test_an_unknown_option_that_is_similar_to_none_has_no_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    assert error_of(["runs", "extra", "--quantum=1"], capsys) == (
        "standpipe runs: error: unrecognized arguments: extra --quantum=1. See `standpipe runs --help`.\n"
    )


def test_options_between_arguments_have_suggestions_as_well(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--jsno; did you mean --json?" in error_of(["diff", "latest", "--jsno"], capsys)


def test_a_hidden_option_is_not_suggested(capsys: pytest.CaptureFixture[str]) -> None:
    assert "did you mean" not in error_of(["ui", "--inherite", "3"], capsys)


def test_a_wrong_choice_has_a_suggestion_and_all_choices(capsys: pytest.CaptureFixture[str]) -> None:
    assert error_of(["run", "pipeline.yaml", "--runner", "dokcer"], capsys) == (
        "standpipe run: error: argument --runner: invalid choice: 'dokcer'; did you mean docker? "
        "Choose from subprocess, docker, in-process, ray, kubernetes. See `standpipe run --help`.\n"
    )


def test_a_wrong_choice_that_is_similar_to_none_has_all_choices(
    parser: argparse.ArgumentParser, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        parser.parse_args(["--of", "x"])
    assert "invalid choice: 'x'; Choose" not in (said := capsys.readouterr().err)
    assert "invalid choice: 'x'. Choose from failed, cancelled. See `standpipe count --help`." in said


def test_a_missing_argument_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert error_of(["show"], capsys) == (
        "standpipe show: error: the following arguments are required: RUN. See `standpipe show --help`.\n"
    )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["watch"], "the following arguments are required: TARGET. See"),
        (["completion"], "the following arguments are required: SHELL. See"),
        (["logs", "latest", "--attempt", "x"], "argument --attempt: expected a whole number, got 'x'. See"),
        (["ui", "--port", "x"], "argument --port: expected a whole number, got 'x'. See"),
    ],
)
def test_what_is_missing_or_not_a_number_is_named_in_words(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert f"standpipe {arguments[0]}: error: {says}" in error_of(arguments, capsys)
