from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
LOCK = (ROOT / "requirements.lock").read_text()


def declared() -> list[Requirement]:
    document: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = document["dependency-groups"].values()
    texts = document["project"]["dependencies"] + [text for group in groups for text in group]
    return [Requirement(text) for text in texts]


def pins() -> dict[str, list[Version]]:
    versions: dict[str, list[Version]] = {}
    for name, version in re.findall(r"^([a-z0-9-]+)==([^ ;]+)", LOCK, re.MULTILINE):
        versions.setdefault(name, []).append(Version(version))
    return versions


@pytest.mark.parametrize("requirement", declared(), ids=str)
def test_each_dependency_is_pinned_within_its_bounds(requirement: Requirement) -> None:
    versions = pins().get(canonicalize_name(requirement.name), [])

    assert versions, f"requirements.lock does not pin {requirement.name}: run `make lock`"
    assert all(requirement.specifier.contains(version) for version in versions), f"run `make lock`: {versions}"


def test_the_lock_names_no_index() -> None:
    assert "://" not in LOCK
