"""Which file and which line the code of a task says that it is."""

from __future__ import annotations

from pathlib import Path

from tests.worker.tasks import PREAMBLE, Tasks

FIRST = PREAMBLE.count("\n") + 1
SOURCE = """def helper(x):
    return 1 / x

def f(a: int) -> str:
    import inspect

    text = inspect.getsource(f)
    helper(a)
    return text
"""


def sections(file: Path | str) -> list[tuple[int, int, str, int]]:
    """Say that the helper and the function of the source are in a file: the helper last, and a line further apart."""
    return [(FIRST, 2, str(file), 40), (FIRST + 3, 6, str(file), 10)]


def shown(traceback: str) -> list[str]:
    return [line for line in traceback.splitlines() if "^" not in line]


def test_a_traceback_names_the_file_of_the_author_and_shows_the_code_that_ran(tasks: Tasks, tmp_path: Path) -> None:
    file = tmp_path / "pipeline.py"
    for content in ("", "def helper(x):\n    edited\n" * 30, None):
        file.unlink() if content is None else file.write_text(content)
        traceback = tasks.run(SOURCE, parameters={"a": 0}, sections=sections(file)).error["traceback"]

        assert shown(traceback) == [
            "Traceback (most recent call last):",
            f'  File "{file}", line 14, in f',
            "    helper(a)",
            f'  File "{file}", line 41, in helper',
            "    return 1 / x",
            "ZeroDivisionError: division by zero",
        ]


def test_the_source_of_the_function_can_be_read_in_the_task(tasks: Tasks, tmp_path: Path) -> None:
    assert tasks.value_of(SOURCE, parameters={"a": 1}, sections=sections(tmp_path / "none.py")).startswith("def f(a")
    assert tasks.value_of(SOURCE, parameters={"a": 1}, sections=sections("<stdin>")).startswith(
        "def f(a: int) -> str:\n"
    )


def test_other_code_of_the_same_file_is_shown_as_it_is_in_the_file(tasks: Tasks, tmp_path: Path) -> None:
    file = tmp_path / "pipeline.py"
    file.write_text("def other():\n    raise ValueError('other')\n")
    source = "def f() -> None:\n    import pipeline\n    pipeline.other()\n"
    result = tasks.run(source, sections=[(FIRST, 3, str(file), 20)], env={"PYTHONPATH": str(tmp_path)})
    traceback = result.error["traceback"]

    assert shown(traceback)[1:5] == [
        f'  File "{file}", line 22, in f',
        "    pipeline.other()",
        f'  File "{file}", line 2, in other',
        "    raise ValueError('other')",
    ]


def test_a_program_of_an_unknown_file_has_the_name_of_its_component(tasks: Tasks) -> None:
    traceback = tasks.run("def f() -> None:\n    raise ValueError('here')\n").error["traceback"]

    assert shown(traceback)[1:3] == ['  File "<component f>", line 7, in f', "    raise ValueError('here')"]


def test_a_line_between_the_sections_has_the_name_of_the_component(tasks: Tasks, tmp_path: Path) -> None:
    source = "def f() -> None:\n    pass\n\nimport missing_module\n"
    traceback = tasks.run(source, sections=[(FIRST, 2, str(tmp_path / "pipeline.py"), 20)]).error["traceback"]

    assert shown(traceback)[1:3] == [
        f'  File "<component f>", line {FIRST + 3}, in <module>',
        "    import missing_module",
    ]
