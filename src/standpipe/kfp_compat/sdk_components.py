"""Components and pipelines of the real KFP SDK -> Plans, without importing that SDK."""

from __future__ import annotations

from typing import Any

from google.protobuf import json_format

from standpipe.ir.loader import load
from standpipe.model.plan import Plan


def plan_of(component: Any) -> Plan:
    """The Plan of a component or pipeline of the KFP SDK, read from the messages that the SDK would compile it to.

    Raises:
        SpecError: if they are malformed; the error names the field.
        UnsupportedError: if they hold what this version does not run; the error names the field.
    """
    platforms = json_format.MessageToDict(component.platform_spec)
    return load(json_format.MessageToDict(component.pipeline_spec), platforms or None)
