"""Conversion of components and pipelines of the KFP SDK to Plans. The SDK is not imported."""

from __future__ import annotations

from typing import Any

from google.protobuf import json_format

from standpipe.ir.loader import load
from standpipe.model.plan import Plan


def convert_component(component: Any) -> Plan:
    """Return the Plan of a component or pipeline of the KFP SDK, read from its protobuf messages.

    Args:
        component: an object of the SDK with `pipeline_spec` and `platform_spec`.

    Raises:
        SpecError: if a message is malformed; the error names the field.
        UnsupportedError: if a message has something that this version does not support; the error names the field.
    """
    platforms = json_format.MessageToDict(component.platform_spec)
    return load(json_format.MessageToDict(component.pipeline_spec), platforms or None)
