"""`standpipe report`, as a user calls it."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from standpipe import dsl, history, local
from standpipe.cli.main import main
from standpipe.local import FakeRunner


@dsl.component
def cli_report_leaf(x: int) -> int:
    return x


@dsl.pipeline
def cli_report_pipeline(x: int = 1) -> None:
    cli_report_leaf(x=x)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the id of a run in the default pipeline root of the current folder."""
    monkeypatch.chdir(tmp_path)
    local.run(
        cli_report_pipeline,
        runner=FakeRunner(cli_report_leaf=lambda x: {"Output": x}),
        pipeline_root="local_outputs",
        quiet=True,
    )
    return history.runs(tmp_path / "local_outputs")[0].id


def test_the_file_has_the_name_of_the_run(run: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "latest"]) == 0
    assert (tmp_path / f"{run}.html").read_text().startswith("<!doctype html>")
    assert f"Wrote the report {run}.html (" in capsys.readouterr().err


def test_all_files_are_written_at_once(run: str, tmp_path: Path) -> None:
    assert main(["report", run, "-o", "a.html", "--junit", "b.xml", "--markdown", "c.md"]) == 0
    assert ET.parse(tmp_path / "b.xml").getroot().tag == "testsuites"
    assert "cli-report-pipeline succeeded" in (tmp_path / "c.md").read_text()
    assert (tmp_path / "a.html").exists()


def test_a_dash_is_standard_output(run: str, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert main(["report", run, "--no-html", "--markdown", "-"]) == 0
    assert "✅".encode() in capfdbinary.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["local_outputs"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing-like-it"], "There is no run 'nothing-like-it'"),
        (["latest", "--no-html"], "Nothing to write"),
        (["latest", "--no-html", "-o", "a.html", "--junit", "x"], "use only one of them"),
        (["latest", "-o", "a", "--junit", "./a"], "two reports have the same file"),
        (["latest", "-o", "no/such/folder.html"], "there is no folder"),
        (["latest", "-o", "local_outputs"], "it is a folder"),
    ],
)
def test_what_cannot_be_done_is_said(
    run: str, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", *arguments]) in (2, 6)
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


def test_other_files_are_kept_and_nothing_is_written(
    run: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.md").write_text("my notes")
    assert main(["report", run, "--markdown", "notes.md"]) == 6
    assert "--force" in capsys.readouterr().err
    assert (tmp_path / "notes.md").read_text() == "my notes"
    assert not (tmp_path / f"{run}.html").exists()
    assert main(["report", run, "--markdown", "notes.md", "--force"]) == 0
