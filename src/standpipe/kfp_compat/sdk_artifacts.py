"""Objects of the real KFP SDK, told from ours, and its artifacts as ours. The SDK is not imported."""

from __future__ import annotations

from typing import Any

from standpipe.worker import artifacts


def is_sdk_object(value: object) -> bool:
    """Return whether the value is an object of the real KFP SDK; our own classes are in no module of that name."""
    return any(cls.__module__.partition(".")[0] == "kfp" for cls in type(value).__mro__)


def from_sdk(value: Any) -> Any:
    """Return an argument with artifacts of ours in place of the SDK's, of the same type and content."""
    if isinstance(value, (list, tuple)):
        return [from_sdk(item) for item in value] if any(map(is_sdk_object, value)) else value
    if not is_sdk_object(value) or not hasattr(value, "schema_title"):
        return value
    schema = {"schema_title": value.schema_title, "schema_version": value.schema_version}
    known = artifacts.BY_TITLE.get(value.schema_title)
    artifact = (known or type(type(value).__name__, (artifacts.Artifact,), schema))(
        name=value.name, uri=value.uri, metadata=dict(value.metadata)
    )
    artifact.custom_path = getattr(value, "custom_path", None) or ""  # older SDKs have none
    return artifact
