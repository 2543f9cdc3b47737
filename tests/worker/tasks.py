"""Runs functions as tasks, in any Python, the way a container does: `python boot.py run request.json`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

import standpipe

BOOT = Path(standpipe.__file__).parent / "worker" / "boot.py"
PREAMBLE = "\nimport kfp\nfrom kfp import dsl\nfrom kfp.dsl import *\nfrom typing import *\n"


def interpreter(version: str) -> Path:
    """The interpreter of a Python version, or a skip that says what is missing; in CI, a failure."""
    python = sys.executable if version == "current" else _find(version)
    if python:
        return Path(python)
    message = f"Python {version} is not on this machine: `uv python install {version}` or pyenv brings it"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


@cache
def _find(version: str) -> str | None:
    from uv import find_uv_bin  # as the project itself: only where it is needed

    # pyenv's shims answer to every version that they have heard of, but only run the selected one.
    home = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    for candidate in home.glob(f"versions/{version}.*/bin/python{version}"):
        return str(candidate)
    found = subprocess.run(
        [find_uv_bin(), "python", "find", "--no-project", version], capture_output=True, text=True, check=False
    )
    return found.stdout.strip() if found.returncode == 0 else None


@dataclass(frozen=True)
class Result:
    """What a task left behind."""

    code: int
    printed: str
    folder: Path

    @property
    def output(self) -> dict[str, Any]:
        """The executor output; an error if there is none."""
        content: dict[str, Any] = json.loads((self.folder / "executor_output.json").read_text())
        return content

    @property
    def values(self) -> dict[str, Any]:
        values: dict[str, Any] = self.output["parameterValues"]
        return values

    @property
    def error(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.folder / "error.json").read_text())
        return content

    def artifact(self, name: str = "Output") -> dict[str, Any]:
        (only,) = self.output["artifacts"][name]["artifacts"]
        assert isinstance(only, dict)
        return only


def runtime_artifact(uri: Path | str, title: str = "system.Artifact", **more: Any) -> dict[str, Any]:
    return {"name": "a", "uri": str(uri), "type": {"schemaTitle": title, "schemaVersion": "0.0.1"}, **more}


class Tasks:
    """Runs functions in one interpreter, in a folder of the test's own."""

    def __init__(self, python: Path, folder: Path) -> None:
        self.python = python
        self.folder = folder

    def run(
        self,
        source: str,
        *,
        parameters: Mapping[str, Any] | None = None,
        artifacts: Mapping[str, list[dict[str, Any]]] | None = None,
        output_artifacts: Mapping[str, str] | None = None,
        output_parameters: tuple[str, ...] = (),
        classes: Mapping[str, str] | None = None,
        env: Mapping[str, str] | None = None,
        preamble: str = PREAMBLE,
        **request: Any,
    ) -> Result:
        """Runs the function `f` of a source, to which KFP's imports are added.

        `output_artifacts` gives schema titles by name; their places, as those of `output_parameters`, are in the
        task's folder.
        """
        self.folder.mkdir(exist_ok=True)
        outputs = {
            "parameters": {name: {"outputFile": str(self.folder / name)} for name in output_parameters},
            "artifacts": {
                name: {"artifacts": [runtime_artifact(self.folder / name, title)]}
                for name, title in (output_artifacts or {}).items()
            },
            "outputFile": str(self.folder / "executor_output.json"),
        }
        inputs = {
            "parameterValues": parameters or {},
            "artifacts": {name: {"artifacts": items} for name, items in (artifacts or {}).items()},
        }
        content = {
            "source": preamble + dedent(source),
            "function": "f",
            "executor_input": {"inputs": inputs, "outputs": outputs},
            "artifact_classes": classes or {},
            "error_file": str(self.folder / "error.json"),
            "owner": None,
            **request,
        }
        path = self.folder / "request.json"
        path.write_text(json.dumps(content))
        return self._boot(path, env or {})

    def value_of(self, source: str, **how: Any) -> Any:
        """What the function returned, by way of its executor output."""
        result = self.run(source, **how)
        assert result.code == 0, result.printed
        return result.values["Output"]

    def failure_of(self, source: str, **how: Any) -> str:
        """The message of the exception that the function ended with."""
        result = self.run(source, **how)
        assert result.code == 1
        message = result.error["message"]
        assert isinstance(message, str)
        return message

    def _boot(self, path: Path, env: Mapping[str, str]) -> Result:
        cwd = self.folder / "cwd"
        cwd.mkdir(exist_ok=True)
        done = subprocess.run(
            [str(self.python), str(BOOT), "run", str(path)],
            cwd=cwd,
            env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        return Result(done.returncode, done.stdout.decode(), self.folder)
