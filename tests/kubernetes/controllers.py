"""What runs beside the API server in a cluster: the scheduler, the controller of Jobs, volumes, garbage collection."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timezone
from functools import partial

from tests.kubernetes.defaults import apply_defaults, condition, job_event, pod_of_job
from tests.kubernetes.pod_security import admit
from tests.kubernetes.quantities import parse, requests
from tests.kubernetes.resources import RESOURCES
from tests.kubernetes.storage import FOREGROUND, ApiError, Key, Object, Storage, is_finished, now

_TRACKING = "batch.kubernetes.io/job-tracking"


class Controllers:
    """All of them, in one thread: after each change they look at everything. Tests have few objects."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._closed = False
        self._thread = threading.Thread(target=self._loop, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._closed = True
        self._thread.join()

    def _loop(self) -> None:
        seen = 0
        while not self._closed:
            with self._storage.changed:
                if self._storage.version == seen:
                    self._storage.changed.wait(0.2)
                seen = self._storage.version
            for step in (self._schedule, self._bind_claims, self._jobs, self._collect_garbage):
                with suppress(ApiError):  # an object has been deleted meanwhile; the next round sees it
                    step()

    # --- the scheduler ------------------------------------------------------------------------------------------------

    def _schedule(self) -> None:
        nodes = self._storage.find("nodes")
        pods = self._storage.find("pods")
        for pod in pods:
            if pod["spec"].get("nodeName") or is_finished(pod) or "deletionTimestamp" in pod["metadata"]:
                continue
            problems = {node["metadata"]["name"]: _misfit(pod, node, pods) for node in nodes}
            fitting = [name for name, problem in problems.items() if not problem]
            if fitting:
                least = min(fitting, key=lambda name: sum(p["spec"].get("nodeName") == name for p in pods))
                self._storage.update(_key("pods", pod), partial(_bind, least))
            else:
                self._report_unschedulable(pod, problems)

    def _report_unschedulable(self, pod: Object, problems: dict[str, str]) -> None:
        counts = Counter(problems.values())
        reasons = ", ".join(f"{count} {problem}" for problem, count in sorted(counts.items()))
        message = f"0/{len(problems)} nodes are available: {reasons}." if problems else "no nodes available"
        unscheduled = condition("PodScheduled", "Unschedulable", message, "False")

        def change(stored: Object) -> None:
            known = stored["status"].get("conditions", [])
            if not any(each["message"] == message for each in known):
                stored["status"]["conditions"] = [unscheduled]

        self._storage.update(_key("pods", pod), change)

    # --- volumes ------------------------------------------------------------------------------------------------------

    def _bind_claims(self) -> None:
        used = {
            (pod["metadata"]["namespace"], volume["persistentVolumeClaim"]["claimName"])
            for pod in self._storage.find("pods")
            if not is_finished(pod)
            for volume in pod["spec"].get("volumes") or ()
            if "persistentVolumeClaim" in volume
        }
        for claim in self._storage.find("persistentvolumeclaims"):
            metadata = claim["metadata"]
            if claim["status"]["phase"] == "Pending" and claim["spec"].get("storageClassName") != "missing":
                self._storage.update(_key("persistentvolumeclaims", claim), _bind_claim)
            if "deletionTimestamp" in metadata and (metadata["namespace"], metadata["name"]) not in used:
                self._storage.update(_key("persistentvolumeclaims", claim), _without("finalizers"))

    # --- Jobs ---------------------------------------------------------------------------------------------------------

    def _jobs(self) -> None:
        pods = self._storage.find("pods")
        for job in self._storage.find("jobs"):
            self._job(job, [pod for pod in pods if _owner(pod) == job["metadata"]["uid"]])
        jobs = self._storage.find("jobs")
        uids = {job["metadata"]["uid"] for job in jobs if "deletionTimestamp" not in job["metadata"]}
        for pod in pods:
            if _TRACKING in (pod["metadata"].get("finalizers") or ()) and _owner(pod) not in uids:
                self._untrack(pod)

    def _job(self, job: Object, pods: list[Object]) -> None:
        key, status = _key("jobs", job), job["status"]
        if _is_ended(job):
            self._delete_after_ttl(job)
        elif "deletionTimestamp" not in job["metadata"] and not job["spec"]["suspend"]:
            status.setdefault("startTime", now())
            counted = Counter({name: status.get(name, 0) for name in ("succeeded", "failed", "ignored")})
            active = [pod for pod in pods if not self._count(job, pod, counted)]
            status.update({name: counted[name] for name in ("succeeded", "failed")}, active=len(active))
            status["ignored"] = counted["ignored"]
            end = _end_of(job, counted, bool(active))
            if end:
                status.update(conditions=end, active=0)
                if end[-1]["type"] == "Complete":
                    status["completionTime"] = now()
                for pod in active:
                    self._storage.delete(_key("pods", pod))
            elif not active and counted["succeeded"] < job["spec"]["completions"]:
                self._create_pod(job)
            stored = {name: value for name, value in status.items() if name != "ignored" or value}
            self._storage.update(key, lambda obj: obj.update(status=stored))

    def _count(self, job: Object, pod: Object, counted: Counter[str]) -> bool:
        """Count a pod that has ended, once, and return whether it had."""
        metadata = pod["metadata"]
        if _TRACKING not in (metadata.get("finalizers") or ()):
            return True
        gone = "deletionTimestamp" in metadata and job["spec"]["podReplacementPolicy"] == "TerminatingOrFailed"
        if not is_finished(pod) and not gone:
            return False
        succeeded = pod["status"].get("phase") == "Succeeded"
        name = "succeeded" if succeeded else "ignored" if _action(job, pod) == "Ignore" else "failed"
        counted[name] += 1
        self._untrack(pod)
        return True

    def _untrack(self, pod: Object) -> None:
        def change(stored: Object) -> None:
            finalizers = [each for each in stored["metadata"].get("finalizers", []) if each != _TRACKING]
            stored["metadata"]["finalizers"] = finalizers

        self._storage.update(_key("pods", pod), change)

    def _create_pod(self, job: Object) -> None:
        namespace, pod = job["metadata"]["namespace"], pod_of_job(job)
        apply_defaults(pod)
        try:
            admit(self._storage, namespace, pod)
        except ApiError as error:
            self._report_refusal(job, f"Error creating: {error}")
            return
        self._storage.create(("pods", namespace, pod["metadata"]["name"]), pod)

    def _report_refusal(self, job: Object, message: str) -> None:
        """Record that a Job gets no pod, once; a real controller repeats that, and waits longer each time."""
        metadata = job["metadata"]
        event = job_event(job, "FailedCreate", message)
        with suppress(ApiError):  # it is there
            self._storage.create(("events", metadata["namespace"], f"{metadata['name']}.1"), event)

    def _delete_after_ttl(self, job: Object) -> None:
        ttl = job["spec"].get("ttlSecondsAfterFinished")
        end = datetime.fromisoformat(job["status"]["conditions"][-1]["lastTransitionTime"].replace("Z", "+00:00"))
        if ttl is not None and (datetime.now(timezone.utc) - end).total_seconds() >= ttl:
            self._storage.delete(_key("jobs", job), propagation="Background")

    # --- garbage ------------------------------------------------------------------------------------------------------

    def _collect_garbage(self) -> None:
        objects = [(plural, obj) for plural in RESOURCES for obj in self._storage.find(plural)]
        uids = {obj["metadata"]["uid"]: obj for _, obj in objects}
        names = {obj["metadata"]["name"] for plural, obj in objects if plural == "nodes"}
        for plural, obj in objects:
            metadata = obj["metadata"]
            owners = metadata.get("ownerReferences") or ()
            dependents = [each for each in objects if obj["metadata"]["uid"] in map(_uid, _owners(each[1]))]
            deleted = "deletionTimestamp" in metadata
            if owners and not any(owner["uid"] in uids for owner in owners) and not deleted:
                self._storage.delete(_key(plural, obj))
            elif deleted and FOREGROUND in metadata.get("finalizers", ()):
                for kind, each in dependents:
                    if "deletionTimestamp" not in each["metadata"]:
                        self._storage.delete(_key(kind, each))
                if not dependents:
                    self._storage.update(_key(plural, obj), lambda o: _without_finalizer(o, FOREGROUND))
            elif deleted and "orphan" in metadata.get("finalizers", ()):
                for kind, each in dependents:
                    self._storage.update(_key(kind, each), _without("ownerReferences"))
                self._storage.update(_key(plural, obj), lambda o: _without_finalizer(o, "orphan"))
            elif plural == "pods" and obj["spec"].get("nodeName") and obj["spec"]["nodeName"] not in names:
                self._collect_pod(obj)

    def _collect_pod(self, pod: Object) -> None:
        """Remove a pod whose node is not there any more, as the collector of pods does."""
        why = condition("DisruptionTarget", "DeletionByPodGC", "PodGC: node no longer exists")

        def change(stored: Object) -> None:
            if not is_finished(stored):
                stored["status"].update(phase="Failed")
                stored["status"]["conditions"] = [*stored["status"].get("conditions", []), why]

        self._storage.update(_key("pods", pod), change)
        self._storage.delete(_key("pods", pod), grace=0)


def _key(plural: str, obj: Object) -> Key:
    return plural, obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


def _owners(obj: Object) -> list[Object]:
    return obj["metadata"].get("ownerReferences") or []


def _uid(owner: Object) -> str:
    return str(owner["uid"])


def _owner(pod: Object) -> str:
    return next((owner["uid"] for owner in _owners(pod) if owner.get("controller")), "")


def _without(field: str) -> Callable[[Object], None]:
    def change(obj: Object) -> None:
        obj["metadata"].pop(field, None)

    return change


def _without_finalizer(obj: Object, name: str) -> None:
    obj["metadata"]["finalizers"] = [each for each in obj["metadata"]["finalizers"] if each != name]


def _bind(node: str, pod: Object) -> None:
    pod["spec"]["nodeName"] = node
    pod["status"]["conditions"] = [condition("PodScheduled", "", status="True")]


def _bind_claim(claim: Object) -> None:
    claim["spec"].setdefault("volumeName", f"pvc-{claim['metadata']['uid']}")
    storage = claim["spec"]["resources"]["requests"]["storage"]
    claim["status"] = {
        "phase": "Bound",
        "accessModes": claim["spec"]["accessModes"],
        "capacity": {"storage": storage},
    }


def _misfit(pod: Object, node: Object, pods: list[Object]) -> str:
    """Return why a pod does not fit on a node, in the words of the scheduler; empty if it does."""
    labels = {"kubernetes.io/hostname": node["metadata"]["name"], **(node["metadata"].get("labels") or {})}
    if any(labels.get(key) != value for key, value in (pod["spec"].get("nodeSelector") or {}).items()):
        return "node(s) didn't match Pod's node affinity/selector"
    for taint in node.get("spec", {}).get("taints") or ():
        if not any(_tolerates(each, taint) for each in pod["spec"].get("tolerations") or ()):
            return f"node(s) had untolerated taint(s) {{{taint['key']}: {taint.get('value', '')}}}"
    on_node = [p for p in pods if p["spec"].get("nodeName") == node["metadata"]["name"] and not is_finished(p)]
    used: Counter[str] = sum((requests(each["spec"]) for each in on_node), Counter())
    has = node.get("status", {}).get("allocatable") or {}
    for name, amount in requests(pod["spec"]).items():
        if used[name] + amount > parse(has.get(name, 0)):
            return f"Insufficient {name}"
    return ""


def _tolerates(toleration: Object, taint: Object) -> bool:
    if toleration.get("effect") not in (None, "", taint["effect"]):
        return False
    if toleration.get("key") not in (None, "", taint["key"]):
        return False
    return toleration.get("operator") == "Exists" or toleration.get("value", "") == taint.get("value", "")


def _is_ended(job: Object) -> bool:
    return any(each["type"] in ("Complete", "Failed") for each in job["status"].get("conditions", ()))


def _action(job: Object, pod: Object) -> str:
    """Return what the policy of a Job says about a failed pod; empty if it says nothing."""
    for rule in (job["spec"].get("podFailurePolicy") or {}).get("rules", ()):
        for pattern in rule.get("onPodConditions") or ():
            wanted = (pattern["type"], pattern.get("status", "True"))
            if any((each["type"], each["status"]) == wanted for each in pod["status"].get("conditions", ())):
                return str(rule["action"])
    return ""


def _end_of(job: Object, counted: Counter[str], is_active: bool) -> list[Object]:
    spec = job["spec"]
    if counted["succeeded"] >= spec["completions"]:
        return [condition("SuccessCriteriaMet", "CompletionsReached"), condition("Complete", "CompletionsReached")]
    reason = message = ""
    if counted["failed"] > spec["backoffLimit"]:
        reason, message = "BackoffLimitExceeded", "Job has reached the specified backoff limit"
    deadline = spec.get("activeDeadlineSeconds")
    started = datetime.fromisoformat(job["status"]["startTime"].replace("Z", "+00:00")).timestamp()
    if deadline is not None and time.time() - started >= deadline:
        reason, message = "DeadlineExceeded", "Job was active longer than specified deadline"
    return [condition(type_, reason, message) for type_ in ("FailureTarget", "Failed")] if reason else []
