"""Tasks under the debugger, with a person at the terminal who types what a test says."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.processes import is_alive
from tests.worker.tasks import interpreter

ROOT = Path(__file__).resolve().parents[3]

PROGRAM = """
import json, sys, threading
from dataclasses import replace
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.runners.bench import Bench, Fixed, Kept, value_in
from standpipe.model.cancellation import Cancellation
bench = Bench(Path({folder!r}), Fixed(Path({python!r})))
request = replace(bench.request({source!r}, {{"n": 20}}), debug=True)
log, cancel = Kept(), Cancellation()
if {seconds!r}:
    threading.Timer({seconds!r}, cancel.set).start()
outcome = bench.runner.run(request, log=log, cancel=cancel)
bench.runner.close()
told = {{name: getattr(outcome, name) for name in ("exit_code", "signal", "cause", "cpu_seconds")}}
told["value"] = value_in(request) if outcome.succeeded else None
Path({folder!r}, "told.json").write_text(json.dumps({{**told, "log": log.data.decode()}}))
"""

SOURCE = """
def f(n: int) -> int:
    doubled = n * 2
    if doubled > 50: raise ValueError('too much: %d' % doubled)
    return doubled + 2
"""


class Session:
    """A program that debugs one task, what was typed into it, and what it showed and told."""

    def __init__(self, folder: Path, typed: str, source: str = SOURCE, python: str = "current", seconds: float = 0):
        program = PROGRAM.format(
            root=str(ROOT), folder=str(folder), python=str(interpreter(python)), source=source, seconds=seconds
        )
        environment = {**os.environ, "PYTHON_COLORS": "0", "NO_COLOR": "1"}
        with subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
        ) as process:
            try:
                if seconds:  # nothing is typed, and nothing ends by itself
                    process.wait(timeout=20)
                self.shown, _ = process.communicate(typed, timeout=20)
            finally:
                process.kill()
        self.told = json.loads((folder / "told.json").read_text())


@pytest.mark.parametrize("python", ["3.9", "3.13"])
def test_it_stops_at_the_first_line_and_shows_it(tmp_path: Path, python: str) -> None:
    session = Session(tmp_path, "n\np doubled + 1\nn\nn\nn\nn\nn\n", python=python)

    assert re.match(r"> <component f>\(\d+\)f\(\)\n-> doubled = n \* 2\n\(Pdb\) ", session.shown)
    assert "(Pdb) 41\n" in session.shown
    assert "--Return--" in session.shown
    assert "standpipe" not in session.shown, "nobody steps through what calls the function"
    assert (session.told["exit_code"], session.told["value"]) == (0, 42)
    assert session.told["cpu_seconds"] > 0
    assert session.told["log"] == "[it ran under the debugger: what it printed was on the terminal]\n"


def test_values_can_be_changed(tmp_path: Path) -> None:
    assert Session(tmp_path, "!n = 1\nc\n").told["value"] == 4


def test_a_breakpoint_of_the_users_is_one(tmp_path: Path) -> None:
    source = "def f(n: int) -> int:\n    n += 1\n    breakpoint()\n    return n\n"
    session = Session(tmp_path, "c\np n * 1000\nc\n", source)

    assert "(Pdb) 21000\n" in session.shown
    assert session.told["value"] == 21


def test_after_an_exception_it_is_where_that_was_raised(tmp_path: Path) -> None:
    session = Session(tmp_path, "!n = 30\nc\np doubled + 1\nc\n")

    assert "ValueError: too much: 60" in session.shown
    assert "(Pdb) 61\n" in session.shown
    assert "debugger.py" not in session.shown  # frames of the user's code only
    assert (session.told["exit_code"], session.told["cause"]) == (1, "ValueError: too much: 60")


def test_quitting_is_a_failure_without_a_traceback(tmp_path: Path) -> None:
    session = Session(tmp_path, "q\n")

    assert "The user quit the debugger." in session.shown
    assert "Traceback" not in session.shown
    assert (session.told["exit_code"], session.told["cause"]) == (1, "")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere, init takes the daemons")
def test_nothing_that_it_started_is_left(tmp_path: Path) -> None:
    source = "def f(n: int) -> int:\n    return subprocess.Popen(['sleep', '60'], start_new_session=True).pid\n"
    session = Session(tmp_path, "c\n", source)

    assert not is_alive(session.told["value"])


def test_cancelling_ends_the_session(tmp_path: Path) -> None:
    start = time.monotonic()
    session = Session(tmp_path, "", seconds=1.0)

    assert time.monotonic() - start < 10
    assert session.told["signal"] == signal.SIGKILL
