"""Fields of a pod, which variables may be set from (`use_field_path_as_env`), as they are on this machine."""

from __future__ import annotations

import re
import socket
import uuid
from collections.abc import Mapping

from standpipe.kubernetes.settings import SettingError
from standpipe.model.layout import task_segments
from standpipe.model.refs import RunInfo, TaskRef

_NAMESPACE = "default"
_ENTRY = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")


class PodFields:
    """The fields of one attempt's pod, had there been one.

    Args:
        run: the run.
        task: the task.
        attempt: the number of the attempt, from 0.
        labels: what the author has set as labels.
        annotations: what the author has set as annotations.
    """

    def __init__(
        self, run: RunInfo, task: TaskRef, attempt: int, labels: Mapping[str, str], annotations: Mapping[str, str]
    ) -> None:
        pod = "-".join((run.id, *task_segments(task), *([str(attempt)] if attempt else [])))
        self._entries = {
            "labels": {"pipeline/runid": run.uuid, "workflows.argoproj.io/workflow": run.id, **labels},
            "annotations": {"pipelines.kubeflow.org/run_name": run.name, **annotations},
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
        """The text of a field. A label or annotation that is not set is empty, as on a cluster.

        Raises:
            SettingError: if Kubernetes has no such field for variables.
        """
        if entry := _ENTRY.fullmatch(path):
            return self._entries[entry[1]].get(entry[2], "")
        if path not in self._fields:
            known = ", ".join((*self._fields, "metadata.labels['<key>']", "metadata.annotations['<key>']"))
            raise SettingError(f"a pod has no field {path!r} for a variable: there are {known}")
        return self._fields[path]
