"""The log of an attempt."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from standpipe.execution.logs import TaskLog


def log(folder: Path, *chunks: bytes) -> tuple[bytes, list[str]]:
    lines: list[str] = []
    (folder / "log.txt").unlink(missing_ok=True)  # of the example before
    with TaskLog(folder, folder, lines.append) as log:
        for chunk in chunks:
            log.write(chunk)
    return log.path.read_bytes(), lines


def test_lines_are_shown_whole(tmp_path: Path) -> None:
    kept, lines = log(tmp_path, b"on", b"e\ntw", b"o\r\n\nthree")
    assert lines == ["one", "two", "", "three"]
    assert kept == b"one\ntwo\r\n\nthree"


def test_split_characters_and_invalid_utf_8_are_shown(tmp_path: Path) -> None:
    euro = "€".encode()
    kept, lines = log(tmp_path, euro[:1], euro[1:] + b"\n\xff\xfe\n")
    assert lines == ["€", "��"]
    assert kept == euro + b"\n\xff\xfe\n"


def test_a_line_without_end_is_shown_in_pieces(tmp_path: Path) -> None:
    kept, lines = log(tmp_path, *[b"x" * 1000] * 30)
    assert "".join(lines) == "x" * 30_000
    assert max(map(len, lines)) <= 8192
    assert len(kept) == 30_000


def test_of_a_progress_bar_the_last_state_is_shown(tmp_path: Path) -> None:
    kept, lines = log(tmp_path, b"  0%\r 50%", b"\r100%\r\nnext\r\n")
    assert lines == ["100%", "next"]
    assert kept == b"  0%\r 50%\r100%\r\nnext\r\n"


def test_the_end_of_the_log_stays_in_memory(tmp_path: Path) -> None:
    with TaskLog(tmp_path, tmp_path, lambda line: None) as log:
        log.write(b"".join(b"%d\n" % number for number in range(300)) + b"no newline")
    assert log.tail.splitlines() == [*map(str, range(101, 300)), "no newline"]


def test_a_write_that_takes_a_part_only_is_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    with TaskLog(tmp_path, tmp_path, lambda line: None) as log, monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda file, data: write(file, memoryview(data)[:7]))
        log.write(b"x" * 50)
    assert log.path.read_bytes() == b"x" * 50


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.lists(st.binary(max_size=40)))
def test_every_byte_is_kept(tmp_path: Path, chunks: list[bytes]) -> None:
    kept, _ = log(tmp_path, *chunks)
    assert kept == b"".join(chunks)


def test_a_log_has_a_length(tmp_path: Path) -> None:
    with TaskLog(tmp_path, tmp_path, lambda line: None) as log:
        for chunk in (b"on", b"e\ntwo\r\n", b"\nfour"):
            log.write(chunk)
    assert (log.bytes, log.lines) == (len(log.path.read_bytes()), 4)
