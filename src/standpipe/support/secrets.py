"""The secret values of a run: those of the variables that the user names, and all secrets for Kubernetes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence

from standpipe.model.plan import Container, Plan
from standpipe.support.redaction import MIN_LENGTH, Redactor, is_redactable


def make_redactor(
    names: Sequence[str],
    plan: Plan,
    variables: Mapping[str, str],
    provided: Mapping[str, bytes],
    warn: Callable[[str], None],
) -> Redactor:
    """Return the redactor for the secrets of one run.

    Args:
        names: the names of variables, of this process or of tasks, whose values are secret.
        plan: the Plan of the run; its tasks may have variables.
        variables: the variables that the runner sets for all tasks.
        provided: other secrets, by the descriptions that messages have for them.
        warn: called with a text for names that no variable has, and for values that are too short.
    """
    named = {name: [*_find_values(name, plan, variables)] for name in names}
    for name, values in named.items():
        if not values:
            warn(
                f"Secret variable {name!r} not found: neither this process nor a task has it. Correct the name in "
                "secret_env."
            )
    secrets: dict[str, Sequence[str | bytes]] = {
        **{f"variable {name!r}": values for name, values in named.items()},
        **{description: [value] for description, value in provided.items()},
    }
    short = [description for description, values in secrets.items() if not all(map(is_redactable, values))]
    if short:
        warn(
            f"Secrets are not redacted if they are shorter than {MIN_LENGTH} characters, because many other texts "
            f"contain these: {', '.join(short)}. Use longer values."
        )
    return Redactor(value for values in secrets.values() for value in values)


def _find_values(name: str, plan: Plan, variables: Mapping[str, str]) -> Iterator[str]:
    containers = (executor for executor in plan.executors.values() if isinstance(executor, Container))
    for env in (os.environ, variables, *(container.env for container in containers)):
        if name in env:
            yield env[name]
