"""Properties of an engine, from what it says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class EngineTraits:
    """Properties of an engine.

    Attributes:
        selinux: whether it labels files for SELinux.
        rootless: whether the root of its containers is the user who runs it.
        podman: whether it is Podman, which answers some requests of Docker's API in another way.
        ignores_limits: whether its containers have no control groups of their own, so that it ignores limits of CPU and
            memory. Podman does not say that.
    """

    selinux: bool = False
    rootless: bool = False
    podman: bool = False
    ignores_limits: bool = False

    @classmethod
    def of(cls, info: Mapping[str, Any]) -> EngineTraits:
        """Return the properties of an engine, from its answer to `GET /info`."""
        options = info.get("SecurityOptions") or ()
        podman = "BuildahVersion" in info
        # Podman 4.3 has a field of its own for this, and leaves out Docker's option.
        rootless = any("name=rootless" in option for option in options) or info.get("Rootless") is True
        return cls(
            selinux=any("name=selinux" in option for option in options),
            rootless=rootless,
            podman=podman,
            ignores_limits=podman and rootless and info.get("CgroupVersion") == "1",
        )
