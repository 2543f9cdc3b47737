"""Logs in pieces: their ends, what is added, and what a search finds, also in large ones."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standpipe.history import log_files
from standpipe.support.untrusted_files import UntrustedFileError


def write(folder: Path, content: bytes) -> Path:
    path = folder / "log.txt"
    path.write_bytes(content)
    return path


def test_the_end_of_a_log(tmp_path: Path) -> None:
    log = write(tmp_path, b"one\ntwo\nthree\nunfinished")
    piece = log_files.read_tail(log, tmp_path, most=2)

    assert (piece.lines, piece.rest, piece.start, piece.size) == (("two", "three"), "unfinished", 4, 24)
    assert log_files.count_lines(log, tmp_path, piece.start) == 1
    assert log_files.read_tail(log, tmp_path, end=piece.start).lines == ("one",)


def test_a_large_log_is_read_from_its_end(tmp_path: Path) -> None:
    lines = [f"line {number} {'x' * 80}" for number in range(20_000)]
    log = write(tmp_path, "".join(f"{line}\n" for line in lines).encode())
    piece = log_files.read_tail(log, tmp_path)

    assert piece.lines == tuple(lines[-log_files.MAX_LINES :])
    assert log_files.count_lines(log, tmp_path, piece.start) == 20_000 - log_files.MAX_LINES
    assert log_files.read_tail(log, tmp_path, end=piece.start).lines[-1] == lines[-log_files.MAX_LINES - 1]


def test_a_line_without_an_end_is_shown_in_parts(tmp_path: Path) -> None:
    log = write(tmp_path, b"x" * (3 * log_files.MAX_BYTES))

    assert len(log_files.read_tail(log, tmp_path).rest) == log_files.MAX_BYTES
    assert log_files.read_on(log, tmp_path, 0).end == log_files.MAX_BYTES


def test_what_is_added_is_read_from_where_the_last_piece_ended(tmp_path: Path) -> None:
    log = write(tmp_path, b"one\ntw")
    first = log_files.read_on(log, tmp_path, 0)
    log.write_bytes(b"one\ntwo\nthree")
    second = log_files.read_on(log, tmp_path, first.end)

    assert (first.lines, first.rest) == (("one",), "tw")
    assert (second.lines, second.rest) == (("two",), "three")


def test_a_log_that_became_shorter_is_read_from_its_begin(tmp_path: Path) -> None:
    log = write(tmp_path, b"new\n")

    assert log_files.read_on(log, tmp_path, 1000).lines == ("new",)


def test_a_link_in_place_of_a_log_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    os.symlink(tmp_path / "secret", tmp_path / "log.txt")

    with pytest.raises(UntrustedFileError):
        log_files.read_tail(tmp_path / "log.txt", tmp_path)


def test_a_search_ignores_case_and_colors(tmp_path: Path) -> None:
    log = write(tmp_path, b"nothing\nAn Er\x1b[31mror here\n\nerror")
    matches, has_more = log_files.search(log, tmp_path, "error", 10)

    assert [(match.number, match.end) for match in matches] == [(2, 27), (4, 34)]
    assert not has_more
    assert log_files.search(log, tmp_path, "error", 1)[1]


def test_a_search_ends_in_time_and_says_what_it_did_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = write(tmp_path, b"needle\n" * 10)
    assert log_files.search(log, tmp_path, "needle", 100, until=0.0) == ([], True)
    monkeypatch.setattr(log_files, "_MAX_SEARCHED", 21)
    matches, has_more = log_files.search(log, tmp_path, "needle", 100)
    assert (len(matches), has_more) == (3, True)


@given(st.lists(st.sampled_from(["needle", "hay", "", "é needle", "x" * 50])), st.booleans())
def test_a_search_gives_the_lines_with_the_text(lines: list[str], ends: bool) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        log = write(Path(folder), ("\n".join(lines) + "\n" * ends).encode())
        matches, _ = log_files.search(log, Path(folder), "needle", 1000)
        tails = [log_files.read_tail(log, Path(folder), end=match.end) for match in matches]

    assert [match.number for match in matches] == [at for at, line in enumerate(lines, 1) if "needle" in line]
    assert [(tail.lines[-1:] or (tail.rest,))[0] if not tail.rest else tail.rest for tail in tails] == [
        match.text for match in matches
    ]


def test_a_search_in_a_large_log_counts_its_lines(tmp_path: Path) -> None:
    log = write(tmp_path, b"hay hay hay\n" * 300_000 + b"needle\n" + b"hay\n" * 10)
    matches, _ = log_files.search(log, tmp_path, "needle", 10)

    assert [match.number for match in matches] == [300_001]


def test_a_log_is_downloaded_whole(tmp_path: Path) -> None:
    content = os.urandom(3 * log_files.MAX_BYTES + 5)

    assert b"".join(log_files.read_bytes(write(tmp_path, content), tmp_path)) == content
