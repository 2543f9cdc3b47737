"""Completion of command lines: what is proposed, how little it imports, and what shells make of it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from standpipe import dsl, local
from standpipe.cli.completion_words import complete
from standpipe.cli.main import COMMANDS, main
from standpipe.local import FakeRunner
from tests.imports import modules_of
from tests.terminals import type_on_terminal

SCRIPT = """
from kfp import dsl
from kfp.dsl import component

@component
def load(): ...

@dsl.component(packages_to_install=["nothing"])
def train(): ...

@dsl.pipeline(name="whole")
def whole_pipeline(): ...

def helper(): ...

raise SystemExit("The script is not run.")
"""


@dsl.component
def train(rate: float) -> float: ...


@dsl.pipeline
def search() -> None:
    with dsl.ParallelFor([0.1, 0.2]) as rate:
        train(rate=rate)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a script and a run."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "whole.py").write_text(SCRIPT)
    local.run(search, runner=FakeRunner(train=lambda rate: rate), pipeline_root="local_outputs", quiet=True)
    return tmp_path


def proposals(line: str) -> list[str]:
    """Return what the last word of a line may become, without descriptions."""
    words = line.split(" ")
    return [each.partition("\t")[0] for each in complete(words)]


def test_commands_come_with_what_they_do() -> None:
    assert complete(["standpipe", "doc"])[0] == f"doctor\t{COMMANDS['doctor']}"
    assert proposals("standpipe ")[:-1] == list(COMMANDS)


def test_a_script_may_stand_in_place_of_a_command() -> None:
    assert proposals("standpipe ")[-1] == ":files .py .yaml .yml .json"
    assert proposals("standpipe train.py --ep") == [":files"]


def test_options_are_those_of_the_command() -> None:
    assert proposals("standpipe show latest --j") == ["--json"]
    assert proposals("standpipe dsl compile --pipeline-par") == ["--pipeline-parameters"]
    assert "--inherited" not in proposals("standpipe ui --")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("run --runner d", ["docker"]),
        ("run --runner=d", ["--runner=docker"]),
        ("run p.yaml --resource-policy ", ["clamp", "strict", "ignore"]),
        ("run --root ", [":folders"]),
        ("run --args-file in", [":files"]),
        ("run --max-parallel ", []),
        ("completion f", ["fish"]),
        ("init ", [":folders"]),
        ("run p.yaml -- a", [":files"]),
        ("run train.py --ro", [":files"]),
        ("run train.py:train --args-f", ["--args-file"]),
        ("watch train.py:train --args-f", ["--args-file"]),
    ],
)
def test_values_are_those_of_the_option_or_argument(line: str, expected: list[str]) -> None:
    assert proposals(f"standpipe {line}") == expected


@pytest.mark.usefixtures("folder")
def test_runs_are_those_of_the_pipeline_root(tmp_path: Path) -> None:
    (run,) = local.runs("local_outputs")
    newest = ["latest\tthe run that began last", "search\tits newest run"]
    assert complete(["standpipe", "show", ""]) == [*newest, f"{run.id}\tsearch"]
    assert proposals("standpipe show se") == ["search", run.id]
    assert proposals(f"standpipe show --root {tmp_path / 'nothing'} ") == []
    assert proposals(f"standpipe show --root={tmp_path / 'local_outputs'} l") == ["latest"]
    assert proposals("standpipe show --root='local_outputs' l") == ["latest"]
    assert proposals(f"standpipe delete {run.id} ") == ["latest", "search"]  # may have several


@pytest.mark.usefixtures("folder")
def test_tasks_are_those_of_the_run() -> None:
    expected = ["for-loop-2", "for-loop-2/0", "for-loop-2/0/train", "for-loop-2/1", "for-loop-2/1/train"]
    assert sorted(proposals("standpipe show latest ")) == expected
    assert proposals("standpipe resume search --from-task for-loop-2/1/") == ["for-loop-2/1/train"]
    assert proposals("standpipe show nothing ") == []


@pytest.mark.usefixtures("folder")
def test_names_in_a_script_are_read_and_the_script_is_not_run() -> None:
    assert proposals("standpipe compile whole.py:") == ["whole.py:load", "whole.py:train", "whole.py:whole_pipeline"]
    assert proposals("standpipe compile whole.py:w") == ["whole.py:whole_pipeline"]
    Path("broken.py").write_text("def :")
    assert proposals("standpipe compile broken.py:") == []
    assert proposals("standpipe compile missing.py:") == []


def test_an_answer_needs_no_parser_of_arguments(folder: Path) -> None:
    for line in ("sh", "show ", "show latest ", "run --runner "):
        words = ["--words", "standpipe", *line.split(" ")]
        imported = modules_of(f"from standpipe.cli.main import main\nmain(['completion', *{words!r}])")
        assert not imported & {"argparse", "ast", "json", "pathlib", "re", "typing", "dataclasses"} - modules_of("")
    assert folder.exists()


def test_the_table_is_up_to_date() -> None:
    script = Path(__file__).resolve().parents[2] / "scripts" / "document-commands"
    assert subprocess.run([sys.executable, str(script), "--check"]).returncode == 0, f"run scripts/{script.name}"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_a_script(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    assert f"standpipe completion {shell}" in capsys.readouterr().out


def test_an_unknown_shell_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["completion", "bsh"])
    assert "did you mean bash?" in capsys.readouterr().err


# --- in real shells ---------------------------------------------------------------------------------------------------

#: What is typed before the Tab key, and what is then on the line. Its first word is a path, as in an environment.
TYPED = [
    ("standpipe doc", "standpipe doctor "),
    ("standpipe compile whole.py:wh", "standpipe compile whole.py:whole_pipeline "),
    ("standpipe run p.yaml --runner=do", "standpipe run p.yaml --runner=docker "),
    ("standpipe compile wh", "standpipe compile whole.py "),
    ("standpipe show latest for-loop-2/1/", "standpipe show latest for-loop-2/1/train "),
    ("standpipe runs --root local_", "standpipe runs --root local_outputs/"),
]

STARTS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], "PS1='REA''DY> '; bind 'set enable-bracketed-paste off'"),
    "zsh": (
        ["zsh", "-f", "-i"],
        "unset zle_bracketed_paste; unsetopt prompt_sp; bindkey -e; autoload -U compinit; compinit -D; PS1='REA''DY> '",
    ),
}


def needs(shell: str) -> str:
    path = shutil.which(shell)
    if path is None:
        pytest.skip(f"{shell} is not installed")
    return path


@pytest.mark.parametrize("shell", STARTS)
def test_the_tab_key_completes_a_line(shell: str, folder: Path) -> None:
    needs(shell)
    command, settings = STARTS[shell]
    programs = Path(sys.executable).parent
    dialog = [("", f'{settings}; eval "$(standpipe completion {shell})"\n')]
    for typed, _ in TYPED:
        # Ctrl-A and a word in front: the shell prints the line instead of executing it.
        dialog.append(("READY> ", f"{typed}\t\x01echo 'LINE:\x05|'\n"))
        dialog.append(("\nLINE:", ""))
    dialog.append(("READY> ", "exit\n"))
    env = {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "TERM": "xterm", "HISTFILE": ""}
    written = type_on_terminal(command, dialog, env).replace("\r", "")

    lines = [line.rstrip(" /") for line in re.findall(r"^LINE:(.*)\|$", written, re.MULTILINE)]
    assert lines == [expected.rstrip(" /") for _, expected in TYPED]


def test_fish_completes_a_line(folder: Path) -> None:
    fish = needs("fish")
    script = folder / "standpipe.fish"
    env = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    script.write_text(subprocess.check_output([fish, "-c", "standpipe completion fish"], env=env, text=True))
    for typed, expected in TYPED:
        code = f"source {script}; complete -C '{typed}'"
        found = subprocess.check_output([fish, "--no-config", "-c", code], env=env, text=True, cwd=folder)
        assert [line.partition("\t")[0] for line in found.splitlines()] == [expected.split()[-1]]
