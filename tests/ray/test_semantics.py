"""The cases of tests/test_semantics.py, on a Ray cluster."""

from __future__ import annotations

import pytest

import tests.test_semantics
from standpipe import local
from tests.test_semantics import *  # noqa: F403  all tests, which pytest runs here with the fixture below


@pytest.fixture(autouse=True)
def _on_ray(single_node: local.RayRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tests.test_semantics, "RUNNER", single_node)
