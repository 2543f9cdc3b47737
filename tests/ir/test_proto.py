from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from standpipe.errors import SpecError, UnsupportedError
from standpipe.ir.proto import canonicalize, load_messages


@pytest.fixture
def _fresh() -> object:
    """Messages that are looked for again, before and after the test."""
    load_messages.cache_clear()
    yield
    load_messages.cache_clear()


def test_it_is_canonical() -> None:
    data = {"schema_version": "2.1.0", "root": {"dag": {}}, "sdkVersion": ""}

    assert canonicalize(data, "PipelineSpec") == {"root": {"dag": {}}, "schemaVersion": "2.1.0"}


def test_keys_are_sorted() -> None:
    data = {"platforms": {"kubernetes": {"config": {"b": {"z": 1, "y": 2}, "a": [{"d": 1, "c": 2}]}}}}

    config = canonicalize(data, "PlatformSpec")["platforms"]["kubernetes"]["config"]

    assert str(config) == "{'a': [{'c': 2.0, 'd': 1.0}], 'b': {'y': 2.0, 'z': 1.0}}"


def test_the_path_leads_on_from_the_callers() -> None:
    with pytest.raises(
        SpecError, match=r"^deploymentSpec\.executors\.a\.container\.env\[1\]: expected a mapping, got 3"
    ):
        canonicalize(
            {"executors": {"a": {"container": {"env": [{}, 3]}}}}, "PipelineDeploymentConfig", "deploymentSpec"
        )


def test_neither_the_sdk_nor_standpipe_is_imported_on_the_way(tmp_path: Path) -> None:
    """A package called `kfp`, first on the path, that does not survive being imported."""
    (tmp_path / "kfp").mkdir()
    (tmp_path / "kfp" / "__init__.py").write_text("raise SystemExit('kfp was imported')")
    code = "import sys; from standpipe.ir.proto import load_messages; load_messages(); assert 'kfp' not in sys.modules"

    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": str(tmp_path)})


@pytest.mark.usefixtures("_fresh")
def test_the_module_is_shared_with_an_imported_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = ModuleType("pipeline_spec_pb2")
    monkeypatch.setitem(sys.modules, "kfp.pipeline_spec.pipeline_spec_pb2", theirs)

    assert load_messages() is theirs


@pytest.mark.usefixtures("_fresh")
def test_without_the_distribution(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path)])

    with pytest.raises(UnsupportedError, match=r"the package kfp-pipeline-spec is missing\. Install it with"):
        load_messages()
