"""What Standpipe says about names of the KFP SDK, compared with the SDK itself."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from standpipe.kfp_compat.cluster import CLUSTER_MODULES, METHODS
from standpipe.kfp_compat.explanations import KFP_1

pytestmark = pytest.mark.slow

SOURCES = Path(__file__).parents[2] / "src"

PROGRAM = """
import importlib, inspect, json, sys
asked = json.loads(sys.argv[1])
load = importlib.import_module
modules = {name: load(name) for name in asked["modules"]}
classes = {name: value for module in modules.values() for name, value in vars(module).items() if inspect.isclass(value)}

def methods(cls):
    return sorted(name for name, value in vars(cls).items() if name[0] != "_" and inspect.isfunction(value))

print(json.dumps({
    "missing": [f"{name}.{each}" for name, module in modules.items() for each in asked["modules"][name]
                if not hasattr(module, each)],
    "methods": {name: methods(classes[name]) for name in asked["classes"]},
    "packages": [name for name in asked["packages"] if not hasattr(load(f"kfp.{name}"), "__path__")],
    "version 1": [f"{name}.{each}" for name, names in asked["version 1"].items() for each in names
                  if hasattr(load(name), each)],
}))
"""


@pytest.fixture(scope="module")
def answers(kfp_python: Path) -> dict[str, Any]:
    asked = {
        "modules": {name: " ".join(names.values()).split() for name, names in CLUSTER_MODULES.items()},
        "classes": list(METHODS),
        "packages": [path.stem for path in (SOURCES / "kfp").glob("*.py")],
        "version 1": {name: list(names) for name, names in KFP_1.items()},
    }
    done = subprocess.run(
        [kfp_python, "-W", "ignore", "-c", PROGRAM, json.dumps(asked)], check=True, capture_output=True, text=True
    )
    answers: dict[str, Any] = json.loads(done.stdout)
    return answers


def test_what_talks_to_a_cluster_has_the_names_of_the_sdk(answers: dict[str, Any]) -> None:
    assert answers["missing"] == []
    assert answers["methods"] == {name: sorted(methods.split()) for name, methods in METHODS.items()}


def test_names_of_version_1_are_not_in_the_sdk(answers: dict[str, Any]) -> None:
    assert answers["version 1"] == []


def test_the_modules_that_replace_a_missing_sdk_have_names_of_its_packages(answers: dict[str, Any]) -> None:
    """A package of the SDK is preferred to a module of the same name, so no such module ever hides the SDK."""
    assert answers["packages"] == []
