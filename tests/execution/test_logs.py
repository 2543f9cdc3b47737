"""The log of an attempt."""

from __future__ import annotations

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from standpipe.execution.logs import TaskLog


def log(folder: Path, *chunks: bytes) -> tuple[bytes, list[str]]:
    lines: list[str] = []
    with TaskLog(folder, lines.append) as log:
        for chunk in chunks:
            log.write(chunk)
    return log.path.read_bytes(), lines


def test_lines_are_shown_whole_however_they_come(tmp_path: Path) -> None:
    kept, lines = log(tmp_path, b"on", b"e\ntw", b"o\r\n\nthree")
    assert lines == ["one", "two", "", "three"]
    assert kept == b"one\ntwo\r\n\nthree"


def test_characters_may_be_split_and_bytes_may_be_no_text(tmp_path: Path) -> None:
    euro = "€".encode()
    kept, lines = log(tmp_path, euro[:1], euro[1:] + b"\n\xff\xfe\n")
    assert lines == ["€", "��"]
    assert kept == euro + b"\n\xff\xfe\n"


def test_a_line_without_end_is_shown_in_pieces(tmp_path: Path) -> None:
    kept, lines = log(tmp_path, *[b"x" * 1000] * 30)
    assert "".join(lines) == "x" * 30_000
    assert max(map(len, lines)) <= 8192
    assert len(kept) == 30_000


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.lists(st.binary(max_size=40)))
def test_every_byte_is_kept(tmp_path: Path, chunks: list[bytes]) -> None:
    kept, _ = log(tmp_path, *chunks)
    assert kept == b"".join(chunks)
