"""Runs, tasks and artifacts as HTML for notebooks, from the templates of the pages.

The output of a cell is a part of somebody else's page. So all styles are in it, and apply to it alone: the tokens and
the charts of the pages are nested in a class. Whether it is light or dark follows the notebook, as far as that says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from markupsafe import Markup

from standpipe.dsl.tracing.tasks import PipelineTask
from standpipe.history import Artifact, Run, Task
from standpipe.model.layout import StateLayout
from standpipe.support.notebooks import name_cells
from standpipe.support.shell_commands import standpipe_command
from standpipe.support.terminal_text import strip_controls
from standpipe.ui.rendering import render
from standpipe.ui.views.changes import artifact_text, value_text
from standpipe.ui.views.embedded import read_embedded
from standpipe.ui.views.report import failed_tasks, show_failure, show_metrics
from standpipe.ui.views.states import count_states, state_of
from standpipe.ui.views.task_rows import list_tasks

_STATIC = Path(__file__).parent / "static"

#: The most rows of tasks, failures and artifacts with metrics that the output of a cell shows.
_MAX_ROWS = 60
_MAX_FAILURES = 3
_MAX_METRICS = 4

#: The most characters of an image or a page.
_MAX_PREVIEW = 300_000

#: Where notebooks say that they are light or dark: JupyterLab and Notebook, VS Code, Colab.
_LIGHT = ('body[data-jp-theme-light="true"]', "body.vscode-light", 'html[theme="light"]')
_DARK = ('body[data-jp-theme-light="false"]', "body.vscode-dark", 'html[theme="dark"]')


def to_html(record: object) -> str:
    """Return the HTML of a record for the output of a cell.

    Args:
        record: a `Run`, a `Task`, an `Artifact`, or the finished task of a call.
    """
    for kind, view in _VIEWS.items():
        if isinstance(record, kind):
            template, context = view(record)
            return render_output(template, context)
    raise TypeError(f"Expected a run, a task or an artifact, got {type(record).__name__}.")


def render_output(template: str, context: Mapping[str, Any]) -> str:
    """Return the output of a cell from a template in the folder `notebook`."""
    return name_cells(strip_controls(render(f"notebook/{template}.html", {**context, "styles": styles()})))


def _view_run(run: Run) -> tuple[str, dict[str, object]]:
    rows, failed = list(list_tasks(run.tasks)), failed_tasks(run)
    metrics = show_metrics(run.artifacts)
    return "run", {
        "run": run,
        "status": run.status.value,
        "counts": count_states(run.all_tasks()),
        "rows": rows[:_MAX_ROWS],
        "hidden": max(0, len(rows) - _MAX_ROWS),
        "failed": [show_failure(task) for task in failed[:_MAX_FAILURES]],
        "hidden_failures": max(0, len(failed) - _MAX_FAILURES),
        "inputs": _texts(run.inputs),
        "outputs": _texts(run.outputs),
        "measured": metrics[:_MAX_METRICS],
        "hidden_metrics": max(0, len(metrics) - _MAX_METRICS),
        "command": standpipe_command("ui", run.folder.parent, run.id),
    }


def _view_task(task: Task) -> tuple[str, dict[str, object]]:
    rows = list(list_tasks(task.children))
    return "task", {
        "task": task,
        "status": state_of(task),
        "rows": rows[:_MAX_ROWS],
        "hidden": max(0, len(rows) - _MAX_ROWS),
        "failed": [show_failure(task)] if task.failure else [],
        "hidden_failures": 0,
        "inputs": _texts(task.inputs),
        "outputs": _texts(task.outputs),
        "measured": show_metrics(task.artifacts)[:_MAX_METRICS],
        "hidden_metrics": 0,
    }


def _view_artifact(artifact: Artifact) -> tuple[str, dict[str, object]]:
    metrics = show_metrics([artifact])
    root = _root_of(artifact.path)
    return "artifact", {
        "artifact": artifact,
        "preview": read_embedded(artifact, root, _MAX_PREVIEW) if root and not metrics else None,
        "metadata": {} if metrics else _texts(artifact.metadata),
        "measured": metrics,
        "hidden_metrics": 0,
    }


def _root_of(path: Path | None) -> Path | None:
    """Return the pipeline root that a payload is in; None if it is in none."""
    above = path.parents if path and path.is_absolute() else ()
    return next((folder for folder in above if StateLayout(folder).run_store.exists()), None)


def _view_call(task: PipelineTask) -> tuple[str, dict[str, object]]:
    message, _, details = str(task.error or "").partition("\n")
    return "call", {
        "task": task,
        "status": "FAILED" if task.error else "SUCCEEDED",
        "message": message,
        "details": details.strip("\n"),
        "outputs": {} if task.error else {name: _output_text(value) for name, value in task.shown_outputs.items()},
    }


_VIEWS: dict[type, Callable[[Any], tuple[str, dict[str, object]]]] = {
    Run: _view_run,
    Task: _view_task,
    Artifact: _view_artifact,
    PipelineTask: _view_call,
}


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    return {
        name: artifact_text(value) if isinstance(value, Artifact) else value_text(value)
        for name, value in values.items()
    }


def _output_text(value: Any) -> str:
    """Return an output of a call: an artifact is its type and its path."""
    title = getattr(type(value), "schema_title", None)
    return f"{title.removeprefix('system.')} at {value.path or value.uri}" if title else value_text(value)


@cache
def styles() -> Markup:
    """Return the styles of all outputs, which apply to nothing else on the page."""
    light, dark = _tokens()
    parts = [
        f".standpipe {{ {light} }}",
        f"@media (prefers-color-scheme: dark) {{ .standpipe {{ {dark} }} }}",
        f"{', '.join(f'{each} .standpipe' for each in _LIGHT)} {{ {light} }}",
        f"{', '.join(f'{each} .standpipe' for each in _DARK)} {{ {dark} }}",
        f".standpipe {{ {_rules('charts.css')}\n{_rules('artifact.css')}\n{_read('notebook.css')} }}",
    ]
    return Markup("\n".join(parts))  # noqa: S704 - our own files


def _tokens() -> tuple[str, str]:
    """Return the declarations of the light and of the dark tokens."""
    text = _read("standpipe.css") + _read("charts.css")
    light = re.findall(r"^:root \{(.*?)\}", text, re.DOTALL | re.MULTILINE)
    dark = re.findall(r'^:root\[data-theme="dark"\] \{(.*?)\}', text, re.DOTALL | re.MULTILINE)
    return tuple(" ".join(" ".join(blocks).split()) for blocks in (light, dark))  # type: ignore[return-value]


def _rules(name: str) -> str:
    """Return the rules of a file without those for the whole page, which has the tokens."""
    without = re.sub(r"/\*.*?\*/", "", _read(name), flags=re.DOTALL)
    without = re.sub(r"^@media \(prefers-color-scheme: dark\) \{.*?^\}", "", without, flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"^:root[^{]*\{.*?\}", "", without, flags=re.DOTALL | re.MULTILINE).strip()


def _read(name: str) -> str:
    return (_STATIC / name).read_text(encoding="utf-8")
