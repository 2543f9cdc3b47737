"""Components from compiled files: the names and meanings of `kfp.components`."""

from __future__ import annotations

import os

from standpipe.dsl.components import (
    BaseComponent,
    ContainerComponent,
    GraphComponent,
    PythonComponent,
    component_of,
)
from standpipe.errors import ArgumentError, StorageError
from standpipe.model.values import preview

_SECONDS_TO_WAIT = 30


def load_component_from_text(text: str) -> BaseComponent:
    """The component or pipeline that the text of a compiled file holds.

    Raises:
        ArgumentError: if it is no text at all.
        SpecError: if it is no such text; the message names the field.
        UnsupportedError: if it holds what this version does not run; the message names the field.
    """
    from standpipe import ir  # brings protobuf and YAML, which runs of Python components do without

    if not isinstance(text, str):
        raise ArgumentError(f"{preview(text)} cannot be loaded: the text of a compiled file is wanted.")
    return component_of(ir.read_text(text), ir.read_description(text))


def load_component_from_file(file_path: str | os.PathLike[str]) -> BaseComponent:
    """The component or pipeline that a compiled file holds.

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
    text = ir.text_of(path)
    return component_of(ir.read_text(text, origin=str(path)), ir.read_description(text))


def load_component_from_url(url: str, auth: tuple[str, str] | None = None) -> BaseComponent:
    """The component or pipeline that a compiled file on the web holds.

    Args:
        url: where it is; `https`, `http` or `file`.
        auth: a user and a password, for HTTP basic authentication.

    Raises:
        ArgumentError: if the URL is of another kind.
        SpecError: if there is no compiled file; the message names the field.
        StorageError: if it cannot be had.
    """
    import base64  # with urllib.request, takes 20 ms to import, and few scripts load from the web
    from urllib.parse import urlsplit
    from urllib.request import Request, urlopen

    if urlsplit(str(url)).scheme not in ("http", "https", "file"):
        raise ArgumentError(f"{url!r} cannot be loaded: its scheme must be https, http or file. Download it first.")
    request = Request(url)  # noqa: S310 - the scheme was checked
    if auth is not None:
        request.add_header("Authorization", "Basic " + base64.b64encode(":".join(auth).encode()).decode())
    try:
        with urlopen(request, timeout=_SECONDS_TO_WAIT) as response:  # noqa: S310 - the scheme was checked
            text = response.read().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StorageError(f"{url} cannot be loaded: {error}. Check the address and the network.") from error
    return load_component_from_text(text)


__all__ = [
    "BaseComponent",
    "ContainerComponent",
    "GraphComponent",
    "PythonComponent",
    "load_component_from_file",
    "load_component_from_text",
    "load_component_from_url",
]
