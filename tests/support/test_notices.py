"""Notices: records of the logger `standpipe`, and lines on standard error."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from standpipe import dsl, local
from standpipe.local import FakeRunner
from standpipe.support.notices import Once, inform, log, quiet_notices, warn


@pytest.fixture(autouse=True)
def _logger(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.INFO)  # of the root logger
    logger = logging.getLogger("standpipe")
    before = logger.level
    yield
    logger.setLevel(before)


def test_a_notice_is_a_record_and_a_line(caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> None:
    inform("an environment is built")
    warn("nobody has this variable")

    assert [(record.name, record.levelname, record.getMessage()) for record in caplog.records] == [
        ("standpipe", "INFO", "an environment is built"),
        ("standpipe", "WARNING", "nobody has this variable"),
    ]
    captured = capsys.readouterr()
    assert captured.err == "standpipe: an environment is built\nstandpipe: nobody has this variable\n"
    assert captured.out == ""


def test_quiet_keeps_only_warnings_on_standard_error(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    with quiet_notices():
        inform("an environment is built")
        warn("nobody has this variable")
    inform("it is ready")

    assert capsys.readouterr().err == "standpipe: nobody has this variable\nstandpipe: it is ready\n"
    assert len(caplog.records) == 3


def test_the_level_of_the_logger_applies_to_records_and_lines(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    logging.getLogger("standpipe").setLevel(logging.WARNING)
    inform("an environment is built")
    warn("nobody has this variable")

    assert capsys.readouterr().err == "standpipe: nobody has this variable\n"
    assert len(caplog.records) == 1


def test_log_writes_a_record_and_no_line(caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> None:
    log("Task 'train': cache hit")

    assert caplog.messages == ["Task 'train': cache hit"]
    assert capsys.readouterr().err == ""


#: A handler that writes to the terminal and has no stream.
RICH = """
import logging, sys
from rich.console import Console
from rich.logging import RichHandler
console = Console(file=sys.stderr, width=40)
handler = RichHandler(show_time=False, show_level=False, show_path=False, console=console)
logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[handler])
"""


@pytest.mark.parametrize(
    ("setup", "lines"),
    [
        ("", ["standpipe: 50% done", "standpipe: nobody has it"]),
        ("import logging", ["standpipe: 50% done", "standpipe: nobody has it"]),
        (
            "import logging; logging.basicConfig(level=logging.INFO)",
            ["INFO:standpipe:50% done", "WARNING:standpipe:nobody has it"],
        ),
        ("import logging; logging.basicConfig()", ["standpipe: 50% done", "WARNING:standpipe:nobody has it"]),
        (
            "import logging; logging.basicConfig(level=logging.ERROR)",
            ["standpipe: 50% done", "standpipe: nobody has it"],
        ),
        ("import logging; logging.getLogger('standpipe').setLevel('WARNING')", ["standpipe: nobody has it"]),
        ("import logging; logging.disable()", ["standpipe: 50% done", "standpipe: nobody has it"]),
        (
            "import logging.config; logging.getLogger('standpipe'); logging.config.dictConfig({'version': 1})",
            ["standpipe: 50% done", "standpipe: nobody has it"],
        ),
        (RICH, ["50% done", "nobody has it"]),
    ],
)
def test_a_notice_is_written_once_for_every_logging_setup(setup: str, lines: list[str]) -> None:
    program = f"{setup}\nfrom standpipe.support.notices import inform, warn\ninform('50% done')\nwarn('nobody has it')"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert [line.strip() for line in done.stderr.splitlines()] == lines


def test_a_record_is_not_forced_on_a_program_that_wants_warnings_only() -> None:
    program = "import logging; logging.basicConfig()\nfrom standpipe.support.notices import log\nlog('cache hit')"

    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stderr == ""


def test_once_returns_true_for_new_keys_only() -> None:
    once = Once()

    assert [once.is_first(key) for key in ("a", ("a", 1), "a", ("a", 1), "b")] == [True, True, False, False, True]


def test_a_cache_hit_is_logged_once_per_task(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    @dsl.component
    def double(x: int) -> int:
        return 2 * x

    @dsl.pipeline
    def twice(x: int) -> int:
        return double(x=double(x=x).output).output

    def behave(x: int) -> dict[str, int]:
        return {"Output": 2 * x}

    runner = FakeRunner(double=behave, double_2=behave)
    for expected in (0, 2):
        caplog.clear()
        task = local.run(twice, {"x": 1}, runner=runner, pipeline_root=tmp_path, enable_caching=True, quiet=True)
        hits = [record for record in caplog.records if "cache hit" in record.getMessage()]
        assert task.output == 4
        assert len(hits) == expected
    assert [record.levelname for record in hits] == ["INFO", "INFO"]
    assert capsys.readouterr().err == ""
