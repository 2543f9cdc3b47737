"""Files of the store that are removed, replaced or moved while runs use them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from standpipe import dsl, local
from standpipe.cli.main import main
from standpipe.errors import StorageError
from standpipe.local import FakeRunner


@dsl.component
def first() -> int:
    return 1


@dsl.component
def second(x: int) -> int:
    return x + 1


@dsl.pipeline
def two_tasks() -> int:
    return second(x=first().output).output


def remove(file: Path) -> None:
    for each in file.parent.glob(f"{file.name}*"):
        each.unlink()


def remove_log(file: Path) -> None:
    file.with_name(f"{file.name}-wal").unlink()


def replace(file: Path) -> None:
    shutil.copy(file, file.with_suffix(".copy"))
    file.with_suffix(".copy").replace(file)


def move_folder(file: Path) -> None:
    file.parent.rename(file.parent.with_name("moved"))


def start(root: Path, damage: Callable[[], object], **options: object) -> dsl.PipelineTask:
    """Run two tasks, the first of which damages the store."""

    def behave() -> dict[str, int]:
        damage()
        return {"Output": 1}

    runner = FakeRunner(first=behave, second=lambda x: {"Output": x + 1})
    return local.run(two_tasks, pipeline_root=root, runner=runner, quiet=True, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("damage", [remove, remove_log, replace, move_folder])
def test_a_run_whose_store_is_lost_ends_in_an_error(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    root = tmp_path / "root"
    with pytest.raises(StorageError, match="was removed, replaced or moved while it was in use"):
        start(root, lambda: damage(root / "runs.sqlite"))
    assert list(tmp_path.glob("*/two-tasks-*/first")), "the folders of its tasks are kept"
    if damage is remove:
        assert not (root / "runs.sqlite").exists(), "no empty one takes its place"
    assert start(tmp_path / "other", lambda: None).output == 2


def test_a_store_that_is_removed_while_it_is_closed_is_not_created_again(tmp_path: Path) -> None:
    import os

    def damage() -> None:
        if not (child := os.fork()):  # which closes all databases
            os._exit(0)
        os.waitpid(child, 0)
        remove(tmp_path / "runs.sqlite")

    with pytest.raises(StorageError, match="removed"):
        start(tmp_path, damage)
    assert not (tmp_path / "runs.sqlite").exists()


@pytest.mark.parametrize("damage", [remove, remove_log, replace])
def test_a_run_does_not_fail_for_its_cache(
    tmp_path: Path, damage: Callable[[Path], object], caplog: pytest.LogCaptureFixture
) -> None:
    task = start(tmp_path, lambda: damage(tmp_path / "cache.sqlite"), enable_caching=True)
    assert task.output == 2
    assert caplog.text.count("This run continues without the cache.") == 1
    assert start(tmp_path, lambda: None, enable_caching=True).output == 2


def test_the_command_fails_if_the_store_is_lost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script, root = tmp_path / "script.py", tmp_path / "root"
    script.write_text(
        "from standpipe import dsl, local\n\n"
        "@dsl.component\ndef lose(path: str):\n    import os\n    os.unlink(path)\n\n"
        f"local.init(local.SubprocessRunner(), {str(root)!r})\nlose(path={str(root / 'runs.sqlite')!r})\n"
    )
    assert main(["run", str(script)]) not in (0, None)
    assert "was removed, replaced or moved while it was in use" in capsys.readouterr().err
