"""What the authoring of components asks of the rest of Standpipe: to run them, and to compile them.

Neither is the business of this package: `standpipe.local` puts the functions that do it in here.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

from standpipe.model.types import Json

if TYPE_CHECKING:
    from standpipe.dsl.components import BaseComponent
    from standpipe.dsl.tracing.tasks import PipelineTask


class Host(Protocol):
    """What happens to components outside of pipelines."""

    def errors(self, component: BaseComponent) -> AbstractContextManager[None]:
        """Around the check of a call's arguments: errors that leave it hold no secrets."""

    def run(self, component: BaseComponent, arguments: Mapping[str, Any]) -> PipelineTask:
        """Runs a component that was called outside of a pipeline."""

    def compile(self, component: BaseComponent, path: str) -> None:
        """Writes a component to a file."""

    def spec(self, component: BaseComponent) -> Json:
        """A component's PipelineSpec as JSON."""

    def message(self, component: BaseComponent, name: str) -> Any:
        """The protobuf message of a component: its `PipelineSpec` or `PlatformSpec`."""


_hosts: list[Host] = []


def set_host(host: Host) -> None:
    """Names who runs and compiles components."""
    _hosts[:] = [host]


def host() -> Host:
    """Who runs and compiles components; `import standpipe` has named one."""
    return _hosts[0]


def caching_default() -> bool:
    """Whether new tasks may be cached: yes, unless KFP's environment variable says no."""
    value = os.environ.get("KFP_DISABLE_EXECUTION_CACHING_BY_DEFAULT", "")
    return value.strip().lower() not in {"1", "true", "t", "yes", "y", "on"}
