"""The addresses of all pages."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from standpipe.ui.rendering import link

if TYPE_CHECKING:
    from .conftest import Samples

#: The tabs of a run, by their names in addresses.
TABS = {
    "graph": "Graph",
    "timeline": "Timeline",
    "tasks": "Tasks",
    "logs": "Logs",
    "details": "Details",
    "spec": "Pipeline Spec",
}
#: The panels of a selected task.
PANELS = ("io", "details", "logs", "cache")

_TASK = "exit-handler-1/evaluate"


def artifact(samples: Samples, name: str, kind: str = "succeeded") -> str:
    """Return the path of the page of an artifact."""
    uri = next(each.uri for each in samples.run(kind).artifacts if each.name == name)
    return link("runs", samples.ids[kind], "artifact", uri=uri)


def compare(samples: Samples, *kinds: str) -> str:
    """Return the path of the page that compares runs."""
    return link("compare", run=[samples.ids[kind] for kind in kinds])


#: The artifacts of the training that pages show, each of another kind.
ARTIFACTS = (
    "metrics", "curves", "by_country", "report", "page", "plot", "notes", "summary", "files", "train_set", "best"
)  # fmt: skip


def _tab(tab: str, kind: str) -> Callable[[Samples], str]:
    return lambda samples: samples.link(kind, tab=tab)


def _panel(panel: str) -> Callable[[Samples], str]:
    return lambda samples: samples.link("succeeded", task=_TASK, panel=panel)


def _artifact(name: str) -> Callable[[Samples], str]:
    return lambda samples: artifact(samples, name)


#: Each page with everything that it can show, by its name.
PAGES: dict[str, Callable[[Samples], str]] = {
    "runs": lambda samples: "/",
    "new run": lambda samples: "/new",
    "clone": lambda samples: link("new", run=samples.ids["succeeded"]),
    "delete": lambda samples: link("runs", samples.ids["succeeded"], "delete"),
    "compare": lambda samples: compare(samples, "succeeded", "other rates", "cached"),
    **{f"{tab} of {kind}": _tab(tab, kind) for kind in ("succeeded", "failed") for tab in TABS},
    **{f"panel {panel}": _panel(panel) for panel in PANELS},
    **{f"artifact {name}": _artifact(name) for name in ARTIFACTS},
    "failure": lambda samples: samples.link("failed", task="divide", panel="details"),
    "markup": lambda samples: samples.link("markup", tab="tasks"),
    "table of a loop": lambda samples: samples.link("loop", tab="graph", layer="for-loop-2"),
}
