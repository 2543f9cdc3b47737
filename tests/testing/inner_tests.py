"""Tests that run pytest on tests: what their files begin with, and how they are run."""

from __future__ import annotations

from collections.abc import Callable

import pytest

COMPONENTS = """
import os
import pytest
from standpipe import dsl, local

@dsl.component
def pid() -> int:
    import os
    print("hello from the task")
    return os.getpid()

@dsl.component
def train(rate: float) -> float:
    print("training at", rate)
    if rate > 5:
        raise ValueError("too fast")
    return rate

@dsl.pipeline
def training(rate: float = 0.1) -> float:
    return train(rate=rate).output
"""

#: Runs pytest on a file with components and these tests, with these options.
RunTests = Callable[..., pytest.RunResult]


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> RunTests:
    """Return a function that runs pytest on a file with components and tests, in a process of its own."""
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)

    def run_tests(tests: str, *options: str) -> pytest.RunResult:
        pytester.makepyfile(f"{COMPONENTS}\n{tests}")
        return pytester.runpytest_subprocess("-p", "no:cacheprovider", "-W", "error", "--strict-markers", *options)

    return run_tests
