"""`standpipe watch`: a run after each change of what it depends on, in processes as users start them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from standpipe import local
from standpipe.cli.file_watch import FileWatch
from standpipe.cli.main import main
from tests.processes import is_alive, wait_until
from tests.terminals import type_on_terminal

SCRIPT = """\
import os, sys
from kfp import dsl, local
import helper

@dsl.component
def first(n: int) -> int:
    return n + 1

@dsl.component
def say(text: str, n: int) -> str:
    import time
    print("SAYS", text, flush=True)
    time.sleep(60 if text == "slow" else 0)
    return text

@dsl.component
def read(data: dsl.Input[dsl.Dataset]):
    print("READ", open(data.path).read(), flush=True)

@dsl.pipeline
def train(text: str = helper.VALUE):
    say(text=text, n=first(n=1).output)

if __name__ == "__main__":
    local.init(local.SubprocessRunner(use_venv=False))
    train(text=sys.argv[1])
"""

#: One test of the whole is fast. The others wait for several runs, and are slow tests.
_slow = pytest.mark.slow

#: Variables without those that change what a run prints.
_ENV = {name: value for name, value in os.environ.items() if not name.startswith(("CI", "GITHUB", "GITLAB"))}


class Program:
    """A process of `standpipe watch`, and what it has written."""

    def __init__(self, arguments: tuple[str, ...], folder: Path) -> None:
        self._path = folder / "output.txt"
        self._seen = 0
        with self._path.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "standpipe", "watch", *arguments],
                cwd=folder,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=_ENV,
            )

    @property
    def text(self) -> str:
        return self._path.read_text()

    def expect(self, pattern: str) -> re.Match[str]:
        """Wait for a text after the last one, and return it."""
        matches: list[re.Match[str]] = []

        def find() -> bool:
            matches.extend(filter(None, [re.compile(pattern, re.DOTALL).search(self.text, self._seen)]))
            return bool(matches)

        assert wait_until(find, 60), f"no {pattern!r} in:\n{self.text}"
        self._seen = matches[0].end()
        return matches[0]

    def interrupt(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(30)


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Callable[..., Program]]:
    (tmp_path / "train.py").write_text(SCRIPT)
    (tmp_path / "helper.py").write_text("VALUE = 'one'\n")
    started: list[Program] = []

    def start(*arguments: str) -> Program:
        started.append(Program(arguments, tmp_path))
        return started[-1]

    yield start
    for program in started:
        program.process.kill()
        program.process.wait()


def test_a_changed_module_starts_a_run_that_takes_the_rest_from_the_cache(
    watch: Callable[..., Program], tmp_path: Path
) -> None:
    program = watch("train.py:train", "--no-venv")
    assert program.expect(r"Watching train.py:train: run 1 at [\d:]+\n")
    program.expect("SAYS one")
    program.expect(r"Run 1 succeeded in .* starts when train.py or helper.py changes; Ctrl-C ends\.\n")

    new, helper = tmp_path / "new.py", tmp_path / "helper.py"
    new.write_text("VALUE = 'two'\n")
    second = int(helper.stat().st_mtime)  # Python compares no more of the time with that of a compiled module
    os.utime(new, ns=(second * 10**9 + 1,) * 2)
    new.replace(helper)  # as editors save
    program.expect(r"run 2 at [\d:]+, helper.py changed\n.*first: cached.*SAYS two.*Run 2 succeeded")
    assert len(local.runs(tmp_path / "local_outputs")) == 2

    assert program.interrupt() == 130
    assert "Traceback" not in program.text


@_slow
def test_a_change_during_a_run_cancels_it_and_starts_the_next_one(
    watch: Callable[..., Program], tmp_path: Path
) -> None:
    (tmp_path / "helper.py").write_text("VALUE = 'slow'\n")
    program = watch("train.py:train", "--no-venv")
    program.expect("SAYS slow")
    (tmp_path / "helper.py").write_text("VALUE = 'quick'\n")
    program.expect(r"helper.py changed: the run is cancelled\.\n.*run 2 at .*SAYS quick.*Run 2 succeeded")
    statuses = [run.status.value for run in local.runs(tmp_path / "local_outputs")]
    assert statuses == ["SUCCEEDED", "CANCELLED"]
    assert program.interrupt() == 130


@_slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_during_a_run_cancels_it_and_leaves_nothing(
    watch: Callable[..., Program], tmp_path: Path, number: int, code: int
) -> None:
    (tmp_path / "helper.py").write_text("VALUE = 'slow'\n")
    program = watch("train.py:train", "--no-venv")
    program.expect("SAYS slow")
    children = Path(f"/proc/{program.process.pid}/task/{program.process.pid}/children").read_text().split()
    assert len(children) == 1
    program.process.send_signal(number)
    assert program.process.wait(30) == code
    assert not is_alive(int(children[0]))
    assert local.get_run("latest", tmp_path / "local_outputs").status.value == "CANCELLED"


@_slow
def test_errors_are_shown_and_mended_files_start_the_next_run(watch: Callable[..., Program], tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("VALUE = (\n")
    program = watch("train.py:train", "--no-venv")
    program.expect(r"SyntaxError.*Run 1 failed with exit code 1 in .* when train.py or helper.py changes")
    (tmp_path / "helper.py").write_text("from other import VALUE\n")
    program.expect(r"No module named 'other'.*Run 2 failed")
    (tmp_path / "other.py").write_text("VALUE = 'three'\n")
    program.expect(r"run 3 at [\d:]+, other.py changed\n.*SAYS three.*Run 3 succeeded")
    (tmp_path / "train.py").unlink()
    program.expect(r"train.py cannot be run: No such file or directory.*Run 4 failed with exit code 2")
    (tmp_path / "train.py").write_text(SCRIPT)
    program.expect(r"Run 5 succeeded")
    assert program.interrupt() == 130


@_slow
def test_a_script_runs_unchanged_with_its_arguments_and_the_cache(
    watch: Callable[..., Program], tmp_path: Path
) -> None:
    program = watch("train.py", "hello")
    program.expect("SAYS hello.*Run 1 succeeded")
    (tmp_path / "helper.py").write_text("VALUE = 'other'\n")
    program.expect(r"say: cached.*Run 2 succeeded")
    assert program.interrupt() == 130


@_slow
def test_the_files_of_inputs_are_watched(watch: Callable[..., Program], tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("1,2")
    (tmp_path / "args.json").write_text('{"data": "data.csv"}')
    program = watch("train.py:read", "--no-venv", "--args-file", "args.json")
    program.expect("READ 1,2.*Run 1 succeeded")
    (tmp_path / "data.csv").write_text("3,4")
    program.expect("data.csv changed.*READ 3,4.*Run 2 succeeded")
    (tmp_path / "other.csv").write_text("5,6")
    (tmp_path / "args.json").write_text('{"data": "other.csv"}')
    program.expect("args.json changed.*READ 5,6.*Run 3 succeeded")
    assert program.interrupt() == 130


@_slow
def test_modules_that_only_tasks_import_are_watched(watch: Callable[..., Program], tmp_path: Path) -> None:
    (tmp_path / "rules.py").write_text("FACTOR = 2\n")
    source = SCRIPT.replace("    import time\n", "    import time, rules\n    text = text * rules.FACTOR\n")
    (tmp_path / "train.py").write_text(source)
    program = watch("train.py:train", "--no-venv")
    program.expect("SAYS oneone\n.*Run 1 succeeded.*rules.py changes")
    (tmp_path / "rules.py").write_text("FACTOR = 3\n")
    program.expect("rules.py changed.*first: cached.*SAYS oneoneone.*Run 2 succeeded")
    assert program.interrupt() == 130


@_slow
def test_a_terminal_is_cleared_before_each_run_and_ctrl_c_ends(watch: Callable[..., Program], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "standpipe", "watch", "--dry-run", str(tmp_path / "train.py")]
    screen = type_on_terminal(command, [("Ctrl-C ends", "\x03")], {"TERM": "xterm"})
    assert screen.startswith("\x1b[H\x1b[2J\x1b[3JWatching ")
    assert "2 not known yet" in screen or "1 would run" in screen
    assert "Traceback" not in screen


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("nowhere.py:train", "Cannot watch nowhere.py: there is no such file. Expected a script or a compiled file."),
        ("folder", "Cannot watch folder: it is a folder."),
    ],
)
def test_a_target_that_is_no_file_is_refused(
    target: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    assert main(["watch", target]) == 2
    assert says in capsys.readouterr().err


def test_a_wrong_option_is_refused_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["watch", "train.py:train", "--cahce"])
    assert "did you mean --cache" in capsys.readouterr().err


# --- files ------------------------------------------------------------------------------------------------------------


def watched(path: Path) -> FileWatch:
    return FileWatch([str(path)], sleep=lambda seconds: None)


def test_only_another_content_is_a_change(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text("1")
    files = watched(path)
    path.touch()
    os.utime(path, ns=(1, 1))
    assert files.changed() == []
    path.write_text("2")
    assert files.changed() == [str(path)]
    files.accept()
    assert files.changed() == []
    path.unlink()
    assert files.changed() == [str(path)]


def test_a_file_that_is_replaced_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text("1")
    steps: list[Callable[[], object]] = [path.unlink, lambda: path.write_text("2"), lambda: path.write_text("23")]

    def sleep(seconds: float) -> None:
        if steps:
            steps.pop(0)()

    files = FileWatch([str(path)], sleep=sleep)
    assert files.wait() == [str(path)]
    assert path.read_text() == "23"


def test_a_change_that_is_undone_is_none(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text("1")
    steps = [lambda: path.write_text("1")]

    def sleep(seconds: float) -> None:
        if steps:
            steps.pop()()

    files = FileWatch([str(path)], sleep=sleep)
    path.write_text("2")
    assert files.settle() == []


def test_a_file_in_a_folder_is_a_change_of_the_folder(tmp_path: Path) -> None:
    files = watched(tmp_path)
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "x").write_text("1")
    assert files.changed() == [str(tmp_path)]


def test_a_file_that_changed_while_it_was_not_known_yet_is_a_change(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text("1")
    files = FileWatch([])
    modified = path.stat().st_mtime
    assert files.watch([str(path)], since=modified + 1) == []
    assert FileWatch([]).watch([str(path)], since=modified - 1) == [str(path)]
