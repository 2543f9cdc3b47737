"""The recipes for CI systems: what they call exists, and the checkers of workflows find nothing."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.docs.code_blocks import ROOT, blocks_of

TEXTS = [block.text for block in blocks_of(ROOT / "docs" / "how-to" / "ci.md") if block.language == "yaml"]
GITHUB, GITLAB = TEXTS

#: The keywords of a job of GitLab that the recipe has (https://docs.gitlab.com/ci/yaml/).
KEYWORDS = {"after_script", "artifacts", "cache", "image", "script", "timeout", "variables"}


def steps() -> list[dict[str, Any]]:
    return list(yaml.safe_load(GITHUB)["jobs"]["pipeline"]["steps"])


def commands() -> Iterator[str]:
    job = yaml.safe_load(GITLAB)["pipeline"]
    yield from (step["run"] for step in steps() if "run" in step)
    yield from (*job["script"], *job["after_script"])


def test_zizmor_finds_nothing_in_the_workflow(tmp_path: Path) -> None:
    workflow = tmp_path / ".github" / "workflows" / "pipeline.yml"
    workflow.parent.mkdir(parents=True)
    workflow.write_text(GITHUB, encoding="utf-8")
    zizmor = Path(sys.executable).with_name("zizmor")
    done = subprocess.run(
        [zizmor, "--offline", "--config", ROOT / ".github" / "zizmor.yml", workflow],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    workflow.write_text(GITHUB.replace("          persist-credentials: false\n", "          fetch-depth: 1\n"))
    assert subprocess.run(
        [zizmor, "--offline", "--config", ROOT / ".github" / "zizmor.yml", workflow], capture_output=True, check=False
    ).returncode


def test_each_step_of_the_workflow_uses_or_runs_something() -> None:
    assert all(("uses" in step) != ("run" in step) for step in steps())
    identifiers = {step["id"] for step in steps() if "id" in step}
    assert identifiers == {"python"}
    assert GITHUB.count("steps.python.outputs.python-version") == 2


def test_the_job_of_gitlab_has_known_keywords() -> None:
    job = yaml.safe_load(GITLAB)["pipeline"]
    assert set(job) == KEYWORDS
    folders = {value.removeprefix("$CI_PROJECT_DIR/") for value in job["variables"].values()}
    assert folders == set(job["cache"]["paths"])
    written = shlex.split(" ".join((*job["script"], *job["after_script"])).replace("=", " "))
    assert {*job["artifacts"]["paths"], *job["artifacts"]["reports"]["junit"]} <= set(written)


@pytest.mark.parametrize("command", sorted(set(commands())))
def test_the_commands_of_standpipe_have_these_options(command: str) -> None:
    words = shlex.split(command.partition(">>")[0])
    if words[0] == "standpipe":
        import_module(f"standpipe.cli.{words[1]}").make_parser().parse_args(words[2:])
    else:
        assert words[:2] == ["python", "-m"]


def test_the_variables_are_those_of_the_caches() -> None:
    assert set(yaml.safe_load(GITLAB)["pipeline"]["variables"]) == {
        "STANDPIPE_CACHE",
        "UV_CACHE_DIR",
        "PIP_CACHE_DIR",
    }
    assert "STANDPIPE_CACHE" in (ROOT / "src" / "standpipe" / "support" / "user_dirs.py").read_text(encoding="utf-8")
