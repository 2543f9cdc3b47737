"""What all tests of the command share."""

from __future__ import annotations

import sys

import pytest


@pytest.fixture(autouse=True)
def _pythons_own_hook(monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to Python 3.10 the test runner's libraries bring a hook for uncaught errors, which users do not have."""
    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)
