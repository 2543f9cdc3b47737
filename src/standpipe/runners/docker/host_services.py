"""Servers on this machine that trackers name, as containers reach them.

The `localhost` of a container is its own. Docker and Podman have a name for the machine instead, which is one of the
container's hosts if its arguments say so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from standpipe.model.attempts import TaskRequest
from standpipe.runners.docker.run_arguments import RunArguments

_HOST = "host.docker.internal"
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def tracking_variables(request: TaskRequest, arguments: RunArguments) -> dict[str, str]:
    """Return the variables of the trackers of an attempt, with this machine as its container reaches it."""
    if not _has_own_network(arguments):
        return dict(request.tracking)
    return {name: _translate(value) for name, value in request.tracking.items()}


def network_arguments(request: TaskRequest, arguments: RunArguments) -> dict[str, Any]:
    """Return the user's arguments about the network of a container, and the name of this machine if it is needed."""
    network = arguments.network
    if not _has_own_network(arguments) or tracking_variables(request, arguments) == request.tracking:
        return network
    hosts = network.get("extra_hosts") or {}
    added = {_HOST: "host-gateway", **hosts} if isinstance(hosts, Mapping) else [f"{_HOST}:host-gateway", *hosts]
    return {**network, "extra_hosts": added}


def _has_own_network(arguments: RunArguments) -> bool:
    mode = str(arguments.others.get("network_mode") or "")
    return mode not in ("host", "none") and not mode.startswith("container:")


def _translate(value: str) -> str:
    """Return a URL of this machine as one that containers reach; any other value as it is."""
    if not value.startswith(("http://", "https://")):
        return value
    url = urlsplit(value)
    if url.hostname not in _LOOPBACK:
        return value
    return url._replace(netloc=f"{_HOST}:{url.port}" if url.port else _HOST).geturl()
