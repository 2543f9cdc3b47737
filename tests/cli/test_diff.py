"""`standpipe diff`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from standpipe import dsl, local
from standpipe.cli.main import main
from standpipe.dsl import Metrics, Output
from standpipe.dsl.base_component import BaseComponent
from standpipe.local import SubprocessRunner
from tests.terminals import type_on_terminal


def define(version: int) -> BaseComponent:
    """Return one version of the pipeline."""
    if version == 1:

        @dsl.component
        def train(rate: float, metrics: Output[Metrics]) -> float:
            metrics.log_metric("accuracy", rate)
            return rate

    else:

        @dsl.component(base_image="python:3.11-slim")
        def train(rate: float, metrics: Output[Metrics]) -> float:
            metrics.log_metric("accuracy", 2 * rate)
            return 2 * rate

    @dsl.component
    def use(value: float) -> float:
        return value

    @dsl.pipeline
    def search(rate: float = 0.1) -> None:
        use(value=train(rate=rate).outputs["Output"])

    return search


def start(root: Path, version: int = 1, **arguments: float) -> str:
    """Run a version of the pipeline, and return the id of the run."""
    runner = SubprocessRunner(use_venv=False)
    local.run(define(version), arguments, runner=runner, pipeline_root=root, quiet=True)
    return local.get_run("latest", root).id


def diff(root: Path, *arguments: str) -> int:
    return main(["diff", *arguments, "--root", str(root)])


def test_runs_that_are_the_same_exit_with_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, after = start(tmp_path), start(tmp_path)
    assert diff(tmp_path, before, after) == 0
    assert capsys.readouterr().out == (
        f"--- {before}\n+++ {after}\nThe two runs do not differ in anything that is recorded.\n"
    )


def test_the_name_of_the_run_in_a_final_status_is_not_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    @dsl.component
    def work(fails: bool) -> None:
        assert not fails, "too few rows"

    @dsl.component
    def notify(status: dsl.PipelineTaskFinalStatus) -> str:
        return status.state

    @dsl.pipeline
    def notified(fails: bool = False) -> None:
        with dsl.ExitHandler(notify()):
            work(fails=fails)

    def start_notified(*, fails: bool) -> str:
        runner = SubprocessRunner(use_venv=False)
        local.run(notified, {"fails": fails}, runner=runner, pipeline_root=tmp_path, quiet=True, raise_on_error=False)
        return local.get_run("latest", tmp_path).id

    for fails in (False, True):
        before, after = start_notified(fails=fails), start_notified(fails=fails)
        assert diff(tmp_path, before, after) == 0, capsys.readouterr().out
    capsys.readouterr()
    assert diff(tmp_path, start_notified(fails=False), after, "--json") == 1
    document = json.loads(capsys.readouterr().out)
    assert document["divergence"] == {"task": "notify", "reason": "its input differs: status"}
    [inputs] = [each["changes"] for each in document["sections"] if each["name"] == "inputs"]
    assert [(each["subject"], each["before"]) for each in inputs] == [
        ("notify: status", '{"state": "SUCCEEDED", "pipelineTaskName": "exit-handler-1"}')
    ]


def test_causes_come_first_then_what_followed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, after = start(tmp_path), start(tmp_path, 2, rate=0.3)
    assert diff(tmp_path, before, after) == 1
    shown = capsys.readouterr().out
    parts = [
        f"--- {before}\n+++ {after}\nDifferences in parameters (1), code (1), images (1)",
        "\n\nParameters\n  rate: 0.1 → 0.3  +0.2\n",
        "\n\nCode\n  train\n",
        "\n    -    return rate\n    +    ",
        "\n\nImages\n  train: python:3.11 → python:3.11-slim\n",
        "\n\nFirst task with other outputs: train (its code and image differ; its input differs: rate)\n",
        "\n\nOutputs\n  train: Output: 0.1 → 0.6  +0.5\n",
        "\n\nMetrics\n  train: metrics.accuracy: 0.1 → 0.6  +0.5\n",
    ]
    places = [shown.find(part) for part in parts]
    assert -1 not in places, shown
    assert places == sorted(places)


_SCRIPT = """
from standpipe import dsl

@dsl.component
def stamp() -> str:
    import os  # a comment
    return os.environ["STAMP"]

@dsl.component
def scale(x: int) -> int:
    from factors import FACTOR
    return x * 2 * FACTOR

@dsl.component(packages_to_install=[])
def read(data: dsl.Input[dsl.Dataset]) -> str:
    with open(data.path) as file:
        return file.read()

@dsl.pipeline
def job(uri: str, x: int = 1):
    scale(x=x)
    read(data=dsl.importer(artifact_uri=uri, artifact_class=dsl.Dataset).output)
    stamp().set_env_variable("STAMP", "1")
"""


@pytest.mark.parametrize(
    ("changes", "flags", "task", "reason"),
    [
        ({"job.py": ("x * 2", "x * 3")}, (), "scale", "its code differs"),
        ({"factors.py": ("5", "6")}, (), "scale", "its code differs"),
        ({"factors.py": ("5", "6")}, ("-a", "x=2"), "scale", "its code differs; its input differs: x"),
        ({"data.csv": ("a", "b")}, (), "read", "its input may differ, without a checksum: data"),
        ({"data.csv": ("a", "b")}, ("--cache",), "importer", "what it imports differs"),
        (
            {"data.csv": ("a", "b"), "job.py": ("# a c", "# another c")},
            ("--cache",),
            "importer",
            "what it imports differs",
        ),
        ({"job.py": ('"1"', '"2"')}, (), "stamp", "its settings differ"),
        ({"job.py": ('os.environ["STAMP"]', "str(os.times())")}, (), "stamp", "its code differs"),
    ],
)
def test_the_first_task_with_other_outputs_has_its_cause(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, tuple[str, str]],
    flags: tuple[str, ...],
    task: str,
    reason: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in {"job.py": _SCRIPT, "factors.py": "FACTOR = 5", "data.csv": "a"}.items():
        Path(name).write_text(text)
    run = ["run", "job.py:job", "--no-venv", "--quiet", "--root", "runs", "-a", "uri=data.csv"]
    assert main([*run, *(each for each in flags if each == "--cache")]) == 0
    for name, change in changes.items():
        Path(name).write_text(Path(name).read_text().replace(*change))
    assert main([*run, *flags]) == 0
    capsys.readouterr()
    assert diff(Path("runs"), "latest", "--json") == 1
    divergence = json.loads(capsys.readouterr().out)["divergence"]
    assert divergence == {"task": task, "reason": reason}


def test_a_task_without_a_known_cause_says_what_is_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    @dsl.component
    def look() -> float:
        import time

        return time.time()

    for _ in range(2):
        local.run(look, runner=SubprocessRunner(use_venv=False), pipeline_root=tmp_path, quiet=True)
    assert diff(tmp_path, "latest") == 1
    assert "\nFirst task with other outputs: look (its code and inputs are the same)\n" in capsys.readouterr().out


def test_one_run_is_compared_with_the_one_before_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, after = start(tmp_path), start(tmp_path, rate=0.3)

    @dsl.component
    def other() -> int:
        return 1

    local.run(other, runner=SubprocessRunner(use_venv=False), pipeline_root=tmp_path, quiet=True)
    assert diff(tmp_path, after, "--json") == 1
    shown = json.loads(capsys.readouterr().out)
    assert (shown["before"], shown["after"], shown["differs"]) == (before, after, True)
    assert diff(tmp_path, "latest") == 2
    assert "There is no run of pipeline other before" in capsys.readouterr().err


def test_a_rerun_is_compared_with_its_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, _ = start(tmp_path), start(tmp_path, rate=0.3)
    local.rerun_task(first, "train", runner=SubprocessRunner(use_venv=False), pipeline_root=tmp_path, quiet=True)
    [rerun] = [run.id for run in local.runs(tmp_path) if run.rerun_of]
    diff(tmp_path, rerun, "--json")
    assert json.loads(capsys.readouterr().out)["before"] == first


def test_json_has_every_change(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, after = start(tmp_path), start(tmp_path, 2)
    assert diff(tmp_path, before, "--json", after) == 1
    shown = json.loads(capsys.readouterr().out)
    assert shown["divergence"] == {"task": "train", "reason": "its code and image differ"}
    sections = {each["name"]: each for each in shown["sections"]}
    assert [each["name"] for each in shown["sections"] if each["is_cause"]] == ["code", "images"]
    assert "-    return rate" in sections["code"]["changes"][0]["lines"]
    assert sections["outputs"]["changes"][0] == {
        "subject": "train: Output",
        "before": "0.1",
        "after": "0.2",
        "note": "",
        "delta": 0.1,
        "lines": [],
    }


def test_what_is_missing_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    start(tmp_path)
    assert diff(tmp_path, "latest", "nothing") == 2
    assert "There is no run 'nothing'" in capsys.readouterr().err
    (tmp_path / "runs.sqlite").write_text("not a database")
    assert diff(tmp_path, "latest", "latest") == 6
    assert "is damaged" in capsys.readouterr().err


def test_lines_have_colours_on_a_terminal(tmp_path: Path) -> None:
    start(tmp_path)
    start(tmp_path, 2)
    command = [sys.executable, "-m", "standpipe", "diff", "latest", "--root", str(tmp_path)]
    assert "\x1b[31m    -    return rate\x1b[0m" in type_on_terminal(command, [], {"TERM": "xterm", "NO_COLOR": ""})
    assert "\x1b" not in type_on_terminal(command, [])
