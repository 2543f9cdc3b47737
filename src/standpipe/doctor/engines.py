"""Checks of container engines: Docker, and Podman, which answers in the same way."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from standpipe.doctor.answers import Answer, Surroundings, ok, warning
from standpipe.doctor.programs import PATIENCE, ask
from standpipe.errors import RunnerError
from standpipe.runners.docker.engine import START_PODMAN, Engine, connect, engine_errors, message_of
from standpipe.runners.docker.traits import EngineTraits


def check_engine(_: Surroundings) -> Answer:
    """Ask the engine that the DockerRunner uses for its version and settings."""
    engine = Engine(partial(connect, timeout=int(PATIENCE)))
    try:
        client = engine()
        version, info = client.version(), client.info()
    except RunnerError as error:
        first, *rest = str(error).splitlines()
        return warning(f"{first} The default runner needs none.", rest[0] if rest else "")
    except engine_errors() as error:
        return warning(f"the engine answers with an error: {message_of(error)}", "Restart the engine.")
    finally:
        engine.close()
    return judge(version, info)


def check_podman(_: Surroundings) -> Answer:
    """Look for Podman, and for its socket."""
    program = shutil.which("podman")
    if program is None:
        return ok("not installed, nor needed where Docker answers")
    version = ask([program, "--version"]).text.removeprefix("podman version ")
    socket = next((each for each in _podman_sockets() if each.is_socket() and os.access(each, os.W_OK)), None)
    if socket is None:
        return warning(
            f"{version} is installed, but its service does not run, so Standpipe cannot use it",
            START_PODMAN,
        )
    if os.environ.get("DOCKER_HOST", "").removeprefix("unix://") == str(socket):
        return ok(f"{version}; DOCKER_HOST selects it")
    return ok(f"{version}; to use it: export DOCKER_HOST=unix://{socket}")


def _podman_sockets() -> Iterator[Path]:
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime:
        yield Path(runtime, "podman", "podman.sock")
    yield Path("/run/podman/podman.sock")


def _name(version: Mapping[str, Any]) -> str:
    components = [each.get("Name", "") for each in version.get("Components") or ()]
    kind = "Podman" if any("Podman" in name for name in components) else "Docker"
    return f"{kind} {version.get('Version', '')} ({version.get('Os', '')}/{version.get('Arch', '')})"


def judge(version: Mapping[str, Any], info: Mapping[str, Any]) -> Answer:
    """Return the answer for an engine that works, from what it says of itself; what it cannot do is a warning."""
    traits = EngineTraits.of(info)
    rootless = ", rootless" if traits.rootless else ""
    address = os.environ.get("DOCKER_HOST") or "its default socket"
    limits = (("MemoryLimit", "memory"), ("CpuCfsQuota", "CPU"))
    missing = [text for key, text in limits if info.get(key) is False or traits.ignores_limits]
    detail = f"{_name(version)}{rootless} answers at {address}"
    if missing:
        return warning(
            f"{detail}, but cannot limit the {' and '.join(missing)} of containers",
            "Delegate controllers of cgroups, version 2, to the user of the engine: "
            "https://rootlesscontaine.rs/getting-started/common/cgroup2/",
        )
    return ok(detail)
