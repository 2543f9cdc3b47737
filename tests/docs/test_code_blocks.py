"""Every code block of README and the documentation does what it says. The slow blocks are tested in `tests/slow`."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from standpipe import local
from tests.docs.code_blocks import PAGES, ROOT, blocks_of
from tests.docs.pages import EXECUTE, OTHER_COMMENTS, REASONS, RUNNER, is_executed, is_slow, name_of, opened


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


@pytest.mark.parametrize("path", [path for path in PAGES if any(map(is_executed, blocks_of(path)))], ids=name_of)
def test_the_blocks_of_a_page_run(
    path: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = RUNNER.task_runner
    monkeypatch.setattr(local.SubprocessRunner, "open", lambda _: tasks)  # no environment is built for a page
    # Up to Python 3.10 the test runner's libraries bring a hook for uncaught errors, which users do not have.
    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)
    with opened(path, tmp_path, capfd) as page:
        for block in blocks_of(path):
            if is_executed(block) and not is_slow(block):
                page.execute(block)
