"""The exit codes of all commands: those that docs/reference/cli.md and docs/reference/errors.md have."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from standpipe import compiler, dsl, errors, local
from standpipe.cli.main import COMMANDS, main
from standpipe.errors import StandpipeError
from standpipe.kfp_compat import cluster, modules
from standpipe.local import FakeRunner

REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "reference"

SCRIPT = """
from kfp import dsl

@dsl.component
def echo(text: str) -> str:
    return text
"""


@dsl.component
def echo_for_exit_codes(text: str) -> str: ...


#: Command lines that succeed, in the folder of the fixture.
SUCCEED = {
    "init": "init project",
    "run": "run echo.yaml -a text=x --quiet",
    "compile": "compile script.py",
    "check": "check echo.yaml",
    "graph": "graph echo.yaml",
    "runs": "runs",
    "show": "show latest",
    "logs": "logs latest",
    "artifacts": "artifacts latest",
    "diff": "diff latest latest",
    "resume": "resume latest --quiet",
    "rerun": "rerun latest echo-for-exit-codes --quiet",
    "report": "report latest",
    "export": "export latest --openlineage",
    "delete": "delete latest",
    "prune": "prune --keep 5 --dry-run",
    "du": "du",
    "completion": "completion bash",
}

#: Command lines that fail, with the exit code.
FAIL = [
    ("run missing.yaml", 6),
    ("run broken.yaml", 3),
    ("run fail.yaml --quiet", 10),
    ("run missing.py", 2),
    ("run raises.py", 1),
    ("run exits.py", 42),
    ("run interrupts.py", 130),
    ("run echo.yaml", 2),
    ("compile missing.py", 2),
    ("compile raises.py", 1),
    ("compile interrupts.py", 130),
    ("check missing.py", 2),
    ("graph missing.yaml", 6),
    ("show nothing", 2),
    ("show latest nothing", 2),
    ("logs nothing", 2),
    ("artifacts nothing", 2),
    ("open latest nothing", 2),
    ("diff nothing", 2),
    ("resume nothing", 2),
    ("rerun latest nothing", 2),
    ("report nothing", 2),
    ("submit script.py", 2),
    ("pull nothing", 2),
    ("report latest -o /proc/report.html", 6),
    ("ui nothing", 2),
    ("cancel latest", 1),
    ("cancel nothing", 2),
    ("delete nothing", 2),
    ("prune", 2),
    ("init broken.yaml", 2),
    ("runs --root broken.yaml", 6),
    ("show latest --root damaged", 6),
    ("run echo.yaml -a text=x --root=", 2),
    ("runs --root=", 2),
    ("show latest --root=", 2),
    ("du --root=", 2),
    ("diff latest latest --root=", 2),
    ("prune --cache --dry-run --cache-root=", 2),
    ("resume latest --script=", 2),
    ("rerun latest echo-for-exit-codes --module=", 2),
]


def fail() -> None:
    raise ValueError("boom")


@pytest.fixture
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with scripts, compiled files, a run and a damaged run store."""
    runner = FakeRunner(echo_for_exit_codes=lambda text: text, fail=fail)
    monkeypatch.setattr(local.SubprocessRunner, "open", lambda self: runner.open())
    monkeypatch.chdir(tmp_path)
    compiler.Compiler().compile(echo_for_exit_codes, "echo.yaml")
    compiler.Compiler().compile(dsl.component(fail), "fail.yaml")
    texts = {
        "script.py": SCRIPT,
        "broken.yaml": "a: 1",
        "raises.py": "raise ValueError('mine')",
        "exits.py": "raise SystemExit(42)",
        "interrupts.py": "raise KeyboardInterrupt",
        "damaged/runs.sqlite": "nothing" * 1000,
    }
    for name, text in texts.items():
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(text)
    local.run(echo_for_exit_codes, {"text": "x"}, runner=runner, pipeline_root="local_outputs", quiet=True)


def exit_code(line: str) -> int:
    try:
        return main(line.split())
    except SystemExit as error:
        return int(error.code or 0)


@pytest.mark.usefixtures("_folder")
@pytest.mark.parametrize("command", [command for command in COMMANDS if command in SUCCEED])
def test_success_is_0(command: str) -> None:
    assert exit_code(SUCCEED[command]) == 0


def test_only_what_waits_or_depends_on_the_machine_is_left_out() -> None:
    assert COMMANDS.keys() - SUCCEED.keys() <= {"open", "ui", "cancel", "doctor", "watch", "submit", "pull"}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_wrong_command_line_is_2(command: str) -> None:
    assert exit_code(f"{command} --nonsense") == 2


@pytest.mark.usefixtures("_folder")
@pytest.mark.parametrize(("line", "code"), FAIL)
def test_a_failure_has_the_code_of_its_error(line: str, code: int) -> None:
    assert exit_code(line) == code


@pytest.mark.parametrize("command", COMMANDS)
def test_an_interruption_is_130(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(arguments: list[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(f"standpipe.cli.{command}.main", interrupt)
    assert exit_code(command) == 130


def error_classes(base: type[StandpipeError] = StandpipeError) -> Iterator[type[StandpipeError]]:
    """Yield the public errors: those of `standpipe.errors` and of `import kfp`."""
    for each in base.__subclasses__():
        if each.__module__ in (errors.__name__, cluster.__name__, modules.__name__):
            yield each
        yield from error_classes(each)


def test_the_page_of_errors_has_the_code_of_each() -> None:
    page = (REFERENCE / "errors.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.*?) \|.*?\| (\d+) \|", page, re.MULTILINE)
    documented = {name: int(code) for names, code in rows for name in re.findall(r"`(\w+)`", names)}
    assert documented
    for error in error_classes():
        if error.__name__ in documented:
            assert documented[error.__name__] == error.exit_code, error.__name__
    assert {error.exit_code for error in error_classes()} <= set(documented.values())


def test_the_page_of_commands_has_all_codes() -> None:
    page = (REFERENCE / "cli.md").read_text(encoding="utf-8")
    table = page.partition("## Errors and exit codes")[2]
    documented = {int(number) for number in re.findall(r"\b\d+\b", table)} | {3, 4, 5}  # "2 to 6"
    assert {error.exit_code for error in error_classes()} | {0, 1, 2, 130} <= documented
