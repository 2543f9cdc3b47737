"""The first rows of a Parquet file, read by a library in a process of its own.

The libraries take 100 MB and a part of a second to import, and the file comes from a task: a fault in it must not end
the server. This file is that process's program as well. It is started without its folder on the path, reads the file
from its standard input, and prints the rows as JSON, so that it imports nothing of Standpipe.
"""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec
from itertools import islice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

#: The libraries that can read Parquet, the quicker ones first.
LIBRARIES = ("pyarrow", "polars")

_SECONDS = 10
_MAX_CELL = 200
_MAX_OUTPUT = 4 * 1024 * 1024


def find_library() -> str:
    """Return the name of a library that is installed here; empty if there is none."""
    return next((name for name in LIBRARIES if find_spec(name)), "")


def read_parquet_rows(descriptor: int, library: str, rows: int, columns: int) -> list[tuple[str, ...]] | None:
    """Return the first rows of a Parquet file as texts; None if they cannot be read.

    Args:
        descriptor: the file, open for reading.
        library: one of `LIBRARIES`.
        rows: the most rows.
        columns: the most columns.
    """
    import subprocess  # costs time, and most pages have no Parquet file

    from standpipe.support.forking import start_process  # this file is a program of its own, too

    command = [sys.executable, "-I", __file__, library, str(rows), str(columns)]
    process = start_process(command, stdin=descriptor, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        output = process.communicate(timeout=_SECONDS)[0]
        return [tuple(map(str, row)) for row in json.loads(output)] if process.returncode == 0 else None
    except (subprocess.TimeoutExpired, ValueError, RecursionError):
        return None
    finally:
        process.kill()
        process.communicate()


def _main(library: str, row_count: str, column_count: str) -> None:
    """Print the rows of the file on the standard input."""
    import resource  # of the program only

    resource.setrlimit(resource.RLIMIT_CPU, (_SECONDS, _SECONDS))
    reader = {"pyarrow": _read_pyarrow, "polars": _read_polars}[library]
    rows = reader(int(row_count), int(column_count))
    print(json.dumps([[_text(cell) for cell in row] for row in rows])[:_MAX_OUTPUT])


def _read_pyarrow(row_count: int, column_count: int) -> Sequence[Sequence[object]]:
    import pyarrow.parquet  # of the program only

    with open(0, "rb") as file:
        table = pyarrow.parquet.ParquetFile(file, memory_map=False)
        names = table.schema_arrow.names[:column_count]
        batch = next(table.iter_batches(batch_size=row_count, columns=names), None)
        return [] if batch is None else [*zip(*(column.to_pylist() for column in batch.columns), strict=True)]


def _read_polars(row_count: int, column_count: int) -> Sequence[Sequence[object]]:
    import polars  # of the program only

    with open(0, "rb") as file:
        frame = polars.read_parquet(file, n_rows=row_count)
        return [*islice(frame[:, :column_count].iter_rows(), row_count)]


def _text(cell: object) -> str:
    text = "" if cell is None else str(cell).lower() if isinstance(cell, bool) else str(cell)
    return text if len(text) <= _MAX_CELL else f"{text[: _MAX_CELL - 1]}…"


if __name__ == "__main__":
    _main(*sys.argv[1:])
