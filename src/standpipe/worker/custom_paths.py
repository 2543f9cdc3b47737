"""Payloads at custom paths, which are copied to the URIs of their artifacts, as KFP's launcher does after the task.

A custom path may be in the container or in the working directory, which are removed after the task.
"""

from __future__ import annotations

import os
import shutil
from typing import Iterable

from .artifacts import Artifact, is_remote


def copy_payloads(artifacts: Iterable[Artifact]) -> None:
    """Copy the payloads of artifacts from their custom paths, where there is one and the URI has none.

    Raises:
        OSError: if one cannot be copied.
    """
    for artifact in artifacts:
        source, target = artifact.custom_path, artifact.uri
        if is_remote(target) or not os.path.exists(source) or os.path.exists(target):
            continue
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if os.path.isdir(source):
            shutil.copytree(source, target, copy_function=_link_or_copy)
        else:
            _link_or_copy(source, target)


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copy2(source, target)
