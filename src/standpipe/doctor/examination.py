"""All checks, and their execution side by side, in a time that is bounded."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from standpipe.doctor import engines, environments, folders, machine, python, surface
from standpipe.doctor.answers import Answer, Status, Surroundings, warning

Check = Callable[[Surroundings], Answer]

#: The checks by name, in the order in which they are shown. What the default runner needs comes first.
CHECKS: Mapping[str, Check] = {
    "python": python.check_python,
    "uv": python.check_uv,
    "environment": python.check_environment,
    "package index": python.check_index,
    "pipeline root": folders.check_root,
    "cache folder": folders.check_cache,
    "temporary folder": folders.check_temporary,
    "locks": folders.check_locks,
    "clock": folders.check_clock,
    "capacity": machine.check_capacity,
    "limits": machine.check_limits,
    "gpu": machine.check_gpu,
    "docker": engines.check_engine,
    "podman": engines.check_podman,
    "pythons": python.check_pythons,
    "environments": environments.check_environments,
    "kfp": python.check_kfp,
    "web ui": surface.check_port,
    "terminal": surface.check_terminal,
}

#: The seconds after which the answers of checks are not waited for any longer. Each has shorter limits of its own,
#: which do not hold where the system does not answer, as for a network file system whose server is down.
PATIENCE = 8.0


class Result(NamedTuple):
    """The answer of a check, with its name."""

    name: str
    status: Status
    detail: str
    fix: str


def examine(
    surroundings: Surroundings, checks: Mapping[str, Check] = CHECKS, patience: float = PATIENCE
) -> list[Result]:
    """Execute all checks side by side, and return their results in the order of the checks.

    Args:
        surroundings: the folders that they are about.
        checks: the checks by name.
        patience: the seconds after which no answer is waited for.
    """
    answers: dict[str, Answer] = {}
    threads = []
    for name, check in checks.items():
        # A daemon, as nothing ends a thread that waits for a file system.
        thread = threading.Thread(target=_answer, args=(answers, name, check, surroundings), daemon=True)
        thread.start()
        threads.append(thread)
    end = time.monotonic() + patience
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    late = warning(f"no answer within {patience:g} s", "Check the file systems and the network of this machine.")
    return [Result(name, *answers.get(name, late)) for name in checks]


def _answer(answers: dict[str, Answer], name: str, check: Check, surroundings: Surroundings) -> None:
    try:
        answers[name] = check(surroundings)
    except Exception as error:  # noqa: BLE001 - one check that fails does not hide the others
        answers[name] = warning(
            f"cannot be checked: {type(error).__name__}: {error}", "If it persists, please report it."
        )
