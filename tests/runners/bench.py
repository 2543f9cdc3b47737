"""A runner of processes with what it needs, and short ways to run functions on it."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from textwrap import dedent
from typing import Any

from standpipe.model.attempts import CommandLine, Outcome, TaskRequest
from standpipe.model.cancellation import Cancellation
from standpipe.model.plan import PythonFunction
from standpipe.model.refs import TaskRef
from standpipe.runners.process.fork_servers import ForkServers
from standpipe.runners.process.runner import Environments, ProcessTaskRunner
from tests.worker.tasks import PREAMBLE

#: The Python of the tests, as the tag of an image.
HERE = "{}.{}".format(*sys.version_info[:2])
IMPORTS = PREAMBLE + "import os, signal, subprocess, sys, time\n"


class Fixed:
    """Environments with one interpreter for everything."""

    def __init__(self, python: Path) -> None:
        self.chosen = python

    def is_built(self, function: PythonFunction, variables: Mapping[str, str]) -> bool:
        return True

    def check(self, function: PythonFunction, variables: Mapping[str, str], cancel: Cancellation) -> None:
        """Nothing is installed."""

    def has_module(self, function: PythonFunction, variables: Mapping[str, str], module: str) -> None:
        """Nothing is known."""

    def find_unreadable(self, function: PythonFunction) -> list[str]:
        return []

    def python(
        self,
        function: PythonFunction,
        *,
        variables: Mapping[str, str],
        inform: Callable[[str], None],
        cancel: Cancellation,
    ) -> Path:
        return self.chosen


class Kept:
    """A log in memory, which can be waited for."""

    def __init__(self) -> None:
        self.data = b""
        self.pieces = 0

    def write(self, data: bytes) -> None:
        self.data += data
        self.pieces += 1

    def wait_for(self, text: bytes, seconds: float = 20) -> None:
        limit = time.monotonic() + seconds
        while text not in self.data:
            assert time.monotonic() < limit, f"{text!r} is not in {self.data!r}"
            time.sleep(0.005)


class Bench:
    """A runner and a folder, with short ways to run functions."""

    def __init__(self, folder: Path, environments: Environments) -> None:
        self.folder = folder
        self.notices: list[str] = []
        self.runner = ProcessTaskRunner(
            environments, servers=ForkServers(), warn=self.notices.append, inform=self.notices.append
        )
        self._lock = threading.Lock()

    def request(
        self,
        source: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        env: Mapping[str, str] | None = None,
        retry_index: int = 0,
        image: str = f"python:{HERE}",
        program: CommandLine | None = None,
        packages: tuple[str, ...] = (),
    ) -> TaskRequest:
        """A request for the function `f` of the source."""
        with self._lock:
            folder = self.folder / f"task-{len(list(self.folder.glob('task-*')))}"
            folder.mkdir()
        return TaskRequest(
            run="run",
            task=TaskRef((("train", None),)),
            attempt=retry_index,
            retry_index=retry_index,
            image=image,
            program=program or PythonFunction("f", IMPORTS + dedent(source), packages),
            executor_input={
                "inputs": {"parameterValues": dict(parameters or {})},
                "outputs": {"outputFile": str(folder / "executor_output.json")},
            },
            folder=folder,
            pipeline_root=self.folder,
            env=env or {},
        )

    def run(self, source: str, parameters: Mapping[str, Any] | None = None, **how: Any) -> tuple[Outcome, str]:
        log = Kept()
        outcome = self.runner.run(self.request(source, parameters, **how), log=log, cancel=Cancellation())
        return outcome, log.data.decode()

    def value(self, source: str, parameters: Mapping[str, Any] | None = None, **how: Any) -> Any:
        request = self.request(source, parameters, **how)
        log = Kept()
        outcome = self.runner.run(request, log=log, cancel=Cancellation())
        assert outcome == Outcome(exit_code=0), log.data.decode()
        return value_in(request)

    def server(self) -> int:
        """The process id of the newest server."""
        *_, newest = self.runner._servers._running.values()
        return newest._process.pid


def value_in(request: TaskRequest) -> Any:
    return json.loads((request.folder / "executor_output.json").read_text())["parameterValues"]["Output"]
