"""Which values are secret in a run: those of variables that the user names, and all secrets for Kubernetes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence

from standpipe.model.plan import Container, Plan
from standpipe.support.redaction import SHORTEST, Redactor, can_mask


def redactor_for(
    names: Sequence[str],
    plan: Plan,
    variables: Mapping[str, str],
    provided: Mapping[str, bytes],
    notice: Callable[[str], None],
) -> Redactor:
    """What takes the secrets of one run out of all that it leaves and shows.

    Args:
        names: the variables whose values are secret: of this process, and of tasks.
        plan: what runs; its tasks may have variables.
        variables: those that the runner gives to all tasks.
        provided: other secrets, by what messages call them.
        notice: told of names that no variable has, and of values that are too short.
    """
    named = {name: [*_values_of(name, plan, variables)] for name in names}
    for name, found in named.items():
        if not found:
            notice(f"secrets: there is no variable {name!r}, neither in this process nor in a task.")
    values: dict[str, Sequence[str | bytes]] = {
        **{f"the variable {name!r}": found for name, found in named.items()},
        **{what: [value] for what, value in provided.items()},
    }
    short = [what for what, found in values.items() if not all(map(can_mask, found))]
    if short:
        notice(
            f"secrets: {', '.join(short)}: shorter than {SHORTEST} characters, which stand in many other texts, "
            "so not masked."
        )
    return Redactor(value for found in values.values() for value in found)


def _values_of(name: str, plan: Plan, variables: Mapping[str, str]) -> Iterator[str]:
    containers = (executor for executor in plan.executors.values() if isinstance(executor, Container))
    for env in (os.environ, variables, *(container.env for container in containers)):
        if name in env:
            yield env[name]
