"""The secret values of a run: those of the variables that the user names, and all secrets for Kubernetes.

The passwords in the URLs of packages and of their indexes are secret as well.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from urllib.parse import unquote

from standpipe.model.plan import Container, Plan, PythonFunction
from standpipe.model.redacted import RedactedText
from standpipe.support.redaction import MIN_LENGTH, Redactor, is_redactable

#: The user and the password in a URL, which may contain `@`.
_LOGIN = re.compile(r"https?://([^/\s]+)@")

#: The variables with the indexes of packages, for pip and uv.
_INDEX_VARIABLE = re.compile(r"(PIP|UV)_(DEFAULT_INDEX|INDEX|INDEX_URL|EXTRA_INDEX_URL|FIND_LINKS)")
_INDEX_PASSWORD = re.compile(r"UV_INDEX_\w+_PASSWORD")

#: A password that says that the user is the token.
_NO_PASSWORD = ("", "x-oauth-basic")


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
    short = [
        description
        for description, values in secrets.items()
        if not all(isinstance(value, RedactedText) or is_redactable(value) for value in values)  # a Plan has lost some
    ]
    if short:
        warn(
            f"Secrets are not redacted if they are shorter than {MIN_LENGTH} characters, because many other texts "
            f"contain these: {', '.join(short)}. Use longer values."
        )
    in_urls = _find_in_package_urls(plan, variables)
    return Redactor((*(value for values in secrets.values() for value in values), *in_urls))


def _find_values(name: str, plan: Plan, variables: Mapping[str, str]) -> Iterator[str]:
    containers = (executor for executor in plan.executors.values() if isinstance(executor, Container))
    for env in (os.environ, variables, *(container.env for container in containers)):
        if name in env:
            yield env[name]


def _find_in_package_urls(plan: Plan, variables: Mapping[str, str]) -> Iterator[str]:
    """Yield the passwords in the URLs of packages and indexes, and the values of the variables in them."""
    containers = [executor for executor in plan.executors.values() if isinstance(executor, Container)]
    functions = [each.program for each in containers if isinstance(each.program, PythonFunction)]
    urls = [url for function in functions for url in (*function.packages, *function.index_urls)]
    if not urls:
        return
    for env in (os.environ, variables, *(container.env for container in containers)):
        urls += (value for name, value in env.items() if _INDEX_VARIABLE.fullmatch(name))
        yield from (value for name, value in env.items() if _INDEX_PASSWORD.fullmatch(name))
    for login in (match[1] for url in urls for match in _LOGIN.finditer(url)):
        user, _, password = login.partition(":")
        for secret in (user, password) if password in _NO_PASSWORD else (password,):
            if names := re.findall(r"\$\{?(\w+)", secret):
                yield from (value for name in names for value in _find_values(name, plan, variables))
            elif secret not in _NO_PASSWORD:
                yield from (secret, unquote(secret))
