"""The names of cells, in a kernel and without one."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import pytest

from standpipe.model.events import CodeLocation
from standpipe.support.code_locations import describe_location
from standpipe.support.notebooks import name_cell, name_cells

FILE = "/tmp/ipykernel_1/2.py"


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    compiler = SimpleNamespace(format_code_name=lambda name: ("Cell", "In[4]") if name == FILE else None)
    module = ModuleType("IPython.core.getipython")
    vars(module)["get_ipython"] = lambda: SimpleNamespace(kernel=object(), compile=compiler)
    monkeypatch.setitem(sys.modules, "IPython.core.getipython", module)


@pytest.mark.usefixtures("kernel")
def test_files_of_cells_are_named_as_ipython_names_them() -> None:
    assert name_cell(FILE) == "Cell In[4]"
    assert name_cell("/tmp/train.py") == ""
    assert describe_location(CodeLocation(FILE, 2, "train")) == "Cell In[4], line 2"


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize("quote", ['"', "&#34;", "&quot;"])
def test_tracebacks_name_cells(quote: str) -> None:
    lines = f"  File {quote}{FILE}{quote}, line 4, in g\n  File {quote}/tmp/a.py{quote}, line 1, in f"
    assert name_cells(lines) == f"  Cell In[4], line 4, in g\n  File {quote}/tmp/a.py{quote}, line 1, in f"


def test_without_a_kernel_nothing_changes() -> None:
    assert name_cell(FILE) == ""
    assert name_cells(f'File "{FILE}", line 4') == f'File "{FILE}", line 4'
