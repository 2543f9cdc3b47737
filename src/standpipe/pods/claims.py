"""PVCs as folders: the user's folders, and others that are created in the pipeline root."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from pathlib import Path

from standpipe.model.kfp import CREATE_PVC
from standpipe.model.values import Value
from standpipe.pods.settings import SettingError
from standpipe.support.notices import Notice, warn
from standpipe.support.untrusted_files import ensure_folder, open_parent, remove_entry, resolve_within

#: The inputs of CreatePVC that say what a new PVC contains, which a folder does not.
_CONTENT_INPUTS = ("data_source", "volume_name")

#: A valid name of a Kubernetes object (RFC 1123). It is also a safe name of a folder.
_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


class Claims:
    """The folders of PVCs. Like PVCs, they are kept after a run.

    Args:
        provided: the user's folders, by the name of the PVC. They are never removed.
        root: the folder in which the others are created.
        notice: called with what is not done as asked.
    """

    def __init__(self, provided: Mapping[str, Path], root: Path, notice: Notice = warn) -> None:
        self._provided = provided
        self._root = root
        self._notice = notice

    def folder(self, name: str, sub_path: str = "") -> Path:
        """Return the folder of a PVC, or a folder in it. It is created if it does not exist.

        Args:
            name: the name of the PVC.
            sub_path: the path of a folder in the PVC.

        Raises:
            SettingError: if the name is not valid in Kubernetes.
            StorageError: if a symbolic link in the PVC leads out of it.
        """
        folder = self._path_of(name)
        if name in self._provided:
            folder.mkdir(parents=True, exist_ok=True)
        else:
            # Containers run as any user. The parent folder keeps out other users of this machine.
            pipeline_root = self._root.parent
            ensure_folder(self._root, pipeline_root)
            ensure_folder(folder, pipeline_root, 0o777)
        inner, real_folder = resolve_within(folder / sub_path, folder)
        if inner != real_folder:
            ensure_folder(inner, real_folder, real_folder.stat().st_mode & 0o777)  # as in Kubernetes
        return folder / sub_path

    def carry_out(
        self, image: str, inputs: Mapping[str, Value], *, is_repeated: bool = False
    ) -> tuple[dict[str, Value], str]:
        """Execute CreatePVC or DeletePVC.

        Args:
            image: the image that marks the component.
            inputs: the inputs of the task.
            is_repeated: whether it was executed before; then a PVC that is to be deleted may be missing.

        Returns:
            The outputs, and a sentence for the log.

        Raises:
            SettingError: in the cases in which a cluster fails the task.
        """
        return self._create(inputs) if image == CREATE_PVC else self._delete(inputs, is_repeated=is_repeated)

    def _create(self, inputs: Mapping[str, Value]) -> tuple[dict[str, Value], str]:
        name = name_claim(inputs)
        ignored = [field for field in _CONTENT_INPUTS if inputs.get(field)]
        if ignored and name not in self._provided:
            self._notice(
                f"kubernetes: ignored the {' and the '.join(ignored)} of the PVC {name!r}: its folder has only what "
                "tasks write. Provide a folder with its content: local.init(..., kubernetes={'pvcs': {...}})."
            )
        return {"name": name}, f"The PVC {name} is the folder {self.folder(name)}."

    def _delete(self, inputs: Mapping[str, Value], *, is_repeated: bool) -> tuple[dict[str, Value], str]:
        name = str(inputs.get("pvc_name") or "")
        folder = self._path_of(name)
        if name in self._provided:
            return {}, f"Kept the folder {folder} of the PVC {name}: it is provided by the user."
        if not folder.is_dir():
            if is_repeated:
                return {}, f"The folder {folder} of the PVC {name} was removed before."
            raise SettingError(f"DeletePVC: unknown PVC {name!r}: the folder {folder} does not exist")
        with open_parent(folder, self._root.parent) as (descriptor, entry):
            remove_entry(entry, descriptor)
        return {}, f"Removed the folder {folder} of the PVC {name}."

    def _path_of(self, name: str) -> Path:
        if name in self._provided:
            return self._provided[name]
        if not _NAME.fullmatch(name):
            raise SettingError(
                f"invalid PVC name {name!r}: expected lower-case letters, digits, '-' and '.', and a letter "
                "or digit at both ends"
            )
        return self._root / name


def name_claim(inputs: Mapping[str, Value]) -> str:
    """Return the name of the PVC that CreatePVC creates.

    Raises:
        SettingError: if its inputs exclude each other.
    """
    pvc_name, suffix = inputs.get("pvc_name") or "", inputs.get("pvc_name_suffix") or ""
    if pvc_name and suffix:
        raise SettingError("CreatePVC expected pvc_name or pvc_name_suffix, got both")
    return str(pvc_name or f"{uuid.uuid4()}{suffix}")
