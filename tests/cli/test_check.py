"""`standpipe check`. Each runs in an interpreter of its own, because it installs Standpipe as `kfp`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from standpipe.cli.main import main
from tests.imports import modules_of

SCRIPT = """
from kfp import dsl

print("the script prints")

@dsl.component(packages_to_install=["pandas"])
def load(rows: int) -> int:
    return rows

@dsl.pipeline
def first(rows: int):
    load(rows=rows)

@dsl.pipeline
def second():
    load(rows=1).set_accelerator_limit(1)

if __name__ == "__main__":
    raise SystemExit("it was run")
"""
CLEAN = SCRIPT.replace('"pandas"', '"pandas==2.2.3"').replace(".set_accelerator_limit(1)", "")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "clean.py").write_text(CLEAN)
    return tmp_path


def check(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-m", "standpipe", "check", *arguments]
    return subprocess.run(program, cwd=folder, capture_output=True, text=True, check=False)


def rules_of(done: subprocess.CompletedProcess[str]) -> list[str]:
    return [each["rule"] for each in json.loads(done.stdout)["findings"]]


def test_all_pipelines_of_a_script_are_checked_and_nothing_is_run(folder: Path) -> None:
    done = check(folder, "script.py")

    assert done.returncode == 1
    assert done.stdout.startswith("script.py:6:38: warning SP010 component 'load' installs 'pandas' in any version\n")
    assert "script.py:16:5: warning SP031" in done.stdout
    assert done.stdout.endswith("Found 0 errors and 2 warnings in 2 pipelines.\n")
    assert done.stderr == "the script prints\n"


def test_without_findings_the_exit_code_is_0(folder: Path) -> None:
    done = check(folder, "clean.py")

    assert (done.returncode, done.stdout) == (0, "No findings in 2 pipelines.\n")


def test_one_pipeline_and_several_targets(folder: Path) -> None:
    assert rules_of(check(folder, "script.py:first", "--output-format", "json")) == ["SP010"]
    assert rules_of(check(folder, "script.py:second", "clean.py", "--output-format", "json")) == ["SP010", "SP031"]


def test_a_compiled_file_is_checked(folder: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "standpipe", "compile", "script.py:second"], cwd=folder, check=True, capture_output=True
    )
    done = check(folder, "second.yaml")

    assert done.returncode == 1
    line = (folder / "second.yaml").read_text().splitlines().index("      load:") + 1
    assert f"second.yaml:{line}:7: warning SP031 task 'load' has an accelerator limit" in done.stdout


def test_rules_are_selected_by_options(folder: Path) -> None:
    assert rules_of(check(folder, "script.py", "--select", "SP09,SP01", "--output-format", "json")) == ["SP010"]
    assert rules_of(check(folder, "script.py", "--ignore", "sp01", "--output-format", "json")) == ["SP031"]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 has no parser of TOML")
def test_rules_are_selected_by_the_project(folder: Path) -> None:
    (folder / "pyproject.toml").write_text('[tool.standpipe.check]\nignore = ["SP031"]\n')
    (folder / "deep").mkdir()

    assert rules_of(check(folder / "deep", "../script.py", "--output-format", "json")) == ["SP010"]
    (folder / "pyproject.toml").write_text('[tool.standpipe.check.per-file-ignores]\n"script.py" = ["SP0"]\n')
    assert rules_of(check(folder, "script.py", "--output-format", "json")) == []


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 has no parser of TOML")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ignore = ['SP8']", "Unknown rule 'SP8' in ignore of "),
        ("ignores = []", "Unknown setting 'ignores' in [tool.standpipe.check] of "),
        ("select = 'SP0'", "Invalid select in [tool.standpipe.check] of "),
        ("per-file-ignores = 3", "Invalid per-file-ignores in [tool.standpipe.check] of "),
        ("select = [", "pyproject.toml: Invalid value"),
    ],
)
def test_an_invalid_configuration_is_an_error(folder: Path, text: str, message: str) -> None:
    (folder / "pyproject.toml").write_text(f"[tool.standpipe.check]\n{text}\n")
    done = check(folder, "clean.py")

    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Missing target: expected `standpipe check script.py`, or a compiled file."),
        (
            ("none.py",),
            "none.py cannot be run: No such file or directory. Expected a KFP script, or a compiled pipeline.",
        ),
        (("script.py:third",), "script.py has no pipeline or component 'third'."),
        (("empty.py",), "empty.py has no pipelines or components."),
        (("clean.py", "--select", "SP8"), "Unknown rule 'SP8' in --select"),
        (
            ("--explain", "image-without-pyton"),
            "Unknown rule 'image-without-pyton'. Did you mean image-without-python?",
        ),
        (("--output-format", "xml", "clean.py"), "invalid choice: 'xml'"),
    ],
)
def test_a_mistake_is_an_error_without_a_traceback(folder: Path, arguments: tuple[str, ...], message: str) -> None:
    (folder / "empty.py").write_text("")
    done = check(folder, *arguments)

    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_rule_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--explain", "sp012"]) == 0

    shown = capsys.readouterr().out
    assert shown.startswith("# SP012 image-without-python (error)\n")
    assert "Fails:\n\n```python" in shown
    assert shown.endswith("**Fix.** Use an image with Python and pip, such as `python:3.11`.\n")


def test_scripts_get_arguments(folder: Path) -> None:
    (folder / "script.py").write_text(SCRIPT.replace('"the script prints"', "__import__('sys').argv"))
    done = check(folder, "script.py", "--json", "--", "--rows", "3")

    assert rules_of(done) == ["SP010", "SP031"]
    assert done.stderr == "['script.py', '--rows', '3']\n"


def test_modules_beside_the_script_are_found_from_a_package(folder: Path) -> None:
    component = (
        "from kfp import dsl\n\n@dsl.component\ndef rate() -> int:\n    import features\n    return features.RATE\n"
    )
    (folder / "parts").mkdir()
    (folder / "parts" / "__init__.py").write_text("")
    (folder / "parts" / "components.py").write_text(component)
    (folder / "features.py").write_text("RATE = 1")
    script = "from kfp import dsl\nfrom parts.components import rate\n\n@dsl.pipeline\ndef pipeline():\n    rate()\n"
    (folder / "script.py").write_text(script)
    done = check(folder, "script.py")

    assert done.stdout.startswith("parts/components.py:5:12: error SP002 component 'rate' imports 'features'")


def test_commands_for_terminals_in_sources_are_not_written(folder: Path) -> None:
    (folder / "script.py").write_text(SCRIPT.replace('"pandas"', '"pandas\x1b]0;title\x07"'))

    assert "\x1b" not in check(folder, "script.py").stdout


def test_rules_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--list-rules"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("SP001  error    undefined-name")
    assert "SP041  warning  unused-output" in "\n".join(lines)


def test_help_needs_no_rules() -> None:
    program = "from standpipe.cli.main import main\ntry: main(['check', '-h'])\nexcept SystemExit: pass"

    assert not [name for name in modules_of(program) if name.startswith(("standpipe.check", "standpipe.dsl"))]


def test_a_check_needs_neither_runners_nor_the_store(folder: Path) -> None:
    program = (
        f"import os, sys\nos.chdir({str(folder)!r})\nfrom standpipe.cli.main import main\nmain(['check', 'clean.py'])"
    )
    loaded = modules_of(program)

    assert "standpipe.check.checker" in loaded
    assert not loaded & {"sqlite3", "yaml", "google.protobuf", "rich", "docker", "asyncio"}
