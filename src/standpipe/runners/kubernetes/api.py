"""The runner in pods of a Kubernetes cluster, as users choose it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import finalize

from standpipe.errors import ArgumentError, UnsupportedError
from standpipe.runners.api import LocalRunner

if TYPE_CHECKING:
    from collections.abc import Iterable

    from standpipe.model.plan import Container, Plan
    from standpipe.model.ports import Problem, Runner


class KubernetesRunner(LocalRunner):
    """Runs every kind of component in pods of a Kubernetes cluster, with artifacts in an object store.

    Args:
        namespace: the namespace of the pods; by default, that of the context.
        context: the context of the kubeconfig, which is that of `KUBECONFIG` or `~/.kube/config`; by default, the
            current one. In a pod, the account of the pod.
        service_account: the service account of the pods; by default, that of the namespace.
        store_secret: the name of a Secret whose keys are variables with credentials to the object store, such as
            `AWS_ACCESS_KEY_ID`. The containers that move artifacts get them, and tasks do not.
        agent_image: the image of these containers, with Python 3.10 or newer. They install the package obstore unless
            it has it. By default, `python` in the version of this program.
        run_as_user: the id of the user that all containers run as, and of the group that can write to their volumes.
            The pods then satisfy the Pod Security Standard *restricted*. By default, containers run as the users of
            their images. `kubernetes.set_security_context` of a task wins.

    Raises:
        ArgumentError: if `run_as_user` is not the id of a user, or that of root.
    """

    needs_object_store = True
    runs_pods = True
    can_pause = False
    text_options = ("namespace", "context", "service_account", "store_secret", "agent_image", "run_as_user")

    def __init__(
        self,
        namespace: str | None = None,
        context: str | None = None,
        *,
        service_account: str = "",
        store_secret: str = "",
        agent_image: str = "",
        run_as_user: int | str | None = None,
    ) -> None:
        self.namespace = namespace
        self.context = context
        self.service_account = service_account
        self.store_secret = store_secret
        self.agent_image = agent_image
        self.run_as_user = None if run_as_user is None else _read_user(run_as_user)

    def __repr__(self) -> str:
        options = {name: value for name, value in vars(self).items() if value and not name.startswith("_")}
        return f"KubernetesRunner({', '.join(f'{name}={value!r}' for name, value in options.items())})"

    @property
    def mount_points(self) -> tuple[str, ...]:
        """The path of the worker: a pod sees nothing of this machine."""
        # costly to import, and of use to this runner only
        from standpipe.runners.kubernetes.pods import AGENT_FOLDER

        return (AGENT_FOLDER,)

    def check_plan(self, plan: Plan) -> None:
        """Refuse imports into the workspace: that is a PVC, which this machine does not see.

        Raises:
            UnsupportedError: if an importer is to copy there.
        """
        # imported here, as `import standpipe` does without the model
        from standpipe.model.plan import Importer

        for executor in plan.executors.values():
            if isinstance(executor, Importer) and executor.download_to_workspace:
                raise UnsupportedError(
                    f"Pipeline {plan.name!r} has an importer with download_to_workspace, and the KubernetesRunner "
                    "cannot copy to its workspace, which is a PVC of the cluster. Remove download_to_workspace: tasks "
                    "get the artifact as an input."
                )

    def find_user_problems(self, executor: Container, user: int | None, root: Path) -> Iterable[Problem]:
        """Yield a problem if the containers that move artifacts cannot enter a folder above the folder of runs.

        Only the default image of these containers is known well enough to say so.
        """
        # imported here, as `import standpipe` does without the model
        from standpipe.model.ports import Problem
        from standpipe.runners.kubernetes.settings import CLOSED_FOLDERS, DEFAULT_AGENT_IMAGE

        user = self.run_as_user if user is None else user
        closed = next((folder for folder in CLOSED_FOLDERS if Path(folder) in root.parents), "")
        if closed and user and self.agent_image in ("", DEFAULT_AGENT_IMAGE):
            yield Problem(
                f"its pod runs as user {user}, and only root can enter the folder {closed} of its containers, in which "
                f"state_root is ({root})",
                "Set state_root to a folder that every user can enter, such as one below /tmp: "
                "local.init(state_root=...), or --state-root.",
            )

    def check_debug(self) -> None:
        """Refuse to debug tasks: a pod has no terminal.

        Raises:
            UnsupportedError: always.
        """
        raise UnsupportedError(
            "The KubernetesRunner cannot run a task under a debugger: pods have no terminal. To debug it on this "
            "machine, add --runner subprocess, or pass runner=local.SubprocessRunner()."
        )

    def open(self) -> Runner:
        """Make the runner that executes attempts. It connects to the cluster when the first task comes.

        Raises:
            RunnerError: if lightkube is not installed.
        """
        # costly to import, and of use to this runner only
        from standpipe.runners.kubernetes.installation import check_installed

        check_installed()
        from standpipe.runners.kubernetes.runner import PodTaskRunner
        from standpipe.runners.kubernetes.settings import DEFAULT_AGENT_IMAGE, AgentSettings

        image = self.agent_image or DEFAULT_AGENT_IMAGE
        settings = AgentSettings(self.service_account, self.store_secret, image, self.run_as_user)
        runner = PodTaskRunner(self.namespace, self.context, settings)
        finalize(self, runner.close)  # also at the end of the program
        return runner

    def workspace_path(self, workspace: Path) -> str:
        """Return KFP's path of the workspace."""
        return "/kfp-workspace"


def _read_user(user: int | str) -> int:
    """Return the id of a user.

    Raises:
        ArgumentError: if it is not one that Kubernetes takes, or that of root.
    """
    text = str(user)
    if isinstance(user, bool) or not re.fullmatch(r"[0-9]{1,10}", text) or not 0 < int(text) < 2**31:
        raise ArgumentError(
            f"Invalid run_as_user {user!r}: expected the id of a user that is not root, a number from 1 to {2**31 - 1}."
        )
    return int(text)
