"""Reading the Python source of components."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

#: The name of the file that is parsed, which the filter below goes by.
FILE = "<component>"


def parse_source(source: str) -> ast.Module:
    """Return the syntax tree of the program of a component.

    Raises:
        SyntaxError, ValueError, RecursionError, MemoryError: as `ast.parse`.
    """
    with without_warnings():
        return ast.parse(source, FILE)


@contextmanager
def without_warnings() -> Iterator[None]:
    """Suppress what Python warns of in `FILE`, such as an invalid escape: it has warned in the author's own file.

    The filter names the file, so it can do no harm if another thread keeps it: `catch_warnings` is not thread-safe.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=FILE)
        yield
