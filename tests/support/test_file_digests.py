"""Digests of files, and the choice of their algorithm."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from blake3 import blake3

from standpipe.model.cancellation import Cancellation
from standpipe.model.values import Checksum
from standpipe.support import file_digests
from standpipe.support.checksums import compute_checksum
from standpipe.support.file_digests import BLAKE3, SHA256, compute_digest
from tests.imports import modules_of

MIB = 1024 * 1024


def make(path: Path, size: int) -> bytes:
    content = (b"0123456789abcdef" * (size // 16 + 1))[:size]
    path.write_bytes(content)
    return content


def checksum(path: Path, algorithm: str = "") -> Checksum:
    computed = compute_checksum(str(path), Cancellation(), algorithm=algorithm)
    assert computed
    return computed


def blake3_of(content: bytes) -> str:
    """Return the digest as the documentation describes it."""
    pieces = [content[begin : begin + 4 * MIB] for begin in range(0, len(content), 4 * MIB)] or [b""]
    return blake3(b"".join(blake3(piece).digest() for piece in pieces)).hexdigest()


@pytest.mark.parametrize("size", [0, 1, 4 * MIB - 1, 4 * MIB, 4 * MIB + 1, 13 * MIB + 7])
@pytest.mark.parametrize("cores", [1, 2, 5])
def test_threads_share_the_pieces_of_a_file(
    tmp_path: Path, size: int, cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_digests, "count_cores", lambda: cores)
    content = make(tmp_path / "f", size)
    assert compute_digest(str(tmp_path / "f"), BLAKE3, Cancellation()) == blake3_of(content)
    assert compute_digest(str(tmp_path / "f"), SHA256, Cancellation()) == hashlib.sha256(content).hexdigest()


def test_the_size_of_a_payload_decides(tmp_path: Path) -> None:
    small = make(tmp_path / "small", 16 * MIB - 1)
    large = make(tmp_path / "large", 16 * MIB)
    assert checksum(tmp_path / "small").digest == f"sha256:{hashlib.sha256(small).hexdigest()}"
    assert checksum(tmp_path / "large").digest == f"blake3-4m:{blake3_of(large)}"
    assert checksum(tmp_path / "large", SHA256).digest == f"sha256:{hashlib.sha256(large).hexdigest()}"
    assert checksum(tmp_path / "small", BLAKE3).digest == f"blake3-4m:{blake3_of(small)}"


def test_all_files_of_a_folder_have_the_algorithm_of_its_size(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    small, large = make(folder / "a", 3), make(folder / "b", 16 * MIB)
    lines = f'folder\n["file", "a", "{blake3_of(small)}"]\n["file", "b", "{blake3_of(large)}"]\n'
    assert checksum(folder).digest == f"blake3-4m:{blake3(lines.encode()).hexdigest()}"
    (folder / "b").unlink()
    lines = f'folder\n["file", "a", "{hashlib.sha256(small).hexdigest()}"]\n'
    assert checksum(folder).digest == f"sha256:{hashlib.sha256(lines.encode()).hexdigest()}"


def test_an_error_in_any_thread_is_that_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = os.preadv

    def fail(file: int, buffers: list[memoryview], offset: int) -> int:
        if offset >= 4 * MIB:
            raise OSError(5, "Input/output error")
        return read(file, buffers, offset)

    make(tmp_path / "f", 16 * MIB)
    monkeypatch.setattr(file_digests, "count_cores", lambda: 4)
    monkeypatch.setattr(os, "preadv", fail)
    open_files = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    with pytest.raises(OSError, match="Input/output error"):
        compute_digest(str(tmp_path / "f"), BLAKE3, Cancellation())
    assert compute_checksum(str(tmp_path / "f"), Cancellation()) is None
    assert not open_files or len(os.listdir("/proc/self/fd")) == open_files


def test_who_has_to_stop_reads_no_further(tmp_path: Path) -> None:
    make(tmp_path / "f", 16 * MIB)
    cancel = Cancellation()
    cancel.set()
    assert compute_checksum(str(tmp_path / "f"), cancel) is None


def test_a_file_that_is_truncated_meanwhile_is_not_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path / "f", 16 * MIB)
    read = os.preadv

    def truncate(file: int, buffers: list[memoryview], offset: int) -> int:
        os.truncate(tmp_path / "f", 5 * MIB)
        return read(file, buffers, offset)

    monkeypatch.setattr(os, "preadv", truncate)
    assert checksum(tmp_path / "f").signature == ""


def test_small_files_do_not_import_blake3(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("a")
    program = "from standpipe.support.checksums import compute_checksum\nfrom standpipe.model.cancellation import *\n"
    assert "blake3" not in modules_of(f"{program}compute_checksum({str(tmp_path / 'f')!r}, Cancellation())")
