"""The settings of a task's container that may hold channels: its resources and its image.

KFP adds an input to the task for each of these settings that is known only when the pipeline runs. This module alone
knows which settings these are.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from standpipe.dsl.tracing.channels import replace_channels
from standpipe.dsl.tracing.marks import has_marks
from standpipe.model.plan import Container
from standpipe.model.templates import parse_text

#: The name of the input that KFP adds for the image. The inputs for resources have the names of their fields.
_IMAGE_INPUT = "base_image"


def settings_with_channels(container: Container | None) -> dict[str, str]:
    """Return the settings that hold channels, as text with marks, by the name of the input that KFP adds for each."""
    if container is None:
        return {}
    settings = {name: str(quantity) for name, quantity in container.resources.quantities.items()}
    settings[_IMAGE_INPUT] = str(container.image)
    return {name: text for name, text in settings.items() if has_marks(text)}


def replace_channels_in_settings(container: Container) -> Container:
    """Return the container with KFP's placeholders in place of the channels in its settings."""
    resources: dict[str, Any] = {
        name: parse_text(replace_channels(str(quantity))) for name, quantity in container.resources.quantities.items()
    }
    return replace(
        container,
        image=parse_text(replace_channels(str(container.image))),
        resources=replace(container.resources, **resources),
    )


def has_resources(container: Container) -> bool:
    """Return whether a container has a resource request or limit."""
    return any(container.resources.quantities.values())
