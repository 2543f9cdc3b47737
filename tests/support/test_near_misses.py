"""What a name that does not exist may stand for: the helper, and where commands use it."""

from __future__ import annotations

from pathlib import Path

import pytest

from standpipe import dsl, local
from standpipe.cli.main import main
from standpipe.errors import AuthoringTypeError
from standpipe.local import FakeRunner
from standpipe.support.near_misses import close_meanings, close_names, suggest


@dsl.component
def train(rate: float, model: dsl.Output[dsl.Model]) -> float: ...


@dsl.pipeline
def search() -> None:
    with dsl.ParallelFor([0.1, 0.2]) as rate:
        train(rate=rate)


def test_the_case_of_letters_does_not_matter() -> None:
    assert close_names("TRAIN", ["train", "load"]) == ["train"]


def test_what_is_similar_to_nothing_has_no_suggestion() -> None:
    assert close_names("x", ["train"]) == []
    assert suggest("x", ["train"]) == ""


def test_several_names_of_a_thing_are_one_suggestion() -> None:
    meanings = {"train": "loop/0/train", "loop/0/train": "loop/0/train", "trained": "trained"}
    assert close_meanings("trian", meanings, most=3) == ["loop/0/train", "trained"]
    assert close_meanings("trian", meanings, most=1) == ["loop/0/train"]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    runner = FakeRunner(train=lambda rate: {"Output": rate, "model": "weights"})
    local.run(search, runner=runner, pipeline_root="local_outputs", quiet=True)
    return local.get_run("latest", "local_outputs").id


@pytest.mark.parametrize(
    ("command", "suggestion"),
    [
        (["show", "saerch"], "The closest are {run}"),
        (["show", "latest", "trian"], "The closest are for-loop-2/0/train"),
        (["show", "latest", "for-loop-2/0/trian"], "The closest are for-loop-2/0/train, for-loop-2/1/train"),
        (["resume", "latest", "--from-task", "trian"], "Did you mean train?"),
        (["open", "latest", "modle"], "Did you mean for-loop-2/0/train/model?"),
        (["check", "--explain", "SP010x"], "Did you mean SP010?"),
        (["rnus"], "did you mean `standpipe runs`?"),
    ],
)
def test_commands_suggest_what_may_be_meant(
    command: list[str], suggestion: str, run: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command) == 2
    assert suggestion.format(run=run) in capsys.readouterr().err


def test_an_input_of_a_component_is_suggested() -> None:
    with pytest.raises(AuthoringTypeError, match="has no input 'raet'. Did you mean rate\\? Its inputs are: rate."):
        train(raet=0.1)
