"""Parquet files: their columns and number of rows without a library, and their rows with one."""

from __future__ import annotations

import base64
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standpipe.history import Artifact
from standpipe.ui.views import previews
from standpipe.ui.views.parquet import ParquetInfo, read_parquet_info
from standpipe.ui.views.previews import Preview, read_preview
from standpipe.ui.views.tables import Table

#: A file that PyArrow 22 has written, compressed: seven columns of the common types, three rows.
FILE = zlib.decompress(
    base64.b64decode(
        "eNp9k01OwzAQhSeOMaiquhurlrrIgkZFAsS/WFQCNpVAXUBvkEIEFW1TkgDtHTgAB2DNIVhzCI6BWCDGjgm0NERxxrK/efM8Vk6POpsIuIzLqyho"
        "IlDUAIDREI5jZy4N2vPQ+wO5roYC/enSThObc3TAPG8HWXy3kR8SV8HKPM1CS9tnAN+jCDJ+3UXQdcdFpph1BbOxMIFZYDYiV6+7UBXJ+VU4CLAC"
        "yOqsynoXgGWa8GEwCOvQ1kJYooWF5CqIQ6qjqeg6w92LYFIvt/sE7VJOGlwmyFC0m3qBV3m/l6TIMsXFsB8OwmFqRYlfGEW9YYqcvNC+M7ZxAlKo"
        "mnrwoYZM1QUobQtpVZ7IE3/puIb6uAyaK0L51DgAjZYz1Bg3cEu2/M4PLLkinHGLlzI8O5bhu7LrPzoF6mCNRNeG3ZE7/scMm0tb07o5uetn9q/t"
        "fdM706/vPuWp779SJVM+4S26VmYFuBFoZM10xvlRXtypinuQl5zOmOQZT3xehvzkUvhLFKDhjYL45jZM185Ho7UgjqN77y6Mk1409Lb21jfWN9UD"
        "3e3cF27I8Cn9t1/2kXAF"
    )
)


def read_info(content: bytes) -> ParquetInfo | None:
    return read_parquet_info(len(content), lambda length, offset: content[offset : offset + length])


def show(path: Path, content: bytes = FILE) -> Preview:
    path.write_bytes(content)
    return read_preview(Artifact("x", "system.Dataset", str(path), "d", None, {}, None, (), str(path)), path.parent)


def test_the_footer_has_columns_and_the_number_of_rows() -> None:
    info = read_info(FILE)

    assert info
    assert info.row_count == 3
    assert [(column.name, column.type) for column in info.columns] == [
        *(("id", "int32"), ("name", "string"), ("share", "double"), ("ok", "boolean"), ("day", "date")),
        *(("tags", "list"), ("point", "struct")),
    ]


@given(st.data())
def test_faulty_footers_are_refused(data: st.DataObject) -> None:
    content = bytearray(FILE)
    for _ in range(data.draw(st.integers(1, 5))):
        content[data.draw(st.integers(len(FILE) // 2, len(FILE) - 1))] = data.draw(st.integers(0, 255))
    read_info(bytes(content))
    read_info(FILE[data.draw(st.integers(0, len(FILE))) :])


@given(st.binary(max_size=200))
def test_any_footer_can_be_read(footer: bytes) -> None:
    read_info(b"PAR1" + footer + len(footer).to_bytes(4, "little") + b"PAR1")


def test_without_a_library_the_preview_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(previews, "find_library", lambda: "")
    preview = show(tmp_path / "x")

    assert isinstance(preview.content, Table)
    assert (preview.content.row_count, preview.content.column_count, preview.content.rows) == (3, 7, ())
    assert "python -m pip install pyarrow" in preview.note


def test_a_faulty_file_is_shown_as_bytes(tmp_path: Path) -> None:
    assert show(tmp_path / "x", b"PAR1 and no more").kind == "hex"


def test_a_library_that_fails_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(previews, "find_library", lambda: "no-such-library")
    preview = show(tmp_path / "x")

    assert preview.note == "Its rows cannot be read by no-such-library."


def test_rows_are_read_once_as_long_as_the_file_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[tuple[str, ...]] = [("1", "a", "0.5", "true", "2026-11-30", "", "")]
    calls = list[int]()
    monkeypatch.setattr(previews, "find_library", lambda: "a-library")
    monkeypatch.setattr(previews, "read_parquet_rows", lambda file, *_: calls.append(file) or rows)
    first = show(tmp_path / "x")
    path = tmp_path / "x"
    again = read_preview(Artifact("x", "", str(path), "d", None, {}, None, (), str(path)), tmp_path)
    show(path)

    assert isinstance(first.content, Table)
    assert first.content.rows == tuple(rows)
    assert first == again
    assert len(calls) == 2
