"""What a pipeline's settings for Kubernetes (`kfp-kubernetes`) come to on this machine."""

from __future__ import annotations

from standpipe.model.plan import Plan

#: The images of the components CreatePVC and DeletePVC, which a cluster's driver acts on and never runs.
CREATE_PVC = "argostub/createpvc"
DELETE_PVC = "argostub/deletepvc"


def concerns(plan: Plan) -> bool:
    """Whether anything in a pipeline is for Kubernetes, besides its workspace."""
    images = {str(getattr(executor, "image", "")) for executor in plan.executors.values()}
    return "deploymentSpec" in plan.platforms.get("kubernetes", {}) or not images.isdisjoint((CREATE_PVC, DELETE_PVC))
