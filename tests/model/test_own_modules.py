"""What programs say of the modules that they import."""

from __future__ import annotations

import pytest

from standpipe.model.own_modules import files_readers, find_imports
from standpipe.model.plan import OwnModule, PythonFunction


@pytest.mark.parametrize(
    ("source", "package", "names"),
    [
        ("import a, b.c as d", "", ("a", "b.c")),
        ("def f():\n    from a.b import c, d", "", ("a.b", "a.b.c", "a.b.d")),
        ("from a import *", "", ("a", "a.*")),
        ("from . import b", "a", ("a", "a.b")),
        ("from .b import c", "a", ("a.b", "a.b.c")),
        ("from ..b import c", "x.y", ("x.b", "x.b.c")),
        ("from .. import c", "a", ()),
        ("from . import c", "", ()),
        ("import importlib; importlib.import_module('a.b')", "", ("importlib", "a.b")),
        (
            "from importlib import import_module as i\n__import__('a')",
            "",
            ("importlib", "importlib.import_module", "a"),
        ),
        ("import_module('.b', __package__)", "a", ("a.b",)),
        ("import_module(name)", "", ()),
        ("import a\nimport a", "", ("a",)),
        ("def f(:", "", ()),
    ],
)
def test_imports(source: str, package: str, names: tuple[str, ...]) -> None:
    assert find_imports(source, package) == names


def test_imports_that_are_provided_count_in_functions_only() -> None:
    source = "from m import A\nfrom n import B\ndef f():\n    from m import c"

    assert find_imports(source, "", frozenset({"m"})) == ("n", "n.B", "m", "m.c")
    assert find_imports("from m import A", "", frozenset({"m"})) == ()


@pytest.mark.parametrize(
    ("source", "reads"),
    [
        ("open(__file__)", True),
        ("from importlib import resources", True),
        ("import importlib.resources as r", True),
        ("import pkgutil", True),
        ("import importlib\nfile = 1", False),
    ],
)
def test_modules_that_may_read_files(source: str, reads: bool) -> None:
    function = PythonFunction("f", "", modules=(OwnModule("m", source, "/m.py"), OwnModule("n", "", "/n.py")))

    assert files_readers(function) == (["m"] if reads else [])
