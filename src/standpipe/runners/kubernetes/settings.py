"""What a user chooses of the pods of tasks."""

from __future__ import annotations

import platform
from typing import NamedTuple

#: The image of the containers that move artifacts, unless the user names one.
DEFAULT_AGENT_IMAGE = f"python:{'.'.join(platform.python_version_tuple()[:2])}-slim"

#: The folders of that image that only root can enter, of those that hold files of users.
CLOSED_FOLDERS = ("/root",)


class AgentSettings(NamedTuple):
    """The options of a `KubernetesRunner` about pods.

    `service_account` is the account of the pods, empty for that of the namespace. `store_secret` is the Secret whose
    keys become variables of the containers that move artifacts; empty for none. `image` is their image. `run_as_user`
    is the id of the user of all containers, never that of root; None for those of their images.
    """

    service_account: str = ""
    store_secret: str = ""
    image: str = DEFAULT_AGENT_IMAGE
    run_as_user: int | None = None


#: What a user gets who chooses nothing.
DEFAULTS = AgentSettings()
