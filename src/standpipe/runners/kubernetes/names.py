"""The names and labels of Kubernetes objects that belong to attempts."""

from __future__ import annotations

import hashlib
import re
import secrets

from standpipe.model.attempts import TaskRequest

#: The prefix of our labels and annotations: the site of the project.
PREFIX = "standpipe.github.io"

#: The labels by which our objects are found: all, those of one program, and those of one run.
MANAGED_BY = "app.kubernetes.io/managed-by"
OWNER = f"{PREFIX}/owner"
RUN_DIGEST = f"{PREFIX}/run-digest"

#: The label by which Kubernetes names the Job of a pod.
JOB_NAME = "job-name"

#: The most characters of the part of a name that is for people: a pod gets six more, and all have to fit into 63.
_MAX_TITLE = 36


def name_job(request: TaskRequest) -> str:
    """Return a name for the Job of an attempt, which no other one has."""
    title = re.sub(r"[^a-z0-9]+", "-", str(request.task.name).lower())[:_MAX_TITLE].strip("-") or "task"
    return f"standpipe-{title}-{secrets.token_hex(4)}"


def owner_labels(owner: str) -> dict[str, str]:
    """Return the labels of all objects of a program."""
    return {MANAGED_BY: "standpipe", OWNER: owner}


def run_labels(request: TaskRequest) -> dict[str, str]:
    """Return the labels of all objects of a run, whichever program made them."""
    return {MANAGED_BY: "standpipe", RUN_DIGEST: digest_run(request)}


def digest_run(request: TaskRequest) -> str:
    """Return a label for a run: programs of several users may have runs of the same name in a namespace."""
    root = request.transfers.root if request.transfers else ""
    return hashlib.sha256(f"{root}\n{request.run}".encode()).hexdigest()[:32]


def pod_labels(request: TaskRequest, owner: str) -> dict[str, str]:
    """Return the labels of the Job and the pod of an attempt."""
    return {
        **owner_labels(owner),
        **run_labels(request),
        f"{PREFIX}/run": to_label(request.run),
        f"{PREFIX}/task": to_label(str(request.task)),
        f"{PREFIX}/attempt": str(request.attempt),
    }


def pod_annotations(request: TaskRequest) -> dict[str, str]:
    """Return the names of an attempt as they are, which labels cannot have."""
    return {f"{PREFIX}/run": request.run, f"{PREFIX}/task": str(request.task)}


def to_label(text: str) -> str:
    """Return a text as the value of a label: at most 63 letters, digits and `-_.`, which are not at its ends."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text)[:63].strip("-_.")
