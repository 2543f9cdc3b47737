"""Objects like those of the KFP SDK: instances of classes in a module of `kfp`, with protobuf messages.

The real ones are in tests/slow/test_cli.py.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from google.protobuf import json_format

from standpipe import dsl, local
from standpipe.errors import ArgumentError, AuthoringTypeError
from standpipe.ir import emit, emit_platforms
from standpipe.ir.proto import load_messages
from standpipe.kfp_compat.sdk_components import convert_component
from standpipe.local import FakeRunner


@dsl.component
def add(a: int, b: float = 2.0) -> int:
    return a


@dsl.component
def read(data: dsl.Input[dsl.Dataset], many: dsl.Input[list[dsl.Dataset]]) -> str:
    return data.path


@dsl.pipeline(description="adds twice", pipeline_config=dsl.PipelineConfig(workspace=dsl.WorkspaceConfig("1Gi")))
def math(x: int, some: list = [1, 2.5]) -> int:  # noqa: B006
    return add(a=add(a=x).output).output


class GraphComponent:
    __module__ = "kfp.dsl.graph_component"

    def __init__(self, component: Any) -> None:
        self.component = component
        self.description = None

    @property
    def pipeline_spec(self) -> Any:
        return json_format.ParseDict(emit(self.component.plan), load_messages().PipelineSpec())

    @property
    def platform_spec(self) -> Any:
        return json_format.ParseDict(emit_platforms(self.component.plan), load_messages().PlatformSpec())


class Dataset:
    __module__ = "kfp.dsl.types.artifact_types"
    schema_title = "system.Dataset"
    schema_version = "0.0.1"

    def __init__(self, uri: str) -> None:
        self.name, self.uri, self.metadata = "theirs", uri, {"rows": 3}


class OfTheUser(Dataset):
    """A user-provided subclass of a class of the SDK."""

    __module__ = "training"
    schema_title = "google.OfTheUser"


def run(target: Any, **arguments: Any) -> Any:
    runner = FakeRunner(add=lambda a, b: {"Output": a + int(b)}, read=lambda **_: {"Output": ""})
    return local.run(target, arguments, runner=runner, quiet=True).output


@pytest.mark.parametrize("component", [add, math])
def test_messages_of_sdk_components_convert_to_plans(component: Any) -> None:
    assert convert_component(GraphComponent(component)) == component.plan


def test_sdk_components_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(GraphComponent(add), a=1) == 3


def test_sdk_artifacts_are_arguments(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    given: dict[str, Any] = {}
    monkeypatch.setattr(
        local, "_start", lambda _, component, arguments: given.update(arguments) or SimpleNamespace(output=1)
    )
    run(GraphComponent(read), data=Dataset("data"), many=(Dataset("gs://b/1"), dsl.Dataset(uri="gs://b/2")))
    assert isinstance(given["data"], dsl.Dataset)
    assert (given["data"].name, given["data"].uri, given["data"].metadata) == ("theirs", "data", {"rows": 3})
    assert [(type(each), each.uri) for each in given["many"]] == [(dsl.Dataset, "gs://b/1"), (dsl.Dataset, "gs://b/2")]


def test_types_of_sdk_artifacts_are_checked() -> None:
    with pytest.raises(AuthoringTypeError, match=r"expected Dataset, got an artifact of type google\.OfTheUser"):
        run(GraphComponent(read), data=OfTheUser("data"), many=[])


def test_other_sdk_objects_are_refused() -> None:
    with pytest.raises(ArgumentError, match="Cannot run .*: expected a component"):
        run(Dataset("data"))
