"""Names that nothing in a component's program defines: found where they are, and not where they only seem to be."""

from __future__ import annotations

import textwrap

import pytest

from standpipe.check.free_names import find_free_names

HEADER = "import kfp\nfrom kfp import dsl\nfrom kfp.dsl import *\nfrom typing import *\n\n"


def free(body: str, *, signature: str = "x: int = 0", rest: str = "") -> list[tuple[str, str]]:
    source = (
        HEADER + f"def work({signature}):\n{textwrap.indent(textwrap.dedent(body), '    ')}\n{textwrap.dedent(rest)}"
    )
    return list(find_free_names(source))


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ("return pd.DataFrame()", [("pd", "return pd.DataFrame()")]),
        ("return [clean(x) for x in range(3)]", [("clean", "return [clean(x) for x in range(3)]")]),
        (
            "if x:\n    return LIMIT\nreturn b(a)",
            [("LIMIT", "return LIMIT"), ("a", "return b(a)"), ("b", "return b(a)")],
        ),
        ("def inner():\n    return lambda: f'{WHAT}'\nreturn inner", [("WHAT", "return lambda: f'{WHAT}'")]),
        ("class A(Base):\n    pass\nreturn A", [("Base", "class A(Base):")]),
        ("@decorate\ndef f(): ...\nreturn f", [("decorate", "@decorate")]),
        ("class A:\n    y: Kind = 1\nreturn A", [("Kind", "y: Kind = 1")]),  # evaluated, unlike those of functions
        ("def top(self):\n    return self + other\nreturn top", [("other", "return self + other")]),
    ],
)
def test_names_that_nothing_defines(body: str, names: list[tuple[str, str]]) -> None:
    assert free(body) == names


@pytest.mark.parametrize(
    "body",
    [
        "import pandas as pd\nreturn pd.DataFrame()",
        "return [a for a, *b in [(1, 2)] if (c := a)] + [c]",
        "total = {k: v for k, v in {}.items()}\nreturn total",
        "try:\n    import json\nexcept ImportError as error:\n    json = error\nreturn json",
        "global state\nstate = 1\nreturn state",
        "def later():\n    global out\n    out = 1\nlater()\nreturn out",
        "class A:\n    y = 1\n    z = y\n    def m(self):\n        return __class__, self.z\nreturn A",
        "with open('f') as f, open('g') as g:\n    return f, g",
        "for i, (j, k) in []:\n    pass\nreturn i, j, k",
        "match x:\n    case {'a': [first, *others], **more}:\n        return first, others, more",
        "frame: pd.DataFrame = make = None\nreturn frame",
        "self = dsl\nself.y: np.ndarray = 1\nreturn self",
        "def f(n):\n    def g():\n        nonlocal n\n        n += 1\n    return g\nreturn f",
        "return __name__, __file__, __builtins__, __doc__",
        "return Dataset, Metrics, Optional, List[int], NamedTuple, dsl, kfp, get_uri",
        "exec('y = 1')\nreturn y",
        "globals()['y'] = 1\nreturn y",
        "try:\n    unicode\nexcept NameError:\n    unicode = str\nreturn unicode",
        "return print, ValueError, ExceptionGroup",
        "lambda a, /, b, *c, d=1, **e: (a, b, c, d, e)",
        "import os.path, xml.dom as dom\nreturn os, dom",
        "async def a():\n    async with x as y, x as z:\n        return [q async for q in y]\nreturn a",
        "text = '\\u2028'\nreturn text",
        "not valid (",
    ],
)
def test_names_that_are_defined(body: str) -> None:
    assert free(body) == []


def test_the_module_around_the_function() -> None:
    rest = """
    from custom import *
    """
    assert free("return helper(LIMIT)", rest="def helper(x): return x\nLIMIT = 1") == []
    assert free("return anything", rest=rest) == []
    assert free("return x", signature="x: int = DEFAULT") == [("DEFAULT", "def work(x: int = DEFAULT):")]
    assert free("return x", signature="x: Input[Model], y: 'Nothing' = 1") == []
