"""PVCs as folders: those that the user names, and others that are made below the pipeline root."""

from __future__ import annotations

import re
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path

from standpipe.kubernetes import CREATE_PVC
from standpipe.kubernetes.settings import SettingError
from standpipe.model.values import Value
from standpipe.support.paths import check_within

#: What Kubernetes takes for a name (RFC 1123), which is a safe name of a folder, too.
_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


class Claims:
    """The folders of PVCs, which outlive runs as PVCs do.

    Args:
        provided: the user's own folders. They are never removed.
        root: where the others are made.
    """

    def __init__(self, provided: Mapping[str, Path], root: Path) -> None:
        self._provided = provided
        self._root = root

    def folder(self, name: str, sub_path: str = "") -> Path:
        """The folder of a PVC, or one in it, made if it is missing.

        Raises:
            SettingError: if Kubernetes would not take the name.
            StorageError: if a link in the PVC leads out of it.
        """
        folder = self._place(name)
        if name in self._provided:
            folder.mkdir(parents=True, exist_ok=True)
        elif not folder.exists():
            # Containers may run as any user. Other users of this machine are kept out by the folder above.
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.mkdir(exist_ok=True)
            folder.chmod(0o777)
        inner = folder / sub_path
        check_within(inner, folder)
        if not inner.exists():
            inner.mkdir(parents=True, exist_ok=True)
            inner.chmod(folder.stat().st_mode & 0o777)  # as Kubernetes has it
        return inner

    def carry_out(self, image: str, inputs: Mapping[str, Value]) -> tuple[dict[str, Value], str]:
        """Does what CreatePVC or DeletePVC do on a cluster; gives the outputs, and a sentence for the log.

        Raises:
            SettingError: as a cluster would.
        """
        return self._create(inputs) if image == CREATE_PVC else self._delete(inputs)

    def _create(self, inputs: Mapping[str, Value]) -> tuple[dict[str, Value], str]:
        given, suffix = inputs.get("pvc_name") or "", inputs.get("pvc_name_suffix") or ""
        if given and suffix:
            raise SettingError("CreatePVC takes pvc_name or pvc_name_suffix, and got both")
        name = str(given or f"{uuid.uuid4()}{suffix}")
        return {"name": name}, f"The PVC {name} is the folder {self.folder(name)}."

    def _delete(self, inputs: Mapping[str, Value]) -> tuple[dict[str, Value], str]:
        name = str(inputs.get("pvc_name") or "")
        folder = self._place(name)
        if name in self._provided:
            return {}, f"The folder {folder} stays: it is the user's own."
        if not folder.is_dir():
            raise SettingError(f"DeletePVC: there is no PVC {name!r}, which would be the folder {folder}")
        shutil.rmtree(folder)
        return {}, f"The folder {folder} of the PVC {name} was removed."

    def _place(self, name: str) -> Path:
        if name in self._provided:
            return self._provided[name]
        if not _NAME.fullmatch(name):
            raise SettingError(
                f"{name!r} is no name of a PVC: Kubernetes takes lower-case letters, digits, '-' and '.', and a letter "
                "or digit at both ends"
            )
        return self._root / name
