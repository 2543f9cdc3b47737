"""The RayRunner as users choose it, where Ray is not installed."""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from standpipe import dsl, local
from standpipe.errors import RunnerError
from standpipe.runners.transport.archive import RUNNERS, make_archive
from tests.imports import modules_of


@dsl.component
def add(a: int, b: int) -> int:
    return a + b


@dsl.container_component
def contained() -> dsl.ContainerSpec:
    return dsl.ContainerSpec(image="busybox", command=["true"])


@pytest.fixture
def _no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)


@pytest.mark.usefixtures("_no_ray")
def test_a_missing_extra_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunnerError, match=r"pip install 'standpipe\[ray\]'"):
        local.run(add, {"a": 1, "b": 2}, runner=local.RayRunner(), pipeline_root=tmp_path)
    assert not list(tmp_path.glob("add-*"))


def test_the_class_imports_no_ray() -> None:
    assert "ray" not in modules_of("from standpipe import local; local.RayRunner('auto')")


def test_the_archive_for_nodes_runs_attempts_without_anything_installed(tmp_path: Path) -> None:
    archive, digest = make_archive(RUNNERS)
    assert make_archive(RUNNERS) == (archive, digest)
    zipfile.ZipFile(io.BytesIO(archive)).extractall(tmp_path)

    code = "import standpipe.runners.ray.node as node; print(node.__file__)"
    command = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {code}"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.stdout.strip(), result.stderr) == (str(tmp_path / "standpipe/runners/ray/node.py"), "")
