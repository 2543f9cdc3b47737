"""The registry of trackers, by the option of a run that names their server."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from standpipe.errors import ArgumentError
from standpipe.model.frozen import frozen

if TYPE_CHECKING:  # each program imports this module, with the options of runs
    from collections.abc import Callable

    from standpipe.model.ports import TrackedRun, Tracker


@frozen
class TrackerKind:
    """A kind of tracker.

    `module` has its function `open_tracker`. Without the option, a run is tracked by the server that the variable
    `server` names, if the variable `switch` is `true`. The values of the variables `secrets` are redacted.
    """

    module: str
    switch: str
    server: str
    secrets: tuple[str, ...]
    example: str


TRACKERS: Mapping[str, TrackerKind] = {
    "mlflow": TrackerKind(
        module="standpipe.trackers.mlflow.tracker",
        switch="KFP_MLFLOW_ENABLED",  # the name that the KEP has for local runs
        server="MLFLOW_TRACKING_URI",
        secrets=("MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_PASSWORD"),
        example="http://localhost:5000",
    ),
}


def check_server(name: str, value: object) -> None:
    """Raise an ArgumentError unless the value is the address of a server, or None."""
    if value is None:
        return
    example = TRACKERS[name].example
    if not isinstance(value, str) or not value.startswith(("http://", "https://")):
        raise ArgumentError(f"Invalid {name}={value!r}: expected the URL of a server, such as {example!r}.")
    if "@" in value:
        raise ArgumentError(
            f"Invalid {name}: the URL has a user or a password, which would be shown. Set the variables of the server "
            "for them instead, and pass the URL alone."
        )


def find_servers(chosen: Mapping[str, str | None]) -> dict[str, str]:
    """Return the address of the server of each tracker that a run uses, by its option.

    Args:
        chosen: the value of each option; None for the server that variables of this process name, if they do.

    Raises:
        ArgumentError: if the server that a variable names is none.
    """
    servers = {name: chosen[name] or _find_server(kind) for name, kind in TRACKERS.items()}
    for name, server in servers.items():
        check_server(name, server or None)
    return {name: server for name, server in servers.items() if server}


def find_secrets(servers: Mapping[str, str]) -> dict[str, bytes]:
    """Return the secrets that trackers pass to tasks, by the descriptions that messages have for them."""
    names = (secret for name in servers for secret in TRACKERS[name].secrets)
    return {f"variable {name!r}": os.environb[name.encode()] for name in names if os.environ.get(name)}


def open_tracker(servers: Mapping[str, str], run: TrackedRun) -> Tracker | None:
    """Return the tracker of a run; None if it has none. It is opened in no time, whatever its server does.

    Args:
        servers: what `find_servers` returned.
        run: the run.
    """
    for name, server in servers.items():
        module = __import__(TRACKERS[name].module, fromlist=["open_tracker"])  # no other run needs it
        opens: Callable[[str, TrackedRun], Tracker] = module.open_tracker
        return opens(server, run)
    return None


def _find_server(kind: TrackerKind) -> str:
    is_on = os.environ.get(kind.switch, "").lower() == "true"
    return os.environ.get(kind.server, "") if is_on else ""
