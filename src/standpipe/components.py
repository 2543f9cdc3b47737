"""Components from compiled files: the names and meanings of `kfp.components`."""

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
from standpipe.errors import ArgumentError, StorageError, UnsupportedError
from standpipe.model.values import preview

_SECONDS_TO_WAIT = 30
_GOOGLE_STORAGE, _GOOGLE_STORAGE_ON_THE_WEB = "gs://", "https://storage.googleapis.com/"


class YamlComponent(BaseComponent):
    """A component or pipeline that was loaded; `component_yaml` is the text that it was loaded from."""

    component_yaml: str

    def execute(self, **kwargs: Any) -> Any:
        """Raises UnsupportedError: what was loaded is no function of this process."""
        raise UnsupportedError(f"{self.name!r} was loaded, and has no function to execute: call it instead.")


class YamlExecutorComponent(YamlComponent, ExecutorComponent):
    """A component that was loaded."""


class YamlGraphComponent(YamlComponent, GraphComponent):
    """A pipeline that was loaded."""


def load_component_from_text(text: str) -> YamlComponent:
    """The component or pipeline that a text holds: that of a compiled file, or of a component of KFP version 1.

    Raises:
        ArgumentError: if it is no text at all.
        SpecError: if it is no such text; the message names the field.
        UnsupportedError: if it holds what this version does not run; the message names the field.
    """
    if not isinstance(text, str):
        raise ArgumentError(f"{preview(text)} cannot be loaded: the text of a compiled file is wanted.")
    return _load(text, "The text")


def load_component_from_file(file_path: str | os.PathLike[str]) -> YamlComponent:
    """The component or pipeline that a file holds: a compiled one, or one of a component of KFP version 1.

    Raises:
        ArgumentError: if it is no path.
        SpecError: if it is no such file; the message names the field.
        StorageError: if it cannot be read.
        UnsupportedError: if it holds what this version does not run; the message names the field.
    """
    from standpipe import ir  # brings protobuf and YAML, which runs of Python components do without

    if not isinstance(file_path, (str, os.PathLike)):
        raise ArgumentError(f"{preview(file_path)} cannot be loaded: the path of a compiled file is wanted.")
    path = os.path.expanduser(file_path)
    return _load(ir.read_file_text(path), str(path))


def load_component_from_url(url: str, auth: tuple[str, str] | None = None) -> YamlComponent:
    """The component or pipeline that a file on the web holds: a compiled one, or a component of KFP version 1.

    Args:
        url: where it is; `https`, `http`, `file`, or `gs` for what everybody may read.
        auth: a user and a password, for HTTP basic authentication.

    Raises:
        ArgumentError: if the URL is of another kind.
        SpecError: if there is no compiled file; the message names the field.
        StorageError: if it cannot be had.
    """
    import base64  # with urllib.request, takes 20 ms to import, and few scripts load from the web
    from urllib.error import HTTPError
    from urllib.parse import urlsplit
    from urllib.request import Request, urlopen

    if str(url).startswith(_GOOGLE_STORAGE):
        url = _GOOGLE_STORAGE_ON_THE_WEB + url[len(_GOOGLE_STORAGE) :]
    if urlsplit(str(url)).scheme not in ("http", "https", "file"):
        raise ArgumentError(f"{url!r} cannot be loaded: its scheme must be https, http, file or gs. Download it first.")
    request = Request(url)  # noqa: S310 - the scheme was checked
    if auth is not None:
        request.add_header("Authorization", "Basic " + base64.b64encode(":".join(auth).encode()).decode())
    try:
        with urlopen(request, timeout=_SECONDS_TO_WAIT) as response:  # noqa: S310 - the scheme was checked
            text = response.read().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        if isinstance(error, HTTPError):
            error.close()  # it holds the connection; Python 3.14 warns where nobody closes it
        raise StorageError(f"{url} cannot be loaded: {error}. Check the address and the network.") from error
    return _load(text, url)


def _load(text: str, origin: str) -> YamlComponent:
    from standpipe import ir  # brings protobuf and YAML, which runs of Python components do without

    component = component_from_plan(*ir.read_component(text, origin))
    interface = Interface(component.inputs, component.outputs, component.description or "")
    loaded: YamlComponent
    if isinstance(component, ExecutorComponent):
        loaded = YamlExecutorComponent(
            component.name, interface, component.executor, component.task_config_passthroughs, component.plan
        )
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
