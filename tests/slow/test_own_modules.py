"""Components in containers that import modules of the author."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from standpipe import dsl, local
from standpipe.errors import TaskFailed

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("docker_client")]


@dsl.component
def use_package() -> str:
    import helpers  # type: ignore[import-not-found]
    from shop.pricing import total  # type: ignore[import-not-found]

    print(helpers.__file__)
    return total()


@dsl.component
def change_sources(folder: str) -> bool:
    import os

    import helpers

    assert helpers
    return os.path.exists(folder)


@pytest.fixture
def src(tmp_path: Path) -> Path:
    """Return a source root with a package and a module."""
    folder = tmp_path / "src"
    (folder / "shop").mkdir(parents=True)
    (folder / "helpers.py").write_text("")
    (folder / "shop" / "__init__.py").write_text("from . import rates\n")
    (folder / "shop" / "rates.py").write_text("RATE = 2\n")
    (folder / "shop" / "pricing.py").write_text("from .rates import RATE\n\ndef total():\n    return f'{1 / RATE}'\n")
    return folder


def run(component: Any, src: Path, arguments: dict[str, Any] | None = None, **options: Any) -> dsl.PipelineTask:
    root = src.parent / "outputs"
    runner = local.DockerRunner()
    return local.run(component, arguments, runner=runner, pipeline_root=root, source_root=src, quiet=True, **options)


def test_a_task_imports_a_package(src: Path) -> None:
    assert run(use_package, src).output == "0.5"
    (log,) = (src.parent / "outputs").rglob("log.txt")
    assert log.read_text() == f"{src}/helpers.py\n"


def test_the_user_of_an_image_imports_a_package(src: Path) -> None:
    runner, root = local.DockerRunner(user="1234"), src.parent / "outputs"

    assert local.run(use_package, runner=runner, pipeline_root=root, source_root=src, quiet=True).output == "0.5"


def test_a_task_does_not_see_the_source_root(src: Path) -> None:
    assert run(change_sources, src, {"folder": str(src)}).output is False


def test_a_failure_names_the_file_and_line(src: Path) -> None:
    (src / "shop" / "rates.py").write_text("RATE = 0\n")

    with pytest.raises(TaskFailed) as caught:
        run(use_package, src)

    assert f'File "{src}/shop/pricing.py", line 4, in total' in str(caught.value)
    assert "return f'{1 / RATE}'" in str(caught.value)


def test_an_edit_of_a_module_is_a_cache_miss(src: Path) -> None:
    outputs = [run(use_package, src, enable_caching=True).output for _ in range(2)]
    (src / "shop" / "rates.py").write_text("RATE = 4\n")
    outputs.append(run(use_package, src, enable_caching=True).output)

    assert outputs == ["0.5", "0.5", "0.25"]
    tasks = [task for run in reversed(local.runs(src.parent / "outputs")) for task in run.tasks]
    assert [bool(task.cached_from) for task in tasks] == [False, True, False]


def test_a_missing_module_says_what_to_do(src: Path) -> None:
    (src / "helpers.py").unlink()

    with pytest.raises(TaskFailed, match="No module named 'helpers'") as caught:
        run(use_package, src)

    assert "does not have it" in str(caught.value)
