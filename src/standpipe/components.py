"""Loading components from compiled files, as in `kfp.components`."""

from __future__ import annotations

import os
from typing import Any

from standpipe.dsl.base_component import BaseComponent
from standpipe.dsl.components import (
    ContainerComponent,
    ExecutorComponent,
    GraphComponent,
    PythonComponent,
    component_from_plan,
)
from standpipe.dsl.functions.interface import Interface
from standpipe.dsl.tracing.tasks import Settings
from standpipe.errors import ArgumentError, SpecError, StorageError, UnsupportedError, shorten_errors
from standpipe.model.plan import Plan
from standpipe.model.values import preview

_TIMEOUT = 30
_GOOGLE_STORAGE, _GOOGLE_STORAGE_ON_THE_WEB = "gs://", "https://storage.googleapis.com/"


class YamlComponent(BaseComponent):
    """A loaded component or pipeline; `component_yaml` is the text that it was loaded from."""

    component_yaml: str

    def execute(self, **kwargs: Any) -> Any:
        """Raise an UnsupportedError, because a loaded component does not have a Python function."""
        raise UnsupportedError(
            f"Cannot execute component {self.name!r}: it was loaded, and does not have a Python function. Call it "
            "instead."
        )


class YamlExecutorComponent(YamlComponent, ExecutorComponent):
    """A loaded component. `misuse` is the error of those who call, run or compile it; None for a valid one."""

    misuse: SpecError | None = None

    def settings(self) -> Settings:
        self._check_use()
        return super().settings()

    @property
    def plan(self) -> Plan:
        self._check_use()
        return super().plan

    @property
    def compiled_plan(self) -> Plan:
        self._check_use()
        return super().compiled_plan

    def _check_use(self) -> None:
        if self.misuse is not None:
            raise self.misuse


class YamlGraphComponent(YamlComponent, GraphComponent):
    """A loaded pipeline."""


@shorten_errors
def load_component_from_text(text: str) -> YamlComponent:
    """Load a component or pipeline from the text of a compiled file, or of a component of KFP version 1.

    Args:
        text: YAML or JSON.

    Raises:
        ArgumentError: if `text` is not a str.
        SpecError: if it is malformed; the message names the field.
        UnsupportedError: if it has something that this version does not support; the message names the field.
    """
    if not isinstance(text, str):
        raise ArgumentError(f"Cannot load {preview(text)}: expected the text of a compiled file.")
    return _load(text, "The text")


@shorten_errors
def load_component_from_file(file_path: str | os.PathLike[str]) -> YamlComponent:
    """Load a component or pipeline from a compiled file, or a component from a file of KFP version 1.

    Args:
        file_path: the path of a YAML or JSON file; `~` is the home folder.

    Raises:
        ArgumentError: if `file_path` is not a path.
        SpecError: if the file is malformed; the message names the field.
        StorageError: if it cannot be read.
        UnsupportedError: if it has something that this version does not support; the message names the field.
    """
    from standpipe import ir  # brings protobuf and YAML, which runs of Python components do without

    if not isinstance(file_path, (str, os.PathLike)):
        raise ArgumentError(f"Cannot load {preview(file_path)}: expected the path of a compiled file.")
    path = os.path.expanduser(file_path)
    component = _load(ir.read_file_text(path), str(path))
    component.file = os.path.abspath(path)
    return component


@shorten_errors
def load_component_from_url(url: str, auth: tuple[str, str] | None = None) -> YamlComponent:
    """Load a component or pipeline from a URL of a compiled file, or of a component of KFP version 1.

    Args:
        url: a URL with the scheme `https`, `http` or `file`, or `gs` for public objects.
        auth: a user and a password, for HTTP basic authentication.

    Raises:
        ArgumentError: if the URL has another scheme.
        SpecError: if the file is malformed; the message names the field.
        StorageError: if it cannot be downloaded.
        UnsupportedError: if it has something that this version does not support; the message names the field.
    """
    import base64  # with urllib.request, takes 20 ms to import, and few scripts load from the web
    from urllib.error import HTTPError
    from urllib.parse import urlsplit
    from urllib.request import Request, urlopen

    if str(url).startswith(_GOOGLE_STORAGE):
        url = _GOOGLE_STORAGE_ON_THE_WEB + url[len(_GOOGLE_STORAGE) :]
    if urlsplit(str(url)).scheme not in ("http", "https", "file"):
        raise ArgumentError(f"Cannot load {url!r}: expected the scheme https, http, file or gs. Download it first.")
    request = Request(url)  # noqa: S310 - the scheme was checked
    if auth is not None:
        request.add_header("Authorization", "Basic " + base64.b64encode(":".join(auth).encode()).decode())
    try:
        with urlopen(request, timeout=_TIMEOUT) as response:  # noqa: S310 - the scheme was checked
            text = response.read().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        if isinstance(error, HTTPError):
            error.close()  # it holds the connection; Python 3.14 warns where nobody closes it
        raise StorageError(f"Cannot load {url}: {error}. Check the URL and the network.") from error
    return _load(text, url)


def _load(text: str, origin: str) -> YamlComponent:
    from standpipe import ir  # brings protobuf and YAML, which runs of Python components do without

    plan, description, misuse = ir.read_component(text, origin)
    component = component_from_plan(plan, description)
    interface = Interface(component.inputs, component.outputs, component.description or "")
    loaded: YamlComponent
    if isinstance(component, ExecutorComponent):
        loaded = YamlExecutorComponent(
            component.name, interface, component.executor, component.task_config_passthroughs, component.compiled_plan
        )
        loaded.misuse = misuse
    else:
        loaded = YamlGraphComponent(interface, component.plan)
    loaded.component_yaml = text
    return loaded


__all__ = [
    "BaseComponent",
    "ContainerComponent",
    "GraphComponent",
    "PythonComponent",
    "YamlComponent",
    "load_component_from_file",
    "load_component_from_text",
    "load_component_from_url",
]
