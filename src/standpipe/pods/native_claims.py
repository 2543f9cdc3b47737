"""CreatePVC, DeletePVC and the workspace of a pipeline as PVCs of a real cluster.

The rules are those of the KFP backend (`createPVC` and `deletePVC` in `backend/src/v2/driver/k8s.go`, `GetWorkspacePVC`
in `backend/src/v2/compiler/argocompiler/argo.go`, at 7b70c7b).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from standpipe.errors import SpecError
from standpipe.model.kfp import CREATE_PVC
from standpipe.model.ports import ClaimStore
from standpipe.model.refs import RunInfo
from standpipe.model.types import Json
from standpipe.model.values import Value
from standpipe.pods.claims import name_claim
from standpipe.pods.settings import SettingError

#: The storage class of CreatePVC without one.
_DEFAULT_CLASS = "standard"


class NativeClaims:
    """The PVCs of a cluster.

    Args:
        store: returns the PVCs of the namespace; it is called when one is needed.
    """

    def __init__(self, store: Callable[[], ClaimStore]) -> None:
        self._store = store

    def carry_out(
        self, image: str, inputs: Mapping[str, Value], *, is_repeated: bool = False
    ) -> tuple[dict[str, Value], str]:
        """Execute CreatePVC or DeletePVC.

        Args:
            image: the image that marks the component.
            inputs: the inputs of the task.
            is_repeated: whether it was executed before; then a PVC may be there or be deleted already.

        Returns:
            The outputs, and a sentence for the log.

        Raises:
            StandpipeError: in the cases in which KFP fails the task.
        """
        if image != CREATE_PVC:
            return self._delete(str(inputs.get("pvc_name") or ""), is_repeated=is_repeated)
        manifest = _make_claim(inputs)
        metadata = manifest["metadata"]
        assert isinstance(metadata, dict)
        name = str(metadata["name"])
        if not self._store().create(manifest) and not is_repeated:
            raise SettingError(f"CreatePVC: the PVC {name!r} exists already")
        return {"name": name}, f"Created the PVC {name}."

    def ensure(self, manifest: Mapping[str, Json]) -> None:
        """Create a PVC, unless it is there already.

        Raises:
            StandpipeError: if the cluster refuses it.
        """
        self._store().create(manifest)

    def delete(self, name: str) -> None:
        """Delete a PVC, if it is there.

        Raises:
            StandpipeError: if the cluster refuses it.
        """
        self._store().delete(name)

    def _delete(self, name: str, *, is_repeated: bool) -> tuple[dict[str, Value], str]:
        if not name:
            raise SettingError("DeletePVC expected pvc_name, got none")
        if not self._store().delete(name) and not is_repeated:
            raise SettingError(f"DeletePVC: the PVC {name!r} does not exist")
        return {}, f"Deleted the PVC {name}."


def _make_claim(inputs: Mapping[str, Value]) -> dict[str, Json]:
    """Return the manifest for the inputs of CreatePVC.

    Raises:
        SettingError: if an input is missing, or two exclude each other.
    """
    name = name_claim(inputs)
    modes = inputs.get("access_modes")
    if not isinstance(modes, list) or not modes:
        raise SettingError("CreatePVC expected access_modes, got none")
    if not inputs.get("size"):
        raise SettingError("CreatePVC expected a size, got none")
    spec: dict[str, Json] = {
        "accessModes": [str(mode) for mode in modes],
        "resources": {"requests": {"storage": str(inputs["size"])}},
    }
    # Empty means a volume without a class, None the default of the cluster, and only a missing input that of KFP.
    storage_class = inputs.get("storage_class_name", _DEFAULT_CLASS)
    if storage_class is not None:
        spec["storageClassName"] = str(storage_class)
    if volume := inputs.get("volume_name"):
        spec["volumeName"] = str(volume)
    source = inputs.get("data_source")
    if isinstance(source, dict) and source:
        spec["dataSource"] = {key: str(value) for key, value in source.items()}
    metadata: dict[str, Json] = {"name": name}
    annotations = inputs.get("annotations")
    if isinstance(annotations, dict) and annotations:
        metadata["annotations"] = {key: str(value) for key, value in annotations.items()}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}


def workspace_name(run: RunInfo) -> str:
    """Return the name of the PVC of a run's workspace."""
    return f"{run.id.lower()}-kfp-workspace"


def workspace_claim(name: str, config: Json) -> dict[str, Json]:
    """Return the manifest of the PVC of a workspace.

    Args:
        name: its name.
        config: the setting of the pipeline.

    Raises:
        SpecError: if the setting is not sufficient for a PVC.
    """
    settings = config if isinstance(config, dict) else {}
    kubernetes = settings.get("kubernetes")
    patch = kubernetes.get("pvcSpecPatch") if isinstance(kubernetes, dict) else None
    spec: dict[str, Json] = dict(patch) if isinstance(patch, dict) else {}
    if not settings.get("size"):
        raise SpecError("pipelineConfig.workspace.size: expected the size of the workspace, such as '1Gi'.")
    if not spec.get("accessModes"):
        raise SpecError(
            "pipelineConfig.workspace.kubernetes.pvcSpecPatch: expected accessModes, as a PVC of a cluster has some. "
            "Use dsl.WorkspaceConfig(size='1Gi', kubernetes=dsl.KubernetesWorkspaceConfig("
            "pvcSpecPatch={'accessModes': ['ReadWriteOnce']}))."
        )
    if spec.get("storageClassName") == "":
        raise SpecError("pipelineConfig.workspace.kubernetes.pvcSpecPatch.storageClassName: expected a name or none.")
    resources = spec.get("resources")
    before = resources if isinstance(resources, dict) else {}
    requests = before.get("requests")
    requests = {**(requests if isinstance(requests, dict) else {}), "storage": settings["size"]}
    spec["resources"] = {**before, "requests": requests}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": spec}
