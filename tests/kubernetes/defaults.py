"""What the API server adds to objects that it stores."""

from __future__ import annotations

import base64
import random
import uuid

from tests.kubernetes.storage import Object, now

_LETTERS = "bcdfghjklmnpqrstvwxz2456789"

#: As an admission plugin of each cluster adds them: for 300 seconds, a pod stays on a node that cannot be reached.
_TOLERATIONS = [
    {"key": f"node.kubernetes.io/{reason}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
    for reason in ("not-ready", "unreachable")
]


def random_suffix() -> str:
    """Return the end of a generated name."""
    return "".join(random.choices(_LETTERS, k=5))


def name_object(obj: Object) -> None:
    """Give an object the name that it asks for with `generateName`."""
    metadata = obj.setdefault("metadata", {})
    if not metadata.get("name") and metadata.get("generateName"):
        metadata["name"] = metadata["generateName"] + random_suffix()


def apply_defaults(obj: Object) -> None:
    """Add the defaults of a new object, and drop what its author cannot set."""
    kind = obj["kind"]
    if kind in ("Pod", "Job"):
        obj.pop("status", None)
    if kind == "Pod":
        _pod(obj["spec"])
        obj["spec"].setdefault("serviceAccountName", "default")
        obj["spec"]["tolerations"] = [*(obj["spec"].get("tolerations") or ()), *_TOLERATIONS]
        obj["status"] = {"phase": "Pending", "qosClass": "Burstable"}
    elif kind == "Job":
        _job(obj)
    elif kind == "Secret":
        texts = obj.pop("stringData", {})
        encoded = {key: base64.b64encode(text.encode()).decode() for key, text in texts.items()}
        obj["data"] = {**(obj.get("data") or {}), **encoded}
        obj.setdefault("type", "Opaque")
    elif kind == "PersistentVolumeClaim":
        obj["metadata"].setdefault("finalizers", []).append("kubernetes.io/pvc-protection")
        obj["spec"].setdefault("volumeMode", "Filesystem")
        obj["status"] = {"phase": "Pending"}


def _job(job: Object) -> None:
    spec, uid = job["spec"], str(uuid.uuid4())
    for field, value in {"parallelism": 1, "completions": 1, "backoffLimit": 6, "suspend": False}.items():
        spec.setdefault(field, value)
    spec.setdefault("completionMode", "NonIndexed")
    spec.setdefault("podReplacementPolicy", "Failed" if spec.get("podFailurePolicy") else "TerminatingOrFailed")
    labels = {f"{prefix}controller-uid": uid for prefix in ("", "batch.kubernetes.io/")}
    labels |= {f"{prefix}job-name": job["metadata"]["name"] for prefix in ("", "batch.kubernetes.io/")}
    template = spec["template"].setdefault("metadata", {})
    template["labels"] = {**(template.get("labels") or {}), **labels}
    spec["selector"] = {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}
    _pod(spec["template"]["spec"])
    job["status"] = {}


def _pod(spec: Object) -> None:
    fields = {"restartPolicy": "Always", "terminationGracePeriodSeconds": 30, "dnsPolicy": "ClusterFirst"}
    for field, value in {**fields, "schedulerName": "default-scheduler", "securityContext": {}}.items():
        spec.setdefault(field, value)
    for container in (*(spec.get("initContainers") or ()), *spec["containers"]):
        tag = container["image"].rpartition("/")[2].partition(":")[2]
        pinned = "@" in container["image"] or tag not in ("", "latest")
        container.setdefault("imagePullPolicy", "IfNotPresent" if pinned else "Always")
        container.setdefault("terminationMessagePath", "/dev/termination-log")
        container.setdefault("terminationMessagePolicy", "File")
        container.setdefault("resources", {})


def pod_of_job(job: Object) -> Object:
    """Return the pod that a Job's controller creates."""
    template, name = job["spec"]["template"], f"{job['metadata']['name']}-{random_suffix()}"
    metadata = {key: template["metadata"][key] for key in ("labels", "annotations") if template["metadata"].get(key)}
    owner = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "name": job["metadata"]["name"],
        "uid": job["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            **metadata,
            "name": name,
            "ownerReferences": [owner],
            "finalizers": ["batch.kubernetes.io/job-tracking"],
        },
        "spec": template["spec"],
    }


def job_event(job: Object, reason: str, message: str) -> Object:
    """Return a warning of the Job's controller."""
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {},
        "involvedObject": {"kind": "Job", **{key: job["metadata"][key] for key in ("name", "namespace", "uid")}},
        "reason": reason,
        "message": message,
        "type": "Warning",
        "firstTimestamp": now(),
        "lastTimestamp": now(),
        "count": 1,
        "source": {"component": "job-controller"},
    }


def condition(type_: str, reason: str, message: str = "", status: str = "True") -> Object:
    """Return a condition of a status."""
    return {"type": type_, "status": status, "reason": reason, "message": message, "lastTransitionTime": now()}
