"""The working directories of tasks in processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import CHECKOUT, wait_until
from tests.runners.bench import Bench, Fixed

#: Returns the working directory, and its entries.
LOOK = "def f() -> list: return [os.getcwd(), os.listdir('.')]"


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    bench = Bench(tmp_path, Fixed(Path(sys.executable)))
    yield bench
    bench.runner.close()


def test_an_untouched_one_is_used_again_during_a_run(bench: Bench, tmp_path: Path) -> None:
    with bench.runner._servers.run():
        first, second = bench.value(LOOK), bench.value(LOOK)
        assert first == second == [first[0], []]
        assert Path(first[0]).parent == tmp_path / "tmp"
    assert os.listdir(tmp_path / "tmp") == []


@pytest.mark.parametrize(
    "change",
    [
        "open('left', 'w').close()",
        "open('left', 'w').close(); os.unlink('left')",
        "os.chmod('.', 0o500)",
        "os.rename(os.getcwd(), os.getcwd() + '-moved'); os.mkdir(sys.path[0])",
        "os.rmdir(os.getcwd())",
    ],
)
def test_a_changed_one_is_not(bench: Bench, tmp_path: Path, change: str) -> None:
    with bench.runner._servers.run():
        before = bench.value(LOOK)[0]
        assert bench.value(f"def f() -> str: cwd = os.getcwd(); {change}; return cwd") == before
        assert not Path(before).exists()
        after = bench.value(LOOK)
        assert after == [after[0], []]
        assert after[0] != before
    assert [name for name in os.listdir(tmp_path / "tmp") if not name.endswith("-moved")] == []


def test_one_that_is_changed_after_its_task_is_not_used(bench: Bench) -> None:
    with bench.runner._servers.run():
        before = bench.value(LOOK)[0]
        Path(before, "late").touch()
        after = bench.value(LOOK)
        assert after == [after[0], []]
        assert after[0] != before
        assert not Path(before).exists()


def test_none_is_left_by_a_killed_program(tmp_path: Path) -> None:
    program = f"""
import os, signal, sys
from pathlib import Path
from tests.runners.bench import Bench, Fixed

bench = Bench(Path({str(tmp_path)!r}), Fixed(Path(sys.executable)))
with bench.runner._servers.run():
    folder = bench.value({LOOK!r})[0]
    assert os.path.isdir(folder)
    print(folder, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    ended = subprocess.run([sys.executable, "-c", program], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert ended.stdout, ended.stderr
    assert wait_until(lambda: not Path(ended.stdout.strip()).exists())
