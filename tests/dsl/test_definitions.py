"""The text that functions and classes are shipped as."""

from __future__ import annotations

import functools
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from standpipe import compiler, components, dsl, local
from standpipe.dsl.functions.definitions import read_class, read_function
from standpipe.errors import AuthoringError

#: Bodies of functions. A line that begins with `|` is indented like the function; the others begin inside a string or
#: in a continued line, and stay as they are.
BODIES = {
    "margin": '|return """top:\n  mid:\n    leaf: 1\n      deep: 2\n"""',
    "deeper": '|return """\n                select *\n                  from t\n            """',
    "blank lines": '|return """a\n   \n\t\n\n    b"""',
    "bytes": '|return b"""a\n  b\n        c"""',
    "raw": "|return r'''\\a\n  b\n        c'''",
    "concatenated": '|return ("a"\n    """\n  b\n      """\n  "c")',
    "continued string": '|return "a\\\n  b\\\n        c"',
    "f-string": '|x = 1\n|return f"""a\n  {x}\n            {x!r:>3}\n   b"""',
    "nested f-string": "|x = 1\n|return f'''a\n  {f\"\"\"in\n            {x}\n  \"\"\"}\n   b'''",
    "f-string over lines": '|x = 1\n|return f"""{\n x\n   }\n  {x=}"""',
    "default value": '|def inner(x="""a\n  b"""):\n|    return x\n|return inner()',
    "class body": '|class C:\n|    text = """a\n  b"""\n|return C.text',
    "lambda": '|return (lambda: """a\n  b""")()',
    "def in a string": '|x = """\ndef f():\n"""\n|return x',
    "comment at the margin": '|x = 1\n# at the margin\n|return f"""a\n  {x}"""',
    "short continuation": "|x = 1 + \\\n2\n|y = [\n1,\n 2]\n|return [x, y]",
    "docstring": '|"""Doc.\n\n                More.\n  """\n|return """a\n  b"""',
    "form feed": '|x = 1\n\f\n|return """a\n \f b"""',
}

#: What surrounds a function: the text before it, and the indentation of its `def`.
SURROUNDINGS = {
    "module": ("", ""),
    "function": ("def factory():\n", "        "),
    "if": ("if True:\n", "    "),
    "class": ("class C:\n", "    "),
    "tabs": ("if True:\n\tif True:\n", "\t\t"),
    "decorator": ('if True:\n    @keep("""\ndef f(): ...\n  """)\n', "    "),
}

TAIL = {"function": "        return f\nf = factory()\n", "class": "f = C.f\n"}


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Return a function that makes a module of a text, in a file, which `inspect` needs."""

    def load_text(text: str) -> ModuleType:
        path = tmp_path / "definitions_module.py"
        path.write_text(text, encoding="utf-8")
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, path.stem, module)
        vars(module)["keep"] = lambda *_: lambda function: function
        spec.loader.exec_module(module)
        return module

    return load_text


def shipped(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function that the shipped source of a function defines."""
    namespace: dict[str, Any] = {}
    exec(read_function(function).text, namespace)
    result: Callable[..., Any] = namespace[function.__name__]
    return result


@pytest.mark.parametrize("surroundings", SURROUNDINGS)
@pytest.mark.parametrize("body", BODIES)
def test_a_function_returns_the_same_text_when_it_is_shipped(
    load: Callable[[str], ModuleType], body: str, surroundings: str
) -> None:
    before, indentation = SURROUNDINGS[surroundings]
    lines = (f"|def f():\n{BODIES[body].replace('|', '|    ')}\n").splitlines(keepends=True)
    text = "".join(indentation + line[1:] if line.startswith("|") else line for line in lines)
    f = load(before + text + TAIL.get(surroundings, "")).f

    assert shipped(f)() == f()
    assert read_function(f).text.startswith("def f():\n    ")
    assert read_function(f).location.line == 1 + before.count("\n")


def test_blank_lines_and_docstrings_are_shipped_as_the_sdk_ships_them(load: Callable[[str], ModuleType]) -> None:
    module = load('if True:\n  def f():\n    """Doc.\n\n      More.\n    """\n    \n    return 1\n')

    assert read_function(module.f).text == 'def f():\n  """Doc.\n\n    More.\n  """\n\n  return 1\n'


def test_the_source_of_a_wrapped_function_is_that_of_the_function() -> None:
    def log_calls(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(*arguments: Any) -> Any:
            return function(*arguments)

        return wrapper

    @log_calls
    def f(a: int) -> int:
        return a

    assert read_function(f).text == "def f(a: int) -> int:\n    return a\n"


def test_a_lambda_and_an_asynchronous_function_are_refused() -> None:
    async def f(a: int) -> int:
        return a

    for function in (f, lambda a: a):
        with pytest.raises(AuthoringError, match=r"expected a function that is defined with `def`.*not `async def`"):
            read_function(function)


def test_an_artifact_class_in_a_function_is_shipped_with_its_text(
    tmp_path: Path, load: Callable[[str], ModuleType]
) -> None:
    text = '''
from standpipe import dsl

def factory():
    class Report(dsl.Artifact):
        schema_title = "system.Report"
        schema_version = "0.0.1"
        template = """
  <html>
"""

    @dsl.component
    def template(report: dsl.Output[Report]) -> str:
        return type(report).template

    return Report, template

Report, template = factory()
'''
    module = load(text)
    local.init(runner=local.SubprocessRunner(), pipeline_root=tmp_path, quiet=True)

    assert module.template().outputs["Output"] == module.Report.template == "\n  <html>\n"
    assert read_class(module.Report).text.startswith("class Report(dsl.Artifact):\n    schema_title")


def test_text_of_several_lines_survives_a_compiled_file(tmp_path: Path) -> None:
    def helper() -> str:
        return """helper
  two
        eight"""

    @dsl.component(additional_funcs=[helper])
    def document() -> str:
        return """top:
  mid:
    leaf: 1
      deep: 2
""" + helper()

    expected = "top:\n  mid:\n    leaf: 1\n      deep: 2\nhelper\n  two\n        eight"
    path = tmp_path / "document.yaml"
    compiler.Compiler().compile(document, str(path))
    local.init(runner=local.SubprocessRunner(), pipeline_root=tmp_path, quiet=True)

    assert document().output == expected
    assert components.load_component_from_file(str(path))().output == expected
