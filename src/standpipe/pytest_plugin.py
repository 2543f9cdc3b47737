"""The pytest plugin. Every run of pytest imports this module, so it imports the rest of Standpipe when it is used."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from standpipe.runners.api import LocalRunner
    from standpipe.testing import PipelineTester
    from standpipe.testing.session import Runners

_DEFAULT_RUNNER = "in-process"

#: The pipeline root of a test, and the runners that the tests of this process share.
_root: pytest.StashKey[Path] = pytest.StashKey()
_runners: pytest.StashKey[Runners] = pytest.StashKey()

_MARKERS = (
    "standpipe(network=False, cache=False): options of the fixture `standpipe` of a test",
    "standpipe_runners(*runners): run a test with the fixture `standpipe` once with each of these runners",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option and the setting that choose the runner."""
    text = "the runner of the fixture `standpipe`: in-process, subprocess or docker"
    parser.getgroup("standpipe").addoption("--standpipe-runner", metavar="RUNNER", help=f"{text}.")
    parser.addini("standpipe_runner", f"{text}; --standpipe-runner comes first.", default=_DEFAULT_RUNNER)


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers, and check the option."""
    for marker in _MARKERS:
        config.addinivalue_line("markers", marker)
    if config.getoption("standpipe_runner") or config.getini("standpipe_runner") != _DEFAULT_RUNNER:
        from standpipe.testing.session import check_runner  # of use only where a runner is chosen

        problem = check_runner(_chosen_runner(config))
        if problem:
            raise pytest.UsageError(problem)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test once with each runner of its marker."""
    marker = metafunc.definition.get_closest_marker("standpipe_runners")
    if marker and "standpipe_runner" in metafunc.fixturenames:
        metafunc.parametrize("standpipe_runner", marker.args)


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    """Say why the status of a run or a task is not equal to a text."""
    if op == "==" and "standpipe.history.records" in (type(left).__module__, type(right).__module__):
        status, text = (right, left) if isinstance(left, str) else (left, right)
        value = getattr(status, "value", None)
        if value is not None and isinstance(text, str):
            return [f"{status!s} == {text!r}", "", f"A status is not a text: compare its .value, which is {value!r}."]
    return None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the runs of a test to its report, if it failed."""
    report = yield
    root = item.stash.get(_root, None)
    if report.failed and root is not None:
        from standpipe.testing.task_logs import report_sections  # only tests that failed need it

        is_known = call.excinfo is not None and call.excinfo.typename == "TaskFailed"  # the report has the error
        report.sections += report_sections(root, with_failures=not is_known)
    return report


def pytest_unconfigure(config: pytest.Config) -> None:
    """Close what the runners have open, such as fork servers."""
    if _runners in config.stash:
        config.stash[_runners].close()


@pytest.fixture
def standpipe_runner(request: pytest.FixtureRequest) -> str | LocalRunner:
    """The runner of the fixture `standpipe`: its name, or an object of `standpipe.local`. Tests may parametrize it."""
    return _chosen_runner(request.config)


@pytest.fixture
def standpipe(
    request: pytest.FixtureRequest, tmp_path: Path, standpipe_runner: str | LocalRunner
) -> Iterator[PipelineTester]:
    """Run components and pipelines in a pipeline root of this test's own, without the network and the cache.

    `standpipe.call(component, ...)` returns what a component returns; `standpipe.run(pipeline, ..., fakes={...})`
    returns the finished run.
    """
    from standpipe.testing import session  # what tests without the fixture do without

    runners = request.config.stash.setdefault(_runners, session.Runners())
    with session.open_tester(tmp_path / "standpipe", runners, standpipe_runner, _options(request)) as tester:
        request.node.stash[_root] = tester.root
        yield tester


def _chosen_runner(config: pytest.Config) -> str:
    return str(config.getoption("standpipe_runner") or config.getini("standpipe_runner"))


def _options(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Return the options of a test's markers; those of the innermost come first."""
    options: dict[str, Any] = {}
    for marker in request.node.iter_markers("standpipe"):
        if marker.args:
            raise pytest.UsageError(
                f"pytest.mark.standpipe: expected options such as network=True, got {marker.args[0]!r}."
            )
        options = {**marker.kwargs, **options}
    return options
