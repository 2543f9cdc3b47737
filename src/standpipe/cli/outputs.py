"""The outputs of a run, as commands print them."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from standpipe.dsl.tracing.tasks import PipelineTask

#: The characters that JSON need not escape, and that are commands for a terminal.
_CONTROLS = re.compile(r"[\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def print_outputs(task: PipelineTask) -> None:
    """Print the outputs of a finished task as JSON; nothing if it has none."""
    if task.outputs:
        text = json.dumps(dict(task.outputs), indent=2, ensure_ascii=False, default=_as_json)
        print(_CONTROLS.sub(lambda match: f"\\u{ord(match[0]):04x}", text))


def _as_json(artifact: Any) -> dict[str, Any]:
    return {"name": artifact.name, "uri": artifact.uri, "path": artifact.path, "metadata": artifact.metadata}
