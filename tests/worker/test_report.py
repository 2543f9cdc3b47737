"""What a user reads of an exception in their function."""

from __future__ import annotations

import pytest

from tests.worker.tasks import Tasks

DEEP = """
    import collections

    def helper(x):
        return 1 / x

    def f(a: int) -> int:
        return helper(a)
"""


def test_a_traceback_shows_the_users_lines_and_none_of_ours(tasks: Tasks) -> None:
    result = tasks.run(DEEP, parameters={"a": 0})

    lines = [line for line in result.error["traceback"].splitlines() if "^" not in line]
    assert lines == [
        "Traceback (most recent call last):",
        '  File "<component f>", line 13, in f',
        "    return helper(a)",
        '  File "<component f>", line 10, in helper',
        "    return 1 / x",
        "ZeroDivisionError: division by zero",
    ]
    assert result.code == 1
    assert result.printed == result.error["traceback"]
    assert result.error["kind"] == "ZeroDivisionError"
    assert result.error["message"] == "division by zero"
    assert "name" not in result.error
    assert result.error["location"] == {
        "file": "<component f>",
        "line": 10,
        "function": "helper",
        "code": "return 1 / x",
    }


def test_the_location_is_in_the_users_code_not_in_a_library(tasks: Tasks) -> None:
    location = tasks.run("def f():\n    import json\n    json.loads('{')").error["location"]

    assert (location["function"], location["code"]) == ("f", "json.loads('{')")


def test_frames_of_libraries_stay(tasks: Tasks) -> None:
    traceback = tasks.run("def f():\n    import json\n    json.loads('{')").error["traceback"]

    assert "json/decoder.py" in traceback
    assert traceback.index("<component f>") < traceback.index("decoder.py")


def test_our_frames_stay_out_where_we_are_called(tasks: Tasks) -> None:
    source = "def f(a: Output[ClassificationMetrics]):\n    a.log_roc_curve([1], [], [])"
    traceback = tasks.run(source, output_artifacts={"a": "system.ClassificationMetrics"}).error["traceback"]

    assert "a.log_roc_curve([1], [], [])" in traceback
    assert "artifacts.py" not in traceback


def test_chained_exceptions_stay(tasks: Tasks) -> None:
    source = """
        def f():
            try:
                {}['key']
            except KeyError as error:
                raise ValueError('second') from error
    """
    traceback = tasks.run(source).error["traceback"]

    assert "KeyError: 'key'" in traceback
    assert "direct cause" in traceback
    assert traceback.rstrip().endswith("ValueError: second")
    assert "standpipe" not in traceback
    assert "worker" not in traceback


def test_exceptions_that_refer_to_each_other(tasks: Tasks) -> None:
    source = """
        def f():
            a, b = ValueError('a'), ValueError('b')
            a.__cause__, b.__cause__ = b, a
            raise a
    """
    assert "ValueError: a" in tasks.run(source).error["traceback"]


def test_groups_of_exceptions(tasks: Tasks) -> None:
    if not tasks.value_of("def f() -> bool: import builtins; return hasattr(builtins, 'ExceptionGroup')"):
        assert "ExceptionGroup" in tasks.run("def f(): raise ExceptionGroup('g', [])").error["message"]
        return
    traceback = tasks.run("def f(): raise ExceptionGroup('g', [ValueError('inner')])").error["traceback"]

    assert "ValueError: inner" in traceback
    assert "fork_server" not in traceback


def test_an_error_of_the_contract_has_no_empty_traceback(tasks: Tasks) -> None:
    assert tasks.run("def f() -> int: return 'x'").error["traceback"] == (
        "TypeError: the function 'f' returned a value of type str for its output 'Output': expected int\n"
    )


def test_a_syntax_error_shows_the_line(tasks: Tasks) -> None:
    traceback = tasks.run("def f(): return 1 +").error["traceback"]

    assert "def f(): return 1 +" in traceback
    assert "source.py" not in traceback


def test_a_missing_name_is_named(tasks: Tasks) -> None:
    result = tasks.run("def f(): return np.array(1)")

    assert result.error["name"] == "np"
    assert result.error["kind"] == "NameError"


@pytest.mark.parametrize(
    "body",
    [
        "x += 1\n    x = 2",  # a local variable that is not set yet
        "import ast; eval('nothing')",  # not in the function itself
        "raise NameError('other words')",
    ],
)
def test_other_errors_about_names_name_none(tasks: Tasks, body: str) -> None:
    result = tasks.run(f"def f():\n    {body}")

    assert "NameError" in result.error["traceback"] or "UnboundLocalError" in result.error["traceback"]
    assert "name" not in result.error


def test_memory_errors_of_libraries_are_memory_errors(tasks: Tasks) -> None:
    result = tasks.run("class ArrayMemoryError(MemoryError): pass\ndef f(): raise ArrayMemoryError('8 TiB')")

    assert (result.error["kind"], result.error["message"]) == ("MemoryError", "8 TiB")


def test_the_traceback_is_printed_where_it_cannot_be_written(tasks: Tasks) -> None:
    result = tasks.run("def f(): raise ValueError('x')", error_file="/nowhere/error.json")

    assert result.code == 1
    assert "ValueError: x" in result.printed
    assert "could not be written to /nowhere/error.json" in result.printed


def test_deep_recursion(tasks: Tasks) -> None:
    result = tasks.run("def f(): f()")

    assert result.error["kind"] == "RecursionError"
    assert len(result.error["traceback"].splitlines()) < 60


def test_a_long_text_is_shortened(tasks: Tasks) -> None:
    result = tasks.run("def f(): raise ValueError('x' * 1_000_000 + 'end')")

    assert result.error["summary"].startswith("ValueError: xxx")
    for key in ("summary", "message", "traceback"):
        assert len(result.error[key]) < 101_000
        assert result.error[key].rstrip().endswith("xend")
    assert len(result.printed) > 1_000_000


def test_an_exception_without_a_text(tasks: Tasks) -> None:
    source = """
        class Shy(Exception):
            def __str__(self): raise RuntimeError("no")

        def f():
            raise Shy()
    """
    result = tasks.run(source)

    assert result.code == 1
    assert "raise Shy()" in result.error["traceback"]
    assert result.error["summary"].startswith("ephemeral_component.Shy: <")
    assert result.error["message"] == "<no text: its __str__ failed>"


@pytest.mark.parametrize(
    ("body", "summary"),
    [
        ("raise ValueError('one\\n  two\\nthree')", "ValueError: one"),
        ("raise ValueError", "ValueError"),
        ("raise ValueError('\\nbelow')", "ValueError: "),
        ("exec('1 +')", "SyntaxError: invalid syntax"),
        ("raise ValueError('x') from KeyError('cause')", "ValueError: x"),
    ],
)
def test_an_exception_in_one_line(tasks: Tasks, body: str, summary: str) -> None:
    assert tasks.run(f"def f():\n    {body}").error["summary"] == summary


def test_a_group_of_exceptions_in_one_line(tasks: Tasks) -> None:
    if not tasks.value_of("def f() -> bool: import builtins; return hasattr(builtins, 'ExceptionGroup')"):
        pytest.skip("this Python has no groups of exceptions")
    summary = tasks.run("def f(): raise ExceptionGroup('g', [ValueError('inner')])").error["summary"]
    assert summary == "ExceptionGroup: g (1 sub-exception)"


def test_an_exception_after_the_streams_were_closed(tasks: Tasks) -> None:
    result = tasks.run("def f():\n    import sys\n    sys.stdout.close(); sys.stderr.close(); raise ValueError('x')")

    assert result.code == 1
    assert result.error["message"] == "x"
