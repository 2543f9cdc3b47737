"""Kubernetes settings of pods (`kfp-kubernetes`) on this machine."""

from __future__ import annotations

from standpipe.model.plan import Plan

#: The images of the components CreatePVC and DeletePVC. They are markers for the driver of a cluster and never run.
CREATE_PVC = "argostub/createpvc"
DELETE_PVC = "argostub/deletepvc"


def uses_kubernetes(plan: Plan) -> bool:
    """Return whether a pipeline has settings or components for Kubernetes, apart from its workspace."""
    images = {str(getattr(executor, "image", "")) for executor in plan.executors.values()}
    return "deploymentSpec" in plan.platforms.get("kubernetes", {}) or not images.isdisjoint((CREATE_PVC, DELETE_PVC))
