"""Every code block of README and the documentation does what it says.

The blocks of a page are executed in order, in a copy of `workspace/`, which has a script, a compiled file and runs that
the pages refer to. Python blocks of a page share their names; they start with those of `workspace/`. Commands run in a
shell. A comment before a block says what is special about it, as an HTML comment that readers of the page do not see:

* `not run: REASON`: it is only checked for its syntax;
* `slow: REASON`: only `make test-slow` executes it;
* `in a pipeline`: it is the body of a pipeline function with one task, `task`;
* `output`: its lines appear, in this order, in what the blocks before it printed.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timezone
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.docs.code_blocks import PAGES, ROOT, Block, blocks_of

import standpipe
from standpipe import compiler, components, dsl, local
from standpipe.cli.main import main

WORKSPACE = Path(__file__).with_name("workspace")

#: Why a block is not executed. A reason that is missing here fails a test, so that no block is left out unnoticed.
REASONS = {
    "not run": {
        "changes the environment that it runs in",
        "is what the gate runs",
        "needs a terminal",
        "needs a run in another terminal",
    },
    "slow": {
        "installs packages",
        "needs kfp-kubernetes",
        "waits for seconds",
    },
}
OTHER_COMMENTS = {"", "in a pipeline", "output"}

MODULES = ("math_pipeline", "train", "chain", "search")

#: The modules in workspace/ whose names the Python blocks of a page start with.
NAMES = ("math_pipeline", "train")

#: The runs that a page finds, oldest first: the module and the pipeline.
RUNS = {
    "docs/how-to/history.md": (("search", "search"),),
    "docs/reference/cli.md": (("chain", "chain"), ("search", "search")),
}
DEFAULT_RUNS = (("train", "train_pipeline"),)


#: Runs the tasks of all pages, so that its fork server starts once.
_RUNNER = local.SubprocessRunner(use_venv=False)


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def is_slow(block: Block) -> bool:
    return block.comment.startswith("slow: ")


def is_executed(block: Block) -> bool:
    return block.language in EXECUTE and not block.comment.startswith("not run: ")


# --- all blocks -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_each_block_has_a_language_that_is_tested(path: Path) -> None:
    unknown = [b for b in blocks_of(path) if b.language not in EXECUTE and not b.language.startswith("{")]
    assert not unknown


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_each_block_that_is_not_run_has_a_known_reason(path: Path) -> None:
    for block in blocks_of(path):
        kind, _, reason = block.comment.partition(": ")
        assert block.comment in OTHER_COMMENTS or reason in REASONS.get(kind, ()), block.location


def test_each_reason_is_in_use() -> None:
    assert {f"{kind}: {reason}" for kind, reasons in REASONS.items() for reason in reasons} <= {
        block.comment for path in PAGES for block in blocks_of(path)
    }


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_each_block_that_is_not_run_has_the_right_syntax(path: Path) -> None:
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    for block in blocks_of(path):
        if is_executed(block) or block.language not in {"python", "sh"}:
            continue
        if block.language == "python":
            ast.parse(block.text)
        else:
            subprocess.run(["bash", "-n", "-c", block.text], check=True)
            assert set(re.findall(r"^make ([a-z][\w-]*)", block.text, re.MULTILINE)) <= set(targets), block.location


# --- pages ------------------------------------------------------------------------------------------------------------


class Page:
    """A page that is being executed: its names, and what its blocks have printed so far."""

    def __init__(self, page: Path, folder: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.names: dict[str, Any] = {"dsl": dsl, "local": local, "compiler": compiler, "components": components}
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


def run_commands(page: Page, block: Block) -> None:
    # The runs of the pages were created in 2026, those of the tests are created now.
    for line in re.sub(r"-2026\b(?!-)", f"-{datetime.now(timezone.utc).year}", block.text).splitlines():
        words = shlex.split(line, comments=True)
        if words and words[0] == "standpipe" and not {"|", ">"} & set(words):
            code = main(words[1:])
            assert code == 0, f"exit code {code} of: {line}"
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
    """Return the lines of a text with the same times, numbers of seconds and absolute paths."""
    for pattern, stands_for in (
        (r"\d{4}-\d\d-\d\d-\d\d-\d\d-\d\d-\d{6}", "TIME"),
        (r"\d{4}-\d\d-\d\d \d\d:\d\d", "TIME"),
        (r"\d+(\.\d+)? s\b", "N s"),
        (r"[^\s]*/local_outputs", "local_outputs"),
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


@pytest.fixture
def _kfp_is_standpipe() -> Any:
    """Let `import kfp` give Standpipe, as pages of scripts for KFP expect, and forget it when the test ends."""
    finders = list(sys.meta_path)
    standpipe.install_as_kfp()
    yield
    sys.meta_path[:] = finders
    for name in [name for name in sys.modules if name.partition(".")[0] == "kfp"]:
        del sys.modules[name]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of the workspace, which is the current folder."""
    folder = tmp_path / "workspace"
    shutil.copytree(WORKSPACE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    return folder


def open_page(page: Path, folder: Path, capture: pytest.CaptureFixture[str]) -> Page:
    """Prepare what the blocks of a page refer to: compiled files, runs and names."""
    opened = Page(page, folder, capture)
    modules = {name: import_module(f"tests.docs.workspace.{name}") for name in MODULES}
    compiler.Compiler().compile(modules["math_pipeline"].math_pipeline, "math.yaml")
    compiler.Compiler().compile(modules["math_pipeline"].table, "pipeline.yaml")
    for module, pipeline in RUNS.get(name_of(page), DEFAULT_RUNS):
        local.run(getattr(modules[module], pipeline), runner=_RUNNER, raise_on_error=False, quiet=True)
    for name in NAMES:
        opened.names.update({key: value for key, value in vars(modules[name]).items() if not key.startswith("_")})
    lines: list[str] = []
    for block in blocks_of(page):
        if block.language == "python":
            lines += [""] * (block.line - 1 - len(lines)) + block.text.splitlines()
    opened.program.write_text("\n".join(lines), encoding="utf-8")  # the source of the components on the page
    local.init(runner=_RUNNER)
    capture.readouterr()
    return opened


@pytest.fixture(scope="module")
def environments(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for environments, apart from those of the user."""
    return tmp_path_factory.mktemp("environments")


@pytest.fixture
def _isolated(folder: Path, environments: Path, _kfp_is_standpipe: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STANDPIPE_CACHE", str(environments))


@pytest.mark.usefixtures("_isolated")
@pytest.mark.parametrize("path", [path for path in PAGES if any(map(is_executed, blocks_of(path)))], ids=name_of)
def test_the_blocks_of_a_page_run(
    path: Path, folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = open_page(path, folder, capfd)
    tasks = _RUNNER.tasks
    monkeypatch.setattr(local.SubprocessRunner, "_open", lambda _: tasks)  # no environment is built for a page
    for block in blocks_of(path):
        if is_executed(block) and not is_slow(block):
            page.execute(block)


@pytest.mark.slow
@pytest.mark.usefixtures("_isolated")
@pytest.mark.parametrize("path", [path for path in PAGES if any(map(is_slow, blocks_of(path)))], ids=name_of)
def test_all_blocks_of_a_page_run(
    path: Path, folder: Path, capfd: pytest.CaptureFixture[str], kfp_kubernetes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path, str(kfp_kubernetes)])
    page = open_page(path, folder, capfd)
    for block in blocks_of(path):
        if is_executed(block):
            page.execute(block)


@pytest.fixture(scope="session")
def kfp_kubernetes(kfp_python: Path) -> Path:
    """Return the folder in which kfp-kubernetes is installed, besides the KFP SDK."""
    (folder,) = kfp_python.parent.parent.glob("lib/python*/site-packages")
    return folder
