"""The users that the containers of a pod run as, and what the Pod Security Standard *restricted* asks of them.

The standard: https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

#: What *restricted* asks of each container, besides a user that is not root.
_RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


class SecurityContexts(NamedTuple):
    """The security contexts of a pod, of our containers in it and of that of the task, as JSON; empty for none.

    `has_user` is whether our containers and that of the task run as a known user, the same, which is not root.
    """

    pod: Mapping[str, Any]
    agent: Mapping[str, Any]
    main: Mapping[str, Any]
    has_user: bool


def make_security_contexts(author: Mapping[str, Any], run_as_user: int | None) -> SecurityContexts:
    """Return the security contexts of a pod.

    Our containers run as the user of the task: it reads what `fetch` has written, and `store` what it has written,
    whatever the permissions are. Without a known user nothing is asked of any container: the image may need root.

    Args:
        author: the security context that the author of the task has set, which wins.
        run_as_user: the id of the user of all containers; None for those of their images.
    """
    user = author.get("runAsUser", run_as_user)
    if not user:
        return SecurityContexts({}, {}, author, has_user=False)
    restricted = {**_RESTRICTED, "runAsNonRoot": True, "runAsUser": user}
    group = {"runAsGroup": author["runAsGroup"]} if "runAsGroup" in author else {}
    pod: dict[str, Any] = {}
    if run_as_user:
        # The user of init containers and sidecars, and the group that can write to new PVCs, which belong to root.
        pod = {
            "runAsNonRoot": True,
            "runAsUser": run_as_user,
            "fsGroup": run_as_user,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": _RESTRICTED["seccompProfile"],
        }
    return SecurityContexts(pod, {**restricted, **group}, {**restricted, **author}, has_user=True)
