"""The setup of a test: its runner, the options that its calls get, and the guard of the network."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from unittest.mock import patch

from standpipe import local
from standpipe.errors import ArgumentError
from standpipe.runners.api import LocalRunner, flags, from_command_line
from standpipe.runs.options import RunOptions
from standpipe.testing.network import block_network
from standpipe.testing.task_logs import LOGGER
from standpipe.testing.tester import PipelineTester

#: The options of the marker, with their defaults.
_OPTIONS: Mapping[str, bool] = {"network": False, "cache": False}

#: What keeps uv off the network, which installs the packages of components.
_OFFLINE = {"UV_OFFLINE": "1"}


class Runners:
    """The runners that the tests of one process share, so that fork servers start once."""

    def __init__(self) -> None:
        self._by_name: dict[tuple[str, bool], LocalRunner] = {}

    def get(self, name: str, *, network: bool) -> LocalRunner:
        """Return the runner with a name of `--runner`.

        Args:
            name: the name.
            network: whether containers get a network.

        Raises:
            ArgumentError: if no runner has the name.
        """
        problem = check_runner(name)
        if problem:
            raise ArgumentError(problem)
        key = (name, network)
        if key not in self._by_name:
            is_isolated = name == "docker" and not network
            self._by_name[key] = (
                local.DockerRunner(network_mode="none") if is_isolated else from_command_line(name, no_venv=False)
            )
        return self._by_name[key]

    def close(self) -> None:
        """Close what they have open."""
        for runner in self._by_name.values():
            runner.retire(successor=local.InProcessRunner())


def check_runner(name: str) -> str:
    """Return a sentence about the name of a runner that there is not; empty for others."""
    if name in flags():
        return ""
    close = get_close_matches(name, flags(), n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"expected one of {', '.join(flags())}."
    return f"Unknown runner {name!r} for the fixture `standpipe`: {hint}"


@contextmanager
def open_tester(
    folder: Path, runners: Runners, runner: str | LocalRunner, options: Mapping[str, Any]
) -> Iterator[PipelineTester]:
    """Give a test what it runs pipelines with. Calls of components and `local.run` have the same options meanwhile.

    Args:
        folder: a folder for all that its runs leave.
        runners: the runners that tests share.
        runner: its runner, or the name of one.
        options: those of the marker `standpipe`.

    Raises:
        ArgumentError: if an option or the runner is unknown.
    """
    network, cache = _check_options(options).values()
    chosen = runners.get(runner, network=network) if isinstance(runner, str) else runner
    tester = PipelineTester(folder, chosen, enable_caching=cache)
    with ExitStack() as stack:
        stack.enter_context(patch.object(local, "_defaults", RunOptions(**tester.options)))
        stack.enter_context(_logged_tasks())
        if not network:
            stack.enter_context(patch.dict(os.environ, _OFFLINE))
            stack.enter_context(block_network())
        yield tester


def _check_options(options: Mapping[str, Any]) -> dict[str, bool]:
    for name, value in options.items():
        if name not in _OPTIONS:
            close = get_close_matches(name, _OPTIONS, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"expected {' or '.join(_OPTIONS)}."
            raise ArgumentError(f"Unknown option {name!r} of pytest.mark.standpipe: {hint}")
        if not isinstance(value, bool):
            raise ArgumentError(f"Invalid {name}={value!r} of pytest.mark.standpipe: expected True or False.")
    return {**_OPTIONS, **options}


@contextmanager
def _logged_tasks() -> Iterator[None]:
    """Let the records of what tasks print reach the handlers of pytest, whatever the level of its root logger."""
    before = LOGGER.level
    LOGGER.setLevel(logging.INFO)
    try:
        yield
    finally:
        LOGGER.setLevel(before)
