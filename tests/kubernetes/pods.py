"""One pod on the test kubelet: its containers in their order, and what the API says about it meanwhile."""

from __future__ import annotations

import pwd
import shutil
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.kubernetes.containers import Container, ContainerLog, ContainerSettings
from tests.kubernetes.quantities import parse
from tests.kubernetes.storage import ApiError, Object, now
from tests.kubernetes.volumes import NotReadyYet, Volumes, expand

if TYPE_CHECKING:
    from tests.kubernetes.kubelet import Kubelet


@dataclass(frozen=True)
class Image:
    """An image that nodes can pull. `path` are the folders of programs that it has first; `secret` is what it needs."""

    path: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    secret: str = ""


class Stopped(Exception):
    """The pod is to end, or has been deleted."""


class PodWorker(threading.Thread):
    """Runs a pod to its end.

    Args:
        kubelet: the node.
        pod: the pod, as the API has it.
        folder: a new folder.
    """

    def __init__(self, kubelet: Kubelet, pod: Object, folder: Path) -> None:
        super().__init__(daemon=True, name=f"pod {pod['metadata']['name']}")
        self.pod = pod
        self.logs: dict[str, ContainerLog] = {}
        self.containers: dict[str, Container] = {}
        self._kubelet = kubelet
        self._spec: Object = pod["spec"]
        self._folder = folder
        self._volumes = Volumes(kubelet.client, pod, folder / "volumes", kubelet.shared)
        self._stopping = threading.Event()
        self._deleted = self._lost = False
        self._grace = 0.0
        self._end: Object = {}
        self._status: Object = {"phase": "Pending", "hostIP": kubelet.address, "podIP": kubelet.address}
        self._states = {each["name"]: self._first_state(each) for _, each in self._all()}
        self._lock = threading.RLock()

    def stop(self, grace: float, *, deleted: bool = True, **end: object) -> None:
        """End the pod; `end` are fields of its status, such as its reason. With `deleted` it is removed in the end."""
        self._grace, self._deleted = grace, deleted or self._deleted
        self._end.update(end)
        if end:  # a kubelet says why before it kills
            with suppress(Stopped):
                self._status.update({key: value for key, value in end.items() if key != "conditions"}, phase="Failed")
                self._publish()
        self._stopping.set()
        for container in list(self.containers.values()):
            threading.Thread(target=container.stop, args=(grace,), daemon=True).start()

    def lose(self) -> None:
        """Kill all containers, and say nothing about it."""
        self._lost = True
        self._stopping.set()
        for container in list(self.containers.values()):
            container.stop(0)

    def run(self) -> None:
        with suppress(Stopped):
            self._run()
        with suppress(Stopped):
            self._finish()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self) -> None:
        self._status["startTime"] = now()
        self._publish()
        if deadline := self._spec.get("activeDeadlineSeconds"):
            threading.Thread(target=self._end_at, args=(deadline,), daemon=True).start()
        self._until_ready(self._volumes.make, "")
        for container in self._spec.get("initContainers") or ():
            self._run_init(container)
        self._status["phase"] = "Running"
        for container in self._spec["containers"]:
            self._start(container)
        self._publish()
        for container in self._spec["containers"]:
            self._wait(container)

    def _run_init(self, container: Object) -> None:
        if container.get("restartPolicy") == "Always":
            self._start(container)
            threading.Thread(target=self._keep_running, args=(container,), daemon=True).start()
            return
        while True:
            self._start(container)
            if self._wait(container) == 0:
                return
            if self._spec.get("restartPolicy") == "Never" or self._stopping.is_set():
                raise Stopped
            self._pause()

    def _keep_running(self, container: Object) -> None:
        """Start a sidecar again whenever it ends, as long as the pod runs."""
        with suppress(Stopped):
            while True:
                self._wait(container)
                self._pause()
                self._start(container)

    def _pause(self) -> None:
        if self._stopping.wait(self._kubelet.backoff):
            raise Stopped

    def _end_at(self, seconds: float) -> None:
        if not self._stopping.wait(seconds) and self.is_alive():
            message = "Pod was active on the node longer than the specified deadline"
            self.stop(1, deleted=False, phase="Failed", reason="DeadlineExceeded", message=message)

    # --- one container ------------------------------------------------------------------------------------------------

    def _start(self, container: Object) -> None:
        name = container["name"]
        image = self._pull(container)
        settings: list[ContainerSettings] = []
        self._until_ready(lambda: settings.append(self._settings(container, image)), name)
        state = self._states[name]
        folder = self._folder / f"{name}-{state['restartCount']}-{time.monotonic_ns()}"
        self.logs[name] = ContainerLog()
        with self._lock:
            if self._stopping.is_set():
                raise Stopped
            self.containers[name] = Container(settings[0], folder, self.logs[name])
        if "terminated" in state["state"]:
            state.update(lastState=state["state"], restartCount=state["restartCount"] + 1)
        state.update(state={"running": {"startedAt": now()}}, started=True, ready=True)
        self._publish()

    def _settings(self, container: Object, image: Image) -> ContainerSettings:
        node = {"address": self._kubelet.address}
        path = ":".join((*image.path, "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"))
        security = {**(self._spec.get("securityContext") or {}), **(container.get("securityContext") or {})}
        user = security.get("runAsUser")
        env = {"PATH": path, "HOSTNAME": self.pod["metadata"]["name"], "HOME": _find_home(user or 0), **image.env}
        env.update(self._volumes.variables(container, node))
        command = container.get("command") or image.entrypoint
        args = container.get("args") or (() if container.get("command") else image.command)
        if not [*command, *args]:
            raise NotReadyYet("CreateContainerError", "no command specified")
        if security.get("runAsNonRoot") and not user:
            raise NotReadyYet("CreateContainerConfigError", "container has runAsNonRoot and image will run as root")
        limits = (container.get("resources") or {}).get("limits") or {}
        return ContainerSettings(
            tuple(expand(part, env) for part in (*command, *args)),
            env,
            tuple(self._volumes.binds(container)),
            self._kubelet.hidden,
            container.get("workingDir", ""),
            user,
            security.get("runAsGroup"),
            tuple(filter(None, [security.get("fsGroup")])),
            "ALL" in ((security.get("capabilities") or {}).get("drop") or ()),
            security.get("allowPrivilegeEscalation") is False,
            int(parse(limits.get("memory", 0))),
            container.get("terminationMessagePath", "/dev/termination-log"),
        )

    def _pull(self, container: Object) -> Image:
        """Return the image of a container, and wait as long as there is none."""
        name, reference = container["name"], container["image"]
        attempt = 0
        while True:
            image = self._kubelet.images.get(reference)
            secrets = [each["name"] for each in self._spec.get("imagePullSecrets") or ()]
            if image and (not image.secret or image.secret in secrets):
                return image
            problem = "not found" if image is None else "pull access denied, repository may require authorization"
            message = f'failed to pull and unpack image "{reference}": failed to resolve reference: {problem}'
            reason = "ErrImagePull" if attempt % 2 == 0 else "ImagePullBackOff"
            if container.get("imagePullPolicy") == "Never":
                reason, message = "ErrImageNeverPull", f"Container image {reference!r} is not present"
            self._kubelet.event(self.pod, "Failed", f"Failed to pull image {reference!r}: {problem}", "Warning")
            self._wait_because(name, reason, message)
            attempt += 1

    def _wait(self, container: Object) -> int:
        """Wait for the end of a container, record it, and return its exit code."""
        running = self.containers[container["name"]]
        code = running.wait()
        reason = "OOMKilled" if running.out_of_memory else "Completed" if code == 0 else "Error"
        terminated = {
            "exitCode": code,
            "reason": reason,
            "startedAt": self._states[container["name"]]["state"].get("running", {}).get("startedAt", now()),
            "finishedAt": now(),
            "containerID": f"containerd://{running.folder.name}",
        }
        message = running.message
        if not message and code and container.get("terminationMessagePolicy") == "FallbackToLogsOnError":
            message = b"".join(running.log.read(follow=False, tail=80)).decode(errors="replace")[-2048:]
        if message:
            terminated["message"] = message
        self._states[container["name"]].update(state={"terminated": terminated}, started=False, ready=False)
        self._publish()
        return code

    def _until_ready(self, step: object, container: str) -> None:
        """Repeat a step until what it needs is there."""
        assert callable(step)
        while True:
            try:
                step()
                return
            except NotReadyYet as error:
                if error.reason == "FailedMount":
                    self._kubelet.event(self.pod, error.reason, str(error), "Warning")
                self._wait_because(container, error.reason, str(error))

    def _wait_because(self, container: str, reason: str, message: str) -> None:
        if container and reason != "FailedMount":
            self._states[container]["state"] = {"waiting": {"reason": reason, "message": message}}
            self._publish()
        self._pause()

    # --- the status ---------------------------------------------------------------------------------------------------

    def _all(self) -> list[tuple[str, Object]]:
        inits = [("initContainerStatuses", each) for each in self._spec.get("initContainers") or ()]
        return [*inits, *(("containerStatuses", each) for each in self._spec["containers"])]

    def _first_state(self, container: Object) -> Object:
        reason = "PodInitializing" if self._spec.get("initContainers") else "ContainerCreating"
        return {
            "name": container["name"],
            "image": container["image"],
            "imageID": "",
            "restartCount": 0,
            "ready": False,
            "started": False,
            "lastState": {},
            "state": {"waiting": {"reason": reason}},
        }

    def _publish(self) -> None:
        if self._lost:
            raise Stopped
        with self._lock:
            for part in ("initContainerStatuses", "containerStatuses"):
                self._status[part] = [self._states[each["name"]] for kind, each in self._all() if kind == part]
            initialized = self._status["phase"] != "Pending"
            ready = initialized and all(each["ready"] for each in self._status["containerStatuses"])
            conditions = {"Initialized": initialized, "Ready": ready, "ContainersReady": ready, "PodScheduled": True}
            added = self._end.get("conditions", [])
            self._status["conditions"] = [
                *(
                    {"type": type_, "status": str(value), "lastTransitionTime": now()}
                    for type_, value in conditions.items()
                ),
                *(added if isinstance(added, list) else []),
            ]
            metadata = self.pod["metadata"]
            with suppress(ApiError):
                self._kubelet.client.patch_status("pods", metadata["namespace"], metadata["name"], self._status)

    def _finish(self) -> None:
        """End what still runs, and write the last status."""
        self._stopping.set()
        for container in list(self.containers.values()):
            container.stop(self._grace or 1)
        for kind, each in self._all():
            name = each["name"]
            if name in self.containers and "running" in self._states[name]["state"]:
                self._wait(each)
            elif kind == "containerStatuses" and name not in self.containers and self._deleted:
                self._states[name]["state"] = {
                    "terminated": {"exitCode": 137, "reason": "ContainerStatusUnknown", "message": "never started"}
                }
        self._status["phase"] = "Succeeded" if self._succeeded() else "Failed"
        self._status.update({key: value for key, value in self._end.items() if key != "conditions"})
        self._publish()
        metadata = self.pod["metadata"]
        if self._deleted:
            with suppress(ApiError):
                self._kubelet.client.delete("pods", metadata["namespace"], metadata["name"], uid=metadata["uid"])

    def _succeeded(self) -> bool:
        states = [self._states[each["name"]]["state"] for kind, each in self._all() if kind == "containerStatuses"]
        return all(state.get("terminated", {}).get("exitCode") == 0 for state in states)


def _find_home(user: int) -> str:
    """Return the home of a user as container engines find it in the image, which has the users of this machine."""
    try:
        return pwd.getpwuid(user).pw_dir
    except KeyError:
        return "/"
