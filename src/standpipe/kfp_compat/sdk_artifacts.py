"""Recognition of objects of the KFP SDK, and conversion of its artifacts. The SDK is not imported."""

from __future__ import annotations

from typing import Any

from standpipe.worker import artifacts


def is_sdk_object(value: object) -> bool:
    """Return whether a value is an object of the KFP SDK itself; Standpipe's classes are not in a module `kfp`."""
    return any(cls.__module__.partition(".")[0] == "kfp" for cls in type(value).__mro__)


def convert_artifacts(value: Any) -> Any:
    """Return an argument with the SDK's artifacts converted to Standpipe's, of the same type and content."""
    if isinstance(value, (list, tuple)):
        return [convert_artifacts(item) for item in value] if any(map(is_sdk_object, value)) else value
    if not is_sdk_object(value) or not hasattr(value, "schema_title"):
        return value
    schema = {"schema_title": value.schema_title, "schema_version": value.schema_version}
    known = artifacts.BY_TITLE.get(value.schema_title)
    artifact = (known or type(type(value).__name__, (artifacts.Artifact,), schema))(
        name=value.name, uri=value.uri, metadata=dict(value.metadata)
    )
    artifact.custom_path = getattr(value, "custom_path", None) or ""  # older SDKs do not have it
    return artifact
