"""Inputs and outputs as pages show them: JSON in lines, and artifacts with links."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from standpipe.history import Artifact
from standpipe.history.records import Value
from standpipe.model.frozen import frozen, replace
from standpipe.model.types import Json, is_complete_without_payload
from standpipe.model.values import preview
from standpipe.support.terminal_text import strip_controls
from standpipe.ui.rendering import link
from standpipe.ui.views.conditions import readable_name
from standpipe.ui.views.metrics import read_metrics
from standpipe.ui.views.previews import Preview, location_of, read_preview
from standpipe.ui.views.visualization import Visualization, visualize

#: The most characters and artifacts of a value that are shown.
_MAX_TEXT = 100_000
_MAX_ARTIFACTS = 100

#: The most artifacts of several values of which previews are read.
_MAX_PREVIEWS = 6

#: JSON of at most so many characters is written in one line.
_ONE_LINE = 60

#: A value with more lines or characters than this is folded at first.
_LONG_LINES = 12
_LONG_TEXT = 600


@frozen
class ArtifactLink:
    """An artifact of a run, with the address of its page.

    `state` says what its payload is, if there is none. `preview` and `visualization` are what it contains, None if they
    were not read.
    """

    artifact: Artifact
    run: str
    name: str
    type: str
    size: int | None
    href: str
    state: str
    preview: Preview | None = None
    visualization: Visualization | None = None


@frozen
class ValueView:
    """An input or output.

    Attributes:
        name: its name.
        type: what it is, such as `int` or `Dataset`.
        text: the value, if it is not an artifact.
        summary: its first characters in one line.
        is_long: whether it is folded at first.
        cut: how many characters are left out.
        artifacts: the artifacts of one.
        more: how many artifacts are left out.
    """

    name: str
    type: str
    text: str = ""
    summary: str = ""
    is_long: bool = False
    cut: int = 0
    artifacts: tuple[ArtifactLink, ...] = ()
    more: int = 0


def view_values(run: str, values: Mapping[str, Value]) -> tuple[ValueView, ...]:
    """Return inputs or outputs by their names.

    Args:
        run: the id of the run that they belong to.
        values: the inputs or outputs.
    """
    return tuple(view_value(run, readable_name(name), value) for name, value in values.items())


def view_value(run: str, name: str, value: Value) -> ValueView:
    """Return one input or output."""
    listed = value if isinstance(value, list) else [value]
    if listed and all(isinstance(each, Artifact) for each in listed):
        return _view_artifacts(run, name, listed, is_list=isinstance(value, list))
    text = format_json(value)
    shown = text[:_MAX_TEXT]
    return ValueView(
        name,
        _type_of(value),
        text=shown,
        summary=" ".join(shown[:200].split())[:100],
        is_long=len(text) > _LONG_TEXT or text.count("\n") > _LONG_LINES,
        cut=len(text) - len(shown),
    )


def read_previews(values: Sequence[ValueView], root: Path) -> tuple[ValueView, ...]:
    """Return values with previews of their first artifacts.

    Args:
        values: the values.
        root: the pipeline root; nothing outside is read.
    """
    left = _MAX_PREVIEWS
    shown = []
    for value in values:
        read = [_with_preview(each, root) for each in value.artifacts[:left]]
        left -= len(read)
        shown.append(replace(value, artifacts=(*read, *value.artifacts[len(read) :])))
    return tuple(shown)


def _with_preview(each: ArtifactLink, root: Path) -> ArtifactLink:
    visualization = visualize(read_metrics(each.artifact)) or None
    preview = None if each.state else read_preview(each.artifact, root)
    return replace(each, preview=preview, visualization=visualization)


def format_json(value: Json) -> str:
    """Return a value as text: text as it is, all else as JSON, in lines if it is long."""
    if isinstance(value, str):
        return strip_controls(value)
    try:
        text = json.dumps(value, ensure_ascii=False)
        if len(text) > _ONE_LINE:
            text = json.dumps(value, indent=2, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):  # such as an integer with too many digits for Python
        text = preview(value)
    return strip_controls(text)


def _view_artifacts(run: str, name: str, artifacts: Sequence[Artifact], *, is_list: bool) -> ValueView:
    links = tuple(link_artifact(run, artifact) for artifact in artifacts[:_MAX_ARTIFACTS])
    kind = f"list of {links[0].type}" if is_list else links[0].type
    return ValueView(name, kind, artifacts=links, more=len(artifacts) - len(links))


def link_artifact(run: str, artifact: Artifact) -> ArtifactLink:
    """Return an artifact with the address of its page in a run."""
    return ArtifactLink(
        artifact,
        run,
        artifact.name,
        artifact.type.removeprefix("system."),
        artifact.size,
        link("runs", run, "artifact", uri=location_of(artifact)),
        _describe_absence(artifact) if artifact.exists is False else "",
    )


def _describe_absence(artifact: Artifact) -> str:
    if artifact.digest:
        return "removed"
    return "" if is_complete_without_payload(artifact.type, artifact.metadata) else "no file"


def _type_of(value: Json) -> str:
    names = {str: "text", bool: "bool", int: "int", float: "float", list: "list", dict: "dict", type(None): "null"}
    return next((name for kind, name in names.items() if kind is not int and isinstance(value, kind)), "int")
