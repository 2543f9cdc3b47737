"""Execute the code blocks of the documentation's pages.

The blocks of a page are executed in order, in a copy of `workspace/`, which has the scripts, compiled files and runs
that the pages refer to. Python blocks of a page share their names; they start with those of `workspace/`. A comment
before a block says what is special about it. Readers of the page do not see it:

* `not run: REASON`: only its syntax is checked;
* `slow: REASON`: only `make test-slow` executes it;
* `in a pipeline`: it is the body of a pipeline function that has one task, `task`;
* `fails`: a command of it fails, which a failed task or a finding is the reason for;
* `output`: its lines appear, in this order, in what the blocks before it printed.
"""

from __future__ import annotations

import inspect
import json
import os
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timezone
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

import standpipe
from standpipe import compiler, components, dsl, local
from standpipe.cli.main import main
from standpipe.testing.session import Runners, open_tester
from tests.docs.code_blocks import ROOT, Block, blocks_of

WORKSPACE = Path(__file__).with_name("workspace")

#: Why a block is not executed. A reason that is missing here fails a test, so that no block is left out unnoticed.
REASONS = {
    "not run": {
        "changes the environment that it runs in",
        "changes the settings of shells",
        "depends on the machine",
        "needs files of yours",
        "is what the gate runs",
        "needs a terminal",
        "publishes a release",
        "needs a run in another terminal",
        "needs a run in a thread",
        "needs another machine",
        "needs an object store",
        "needs two runs of a pipeline",
        "is an example of a rule, which its own test runs",
        "serves until Ctrl-C",
    },
    "slow": {
        "installs packages",
        "waits for seconds",
    },
}
OTHER_COMMENTS = {"", "in a pipeline", "fails", "output"}

MODULES = ("math_pipeline", "train", "chain", "search")

#: The modules in workspace/ whose names the Python blocks of a page start with.
NAMES = ("math_pipeline", "train")

#: The runs that a page finds, oldest first: the module and the pipeline.
RUNS = {
    "docs/how-to/history.md": (("search", "search"), ("search", "search")),
    "docs/reference/cli.md": (("chain", "chain"), ("search", "search")),
}
DEFAULT_RUNS = (("train", "train_pipeline"),)


#: A test of the workspace, for pages that call pytest. In a file of that folder, pytest would find it here as well.
TEST = """\
from train import train_pipeline


def test_the_pipeline_runs(standpipe):
    assert standpipe.run(train_pipeline, rows=10).output == 0.1
"""


#: Runs the tasks of all pages, so that its fork server starts once.
RUNNER = local.SubprocessRunner(use_venv=False)


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def is_slow(block: Block) -> bool:
    return block.comment.startswith("slow: ")


def is_executed(block: Block) -> bool:
    return block.language in EXECUTE and not block.comment.startswith("not run: ")


class Page:
    """A page that is being executed: its names, and what its blocks have printed so far."""

    def __init__(self, page: Path, folder: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.names: dict[str, Any] = {
            "__name__": "__main__",
            "dsl": dsl,
            "local": local,
            "compiler": compiler,
            "components": components,
        }
        self.program = folder / f"{page.stem}_page.py"
        self.printed = ""
        self._capture = capture

    def execute(self, block: Block) -> None:
        """Execute a block.

        Raises:
            Exception: whatever the block raises, or an AssertionError if it does not print what the page says.
        """
        try:
            EXECUTE[block.language](self, block)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a block raises, the report names the block
            captured = self._capture.readouterr()
            pytest.fail(
                f"{block.location}: {type(error).__name__}: {error}\n{captured.out}{captured.err}", pytrace=False
            )
        captured = self._capture.readouterr()
        self.printed += captured.out + captured.err


def run_python(page: Page, block: Block) -> None:
    code = compile("\n" * (block.line - 1) + block.text, str(page.program), "exec")
    if block.comment == "in a pipeline":

        @dsl.pipeline
        def example() -> None:
            page.names["task"] = page.names["train"](data=page.names["prepare"](rows=1).output)
            exec(code, page.names)

    else:
        exec(code, page.names)
    for name in [name for name in page.names if name.startswith("test_")]:
        run_test(page.names.pop(name), page.folder / name)


def run_test(test: Callable[..., None], folder: Path) -> None:
    """Call a test of a page with the fixtures that it asks for."""
    folder.mkdir()
    with open_tester(folder / "standpipe", Runners(), "in-process", {}) as tester:
        fixtures = {"tmp_path": folder, "standpipe": tester}
        test(**{name: fixtures[name] for name in inspect.signature(test).parameters})


def run_commands(page: Page, block: Block) -> None:
    # The runs of the pages were created in 2026, those of the tests are created now.
    for line in re.sub(r"-2026\b(?!-)", f"-{datetime.now(timezone.utc).year}", block.text).splitlines():
        words = shlex.split(line, comments=True)
        if words and words[0] == "standpipe" and not {"|", ">"} & set(words):
            code = main(words[1:])
            assert bool(code) == (block.comment == "fails"), f"exit code {code} of: {line}"
        elif words and words[0] == "cd":
            os.chdir(words[1])  # for the rest of the page
        else:
            path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
            subprocess.run(["bash", "-euo", "pipefail", "-c", line], check=True, env=os.environ | {"PATH": path})


def run_session(page: Page, block: Block) -> None:
    """Execute the commands after `$`, and compare what they print."""
    commands = re.findall(r"^\$ (.*)$", block.text, re.MULTILINE)
    run_commands(page, block._replace(text="\n".join(commands)))
    captured = page._capture.readouterr()
    page.printed += captured.out + captured.err
    compare_output(page, block._replace(text=re.sub(r"^\$ .*\n", "", block.text, flags=re.MULTILINE)))


def compare_output(page: Page, block: Block) -> None:
    if block.language == "text" and block.comment != "output":
        return
    printed = iter(normalized(page.printed))
    for line in normalized(block.text):
        assert line in printed, f"not printed, or not in this order: {line!r}\n{page.printed}"


def normalized(text: str) -> list[str]:
    """Return the lines of a text with the same times, numbers of seconds, absolute paths, scripts and lines."""
    for pattern, stands_for in (
        (r"\d{4}-\d\d-\d\d-\d\d-\d\d-\d\d-\d{6}", "TIME"),
        (r"\d{4}-\d\d-\d\d \d\d:\d\d( [+-]\d\d:\d\d)?", "TIME"),
        (r"\d+(\.\d+)? s\b", "N s"),
        (r"[^\s]*/local_outputs", "local_outputs"),
        (r'File "[^"]+\.py", line \d+', 'File "PAGE", line N'),
        (r"\S+\.py, line \d+:", "PAGE, line N:"),
        (r"[^\s\"]*\b\w+\.py\b", "SCRIPT"),
        (r"^ *[~^]+\n", ""),  # in tracebacks of Python 3.11 and newer
        (r"  +", "  "),
    ):
        text = re.sub(pattern, stands_for, text, flags=re.MULTILINE)
    return [line.rstrip() for line in text.splitlines() if line.strip()]


def run_query(page: Page, block: Block) -> None:
    with closing(sqlite3.connect(page.folder / "local_outputs" / "runs.sqlite")) as db:
        assert db.execute(block.text).fetchall()


EXECUTE: dict[str, Callable[[Page, Block], object]] = {
    "python": run_python,
    "sh": run_commands,
    "console": run_session,
    "text": compare_output,
    "sql": run_query,
    "json": lambda _, block: json.loads(block.text),
    "yaml": lambda _, block: list(yaml.safe_load_all(block.text)),
}


@contextmanager
def opened(path: Path, folder: Path, capture: pytest.CaptureFixture[str]) -> Iterator[Page]:
    """Open a page in a copy of the workspace, with the names, compiled files and runs that its blocks refer to.

    In the block the copy is the current folder, and `import kfp` gives Standpipe.

    Args:
        path: the page.
        folder: an empty folder for the copy.
        capture: captures what the blocks print.
    """
    shutil.copytree(WORKSPACE, folder, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    page = Page(path, folder, capture)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "path", [str(folder), *sys.path])
        patch.setattr(sys, "meta_path", [*sys.meta_path])
        standpipe.install_as_kfp()
        try:
            _prepare(page, path)
            capture.readouterr()
            yield page
        finally:
            for name in [name for name in sys.modules if name.partition(".")[0] == "kfp"]:
                del sys.modules[name]


def _prepare(page: Page, path: Path) -> None:
    modules = {name: import_module(f"tests.docs.workspace.{name}") for name in MODULES}
    compiler.Compiler().compile(modules["math_pipeline"].math_pipeline, "math.yaml")
    compiler.Compiler().compile(modules["math_pipeline"].table, "pipeline.yaml")
    Path("test_train.py").write_text(TEST, encoding="utf-8")
    for module, pipeline in RUNS.get(name_of(path), DEFAULT_RUNS):
        local.run(getattr(modules[module], pipeline), runner=RUNNER, raise_on_error=False, quiet=True)
    for name in NAMES:
        page.names.update({key: value for key, value in vars(modules[name]).items() if not key.startswith("_")})
    lines: list[str] = []
    for block in blocks_of(path):
        if block.language == "python":
            lines += [""] * (block.line - 1 - len(lines)) + block.text.splitlines()
    page.program.write_text("\n".join(lines), encoding="utf-8")  # where the source of the page's components is read
    local.init(runner=RUNNER)
