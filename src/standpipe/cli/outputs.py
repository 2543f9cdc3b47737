"""The outputs of a run, as commands print them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from standpipe.support.terminal_text import escape_controls

if TYPE_CHECKING:
    from standpipe.dsl.tracing.tasks import PipelineTask


def print_outputs(task: PipelineTask) -> None:
    """Print the outputs of a finished task as JSON, without secrets: logs of CI keep them. Nothing if it has none."""
    if outputs := task.shown_outputs:
        print(escape_controls(json.dumps(dict(outputs), indent=2, ensure_ascii=False, default=_as_json)))


def _as_json(artifact: Any) -> dict[str, Any]:
    return {"name": artifact.name, "uri": artifact.uri, "path": artifact.path, "metadata": artifact.metadata}
