"""Fixtures and hooks of all tests. In CI, a skipped slow test is a failure."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from standpipe import local
from standpipe.dsl.registry import defined_components
from standpipe.runs.current_code import IMPORTED_SCRIPT

SECONDS_FOR_SLOW_TESTS = 900

#: The tests whose subprocesses are measured: those that reach what only a process of its own reaches. Each such process
#: imports coverage and writes a file; to measure those of all tests takes longer than the tests.
MEASURED = (
    "tests/cli/test_check.py",
    "tests/cli/test_watch.py",
    "tests/kfp_compat/",
    "tests/runners/process/test_debugger.py",
    "tests/runners/process/test_fork_servers.py",
    "tests/runners/process/test_limits.py",
    "tests/runners/process/test_runner.py",
    "tests/testing/test_pytest_plugin.py",
    "tests/ui/test_server.py",
    "tests/worker/",
)

# Tests run in parallel and on busy machines, so the time of one example is not checked.
settings.register_profile("standpipe", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("standpipe")


#: What measures the coverage of this process, where that is measured; as it was before the last fork.
_measuring: list[Any] = []


def _remember_coverage() -> None:
    _measuring[:] = filter(None, [sys.modules["coverage"].Coverage.current()]) if "coverage" in sys.modules else []


def _forget_coverage() -> None:
    """Keep a forked process from writing what its parent has measured, as coverage 7.17 does at each `os._exit`.

    Late in the tests that is much: a test that forks 30 times took two minutes.
    """
    for measuring in _measuring:
        measuring.save = lambda: None


os.register_at_fork(before=_remember_coverage, after_in_child=_forget_coverage)


def pytest_configure() -> None:
    """Handle signals also if the tests were started in the background or by `nohup`, where they are ignored."""
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give a slow test without a timeout of its own more time: it builds images and environments."""
    for item in items:
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(SECONDS_FOR_SLOW_TESTS))


@pytest.fixture(autouse=True)
def _no_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reset the options that a test sets with `local.init` when the test ends."""
    monkeypatch.setattr(local, "_defaults", None)


@pytest.fixture(autouse=True)
def _few_measured_subprocesses(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let coverage measure the subprocesses of some tests only."""
    if not request.node.nodeid.startswith(MEASURED):
        monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)


@pytest.fixture(autouse=True)
def _no_leftover_pipelines(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Remove what a test defines from the registry, and the scripts that it runs, when the test ends."""
    monkeypatch.setattr(defined_components, "_components", dict(defined_components._components))
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main
    sys.modules.pop(IMPORTED_SCRIPT, None)


@pytest.fixture(scope="session")
def kfp_python() -> Path:
    """Return the Python of an environment with the KFP SDK 2.17.3, which `make test-slow` installs."""
    python = os.environ.get("STANDPIPE_KFP_PYTHON")
    if not python:
        pytest.skip("no KFP SDK to compare with: `make test-slow` installs it")
    return Path(python).absolute()


def left_out(config: pytest.Config) -> list[str]:
    """Return the slow tests and test files that were skipped."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter else []
    return [report.nodeid for report in skipped if report.nodeid.startswith("tests/slow/")]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail in CI, which has an engine and an index, if a slow test was skipped."""
    if os.environ.get("CI") == "true" and left_out(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    skipped = left_out(config)
    if skipped:
        failure = ", which is a failure in CI" if os.environ.get("CI") == "true" else ""
        terminalreporter.write_line(f"slow tests skipped: {len(skipped)}{failure}")
