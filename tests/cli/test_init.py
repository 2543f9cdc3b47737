"""`standpipe init`: the project that it creates works as it is, and nothing is overwritten."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from standpipe.cli.main import main

FILES = ["pipeline.py", "test_pipeline.py", ".github/workflows/pipeline.yml", ".gitignore", "README.md"]


@pytest.fixture
def project(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    folder = tmp_path / "demo"
    assert main(["init", str(folder)]) == 0
    capsys.readouterr()
    return folder


def run_python(folder: Path, *arguments: str) -> str:
    """Run Python in a folder, and return what it prints."""
    run = subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True, text=True)
    assert run.returncode == 0, f"{run.stdout}\n{run.stderr}"
    return run.stdout


def test_it_creates_a_project_and_says_what_to_do_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "my demo"
    assert main(["init", str(folder)]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"Created a first project in {folder}:\n  pipeline.py  ")
    assert out.endswith(f"Next:\n  cd '{folder}'\n  standpipe run pipeline.py    # then: standpipe ui\n  pytest\n")
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()) == sorted(FILES)


def test_in_the_current_folder_there_is_no_need_to_change_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["init"]) == 0
    assert "  cd " not in capsys.readouterr().out


def test_its_tests_pass(project: Path, tmp_path: Path) -> None:
    out = run_python(project, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--basetemp={tmp_path / 'pytest'}")
    assert re.search(r"^[3-9] passed in ", out, re.MULTILINE)


def test_its_pipeline_runs_and_compiles(project: Path) -> None:
    out = run_python(project, "-m", "standpipe", "run", "pipeline.py")
    assert "[condition-1/publish] Published {" in out
    assert out.endswith("The mean error is 0.429.\n")
    assert run_python(project, "-m", "standpipe", "compile", "pipeline.py") == "first-pipeline.yaml\n"


def test_its_workflow_is_the_recipe_of_the_documentation(project: Path) -> None:
    workflow = (project / ".github/workflows/pipeline.yml").read_text()
    page = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "ci.md"
    assert f"```yaml\n{workflow}```" in page.read_text(encoding="utf-8")
    commands = [step["run"] for step in yaml.safe_load(workflow)["jobs"]["pipeline"]["steps"] if "run" in step]
    assert "standpipe run pipeline.py" in commands


def test_check_has_no_findings_in_it(project: Path) -> None:
    assert run_python(project, "-m", "standpipe", "check", "pipeline.py").startswith("No findings")


def test_a_pipeline_that_exists_is_kept(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "pipeline.py").write_text("mine")
    (project / "README.md").unlink()
    assert main(["init", str(project)]) == 2
    assert capsys.readouterr().err.startswith(f"{project / 'pipeline.py'} exists already, and is kept as it is.")
    assert (project / "pipeline.py").read_text() == "mine"
    assert not (project / "README.md").exists()


def test_other_files_that_exist_are_kept_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / ".gitignore").write_text("mine")
    (tmp_path / "README.md").symlink_to("nowhere")
    assert main(["init", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert re.search(r"\.gitignore +kept as it is\n", out)
    assert "Add the line `local_outputs/` to .gitignore" in out
    assert (tmp_path / ".gitignore").read_text() == "mine"
    assert not (tmp_path / "nowhere").exists()


def test_programs_get_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "README.md").write_text("mine")
    assert main(["init", str(tmp_path), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document == {"folder": str(tmp_path), "created": FILES[:-1], "kept": ["README.md"]}


def test_a_file_in_place_of_the_folder_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "demo").write_text("")
    assert main(["init", str(tmp_path / "demo")]) == 2
    assert capsys.readouterr().err.startswith(f"{tmp_path / 'demo'} is not a folder.")


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_folder_that_cannot_be_written_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "/proc/demo"]) == 6
    assert capsys.readouterr().err.startswith("/proc/demo/pipeline.py cannot be written: ")
