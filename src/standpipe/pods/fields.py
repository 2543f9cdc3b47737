"""Fields of a pod on this machine, for environment variables (`use_field_path_as_env`)."""

from __future__ import annotations

import re
import socket
import uuid
from collections.abc import Mapping

from standpipe.model.layout import task_segments
from standpipe.model.refs import RunInfo, TaskRef
from standpipe.pods.settings import SettingError

_NAMESPACE = "default"
_ENTRY = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")


class PodFields:
    """The fields that the pod of an attempt would have on a cluster.

    Args:
        run: the run.
        task: the task.
        attempt: the number of the attempt, from 0.
        labels: the labels that the author has set.
        annotations: the annotations that the author has set.
    """

    def __init__(
        self, run: RunInfo, task: TaskRef, attempt: int, labels: Mapping[str, str], annotations: Mapping[str, str]
    ) -> None:
        pod = "-".join((run.id, *task_segments(task), *([str(attempt)] if attempt else [])))
        self._entries = {
            "labels": {"pipeline/runid": run.uuid, "workflows.argoproj.io/workflow": run.id, **labels},
            "annotations": {"pipelines.kubeflow.org/run_name": run.id, **annotations},
        }
        address = "127.0.0.1"
        self._fields = {
            "metadata.name": re.sub(r"[^a-z0-9]+", "-", pod.lower()).strip("-")[-253:].strip("-"),
            "metadata.namespace": _NAMESPACE,
            "metadata.uid": str(uuid.uuid5(uuid.UUID(run.uuid), f"{task} {attempt}")),
            "spec.nodeName": socket.gethostname(),
            "spec.serviceAccountName": "pipeline-runner",
            **dict.fromkeys(("status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"), address),
        }

    def value(self, path: str) -> str:
        """Return the value of a field. A label or annotation that is not set is empty, as on a cluster.

        Raises:
            SettingError: if Kubernetes does not provide this field for environment variables.
        """
        if entry := _ENTRY.fullmatch(path):
            return self._entries[entry[1]].get(entry[2], "")
        if path not in self._fields:
            known = ", ".join((*self._fields, "metadata.labels['<key>']", "metadata.annotations['<key>']"))
            raise SettingError(f"unknown pod field {path!r} for an environment variable, expected one of {known}")
        return self._fields[path]
