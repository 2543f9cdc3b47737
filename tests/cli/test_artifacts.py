"""`standpipe artifacts` and `standpipe open`."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from standpipe import dsl, local
from standpipe.cli.main import main
from standpipe.dsl import HTML, Artifact, Dataset, Input, Metrics, Model, Output
from standpipe.history import Run
from standpipe.local import SubprocessRunner
from standpipe.runs import ui_server
from tests.processes import CHECKOUT
from tests.terminals import type_on_terminal


@dsl.component
def train(data: Input[Dataset], model: Output[Model], metrics: Output[Metrics], report: Output[HTML]) -> None:
    import os

    with open(model.path, "wb") as file:
        file.write(b"\0model")
    model.metadata["framework"] = "none\n\x1b[31m"
    metrics.log_metric("accuracy", 0.9)
    with open(report.path, "w") as opened:
        opened.write("<script>alert(1)</script>")
    assert os.path.exists(data.path)


@dsl.component
def write(name: str, text: str, file: Output[Artifact]) -> None:
    file.path = file.path + name  # the name of the file is that of its kind
    with open(file.path, "w") as opened:
        opened.write(text)


@dsl.pipeline
def pipeline(data: Input[Dataset]) -> None:
    train(data=data)
    with dsl.ParallelFor(["a", "b"]) as text:
        write(name=".txt", text=text)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a pipeline root with a run that has artifacts."""
    root = tmp_path_factory.mktemp("runs")
    (root / "iris.csv").write_text("a,b\n")
    data = Dataset(uri=str(root / "iris.csv"))
    runner = SubprocessRunner(use_venv=False)
    local.run(pipeline, {"data": data}, runner=runner, pipeline_root=root, quiet=True)
    return root


@pytest.fixture
def run(template: Path, tmp_path: Path) -> Run:
    shutil.copytree(template, tmp_path / "runs")
    return local.get_run("latest", tmp_path / "runs")


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Yield the file to which an opener, for a display, writes what it opens. Servers that were started are stopped."""
    servers: list[subprocess.Popen[Any]] = []

    def start(*args: Any, **options: Any) -> subprocess.Popen[Any]:
        servers.append(subprocess.Popen(*args, **options))
        return servers[-1]

    monkeypatch.setattr(ui_server, "start_process", start)
    log, programs = tmp_path / "opened", tmp_path / "bin"
    programs.mkdir()
    for name in ("xdg-open", "open"):
        (programs / name).write_text(f'#!/bin/sh\necho "$1" > {log}\n')
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setenv("STANDPIPE_CACHE", str(tmp_path / "cache"))
    yield log
    for server in servers:
        os.kill(server.pid, signal.SIGTERM)


@pytest.fixture
def no_display(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)


def command(run: Run, name: str, *arguments: str) -> int:
    return main([name, "latest", *arguments, "--root", str(run.folder.parent)])


def test_the_table_has_a_line_for_each_artifact(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(run, "artifacts") == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["TASK", "NAME", "TYPE", "SIZE", "METADATA", "PATH"]
    assert lines[0].split()[:3] == ["(input)", "data", "Dataset"]
    of_tasks = {tuple(line.split()[:3]): line for line in lines[1:]}
    assert set(of_tasks) == {
        ("train", "model", "Model"),
        ("train", "metrics", "Metrics"),
        ("train", "report", "HTML"),
        ("for-loop-2/0/write", "file", "Artifact"),
        ("for-loop-2/1/write", "file", "Artifact"),
    }
    assert "6 bytes  framework=none" in of_tasks["train", "model", "Model"]
    assert of_tasks["train", "model", "Model"].endswith(str(run.folder / "train" / "model"))
    assert "no file, only metadata  accuracy=0.9" in of_tasks["train", "metrics", "Metrics"]


def test_the_path_has_a_line_of_its_own_on_a_narrow_terminal(run: Run) -> None:
    program = [sys.executable, "-m", "standpipe", "artifacts", "latest", "--root", str(run.folder.parent)]
    shown = type_on_terminal(program, [], {"COLUMNS": "80"}).replace("\r", "")
    assert f"\n  {run.folder / 'train' / 'model'}\n" in shown


def test_a_type_selects(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(run, "artifacts", "--type", "model") == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert command(run, "artifacts", "--type", "Video") == 0
    assert capsys.readouterr().out == f"Run {run.id} has no artifacts of type Video.\n"


def test_json_has_what_opens_each(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(run, "artifacts", "--json", "--type", "system.Model") == 0
    [model] = json.loads(capsys.readouterr().out)
    assert (model["task"], model["output"], model["index"], model["reference"]) == (
        "train",
        "model",
        None,
        "train/model",
    )
    assert (model["size"], model["type"], model["path"]) == (6, "system.Model", str(run.folder / "train" / "model"))
    assert command(run, "open", model["reference"], "--print") == 0
    assert capsys.readouterr().out == f"{model['path']}\n"


@pytest.mark.parametrize("reference", [["train/model"], ["train", "model"], ["model"]])
def test_an_artifact_is_named_by_its_task_and_output(
    run: Run, capsys: pytest.CaptureFixture[str], reference: list[str], no_display: None
) -> None:
    assert command(run, "open", *reference) == 0
    assert capsys.readouterr().out == f"{run.folder / 'train' / 'model'}\n"


def test_other_names_are_errors_with_suggestions(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(run, "open", "trian", "model") == 2
    assert "has no artifact 'trian/model'. Did you mean train/model" in capsys.readouterr().err
    assert command(run, "open", "write/file") == 2
    assert "2 artifacts of run" in capsys.readouterr().err
    assert command(run, "open", "for-loop-2/1", "write/file", "--cat") == 0
    assert capsys.readouterr().out == "b"
    assert main(["open", "other", "model", "--root", str(run.folder.parent)]) == 2


def test_what_programs_only_show_is_opened(run: Run, opened: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(run, "open", "for-loop-2/0/write/file") == 0
    path = run.task("for-loop-2/0/write").artifacts[0].path
    assert opened.read_text() == f"{path}\n"
    assert capsys.readouterr().out == f"Opened {path}.\n"


@pytest.mark.parametrize("name", ["report", "model"])
def test_what_may_contain_code_has_a_page_in_the_web_ui(
    run: Run, opened: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert command(run, "open", name) == 0
    assert not opened.exists()
    shown = capsys.readouterr().out
    [address] = [line.strip() for line in shown.splitlines() if "http://127.0.0.1" in line]
    cookies = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    page = cookies.open(address).read().decode()
    assert f"{name}" in page
    assert "<script>alert(1)</script>" not in page


def test_a_link_to_another_kind_of_file_is_judged_by_where_it_leads(
    run: Run, opened: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = run.task("for-loop-2/0/write").artifacts[0].path
    assert path is not None
    path.unlink()
    path.symlink_to(run.folder / "train" / "report")
    assert command(run, "open", "for-loop-2/0/write/file") == 0
    assert not opened.exists()


def test_an_opener_that_fails_is_an_error(
    run: Run, opened: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for program in (opened.parent / "bin").iterdir():
        program.write_text("#!/bin/sh\nexit 3\n")
    assert command(run, "open", "for-loop-2/0/write/file") == 6
    assert "(exit code 3). Use --print or --cat." in capsys.readouterr().err
    monkeypatch.setenv("PATH", "/nowhere")
    assert command(run, "open", "for-loop-2/0/write/file") == 6
    assert "cannot be started: No such file or directory. Install it, or use --print" in capsys.readouterr().err


def test_a_file_that_is_missing_is_an_error(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(run, "open", "metrics") == 6
    assert "has no file (no file, only metadata): expected it at" in capsys.readouterr().err
    (run.folder / "train" / "model").unlink()
    assert command(run, "open", "model", "--print") == 6
    assert "has no file (removed)" in capsys.readouterr().err


def test_content_is_printed_as_it_is(run: Run, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert command(run, "open", "model", "--cat") == 0
    assert capfdbinary.readouterr().out == b"\0model"


def test_content_on_a_terminal_is_text_without_commands(run: Run) -> None:
    (run.folder / "train" / "report").write_text("one\x1b]0;title\x07 two\n")
    program = [sys.executable, "-m", "standpipe", "open", "latest", "--root", str(run.folder.parent), "--cat"]
    assert type_on_terminal([*program, "report"], []).split() == ["one", "two"]
    assert "is a binary file" in type_on_terminal([*program, "model"], [])


def test_what_cannot_be_printed_is_named(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    model = run.folder / "train" / "model"
    model.unlink()
    model.mkdir()
    assert command(run, "open", "model", "--cat") == 2
    assert "is a folder" in capsys.readouterr().err
    model.rmdir()
    model.symlink_to("/etc/passwd")
    assert command(run, "open", "model", "--cat") == 6
    assert "symbolic link" in capsys.readouterr().err


def test_a_reader_that_exits_ends_it(run: Run) -> None:
    (run.folder / "train" / "report").write_text("line\n" * 1_000_000)
    program = f"{sys.executable} -m standpipe open latest report --cat --root {run.folder.parent} | head -1"
    shown = subprocess.run(program, shell=True, cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert (shown.stdout, shown.stderr) == ("line\n", "")
