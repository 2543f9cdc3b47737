"""Names and versions of KFP: the version of the SDK that Standpipe replaces, and rules for names in compiled files."""

from __future__ import annotations

import re
from collections.abc import Container

#: The version of the KFP SDK that this is compatible with. A cluster installs it for Python components.
KFP_VERSION = "2.17.3"

#: What a cluster installs to run Python components, as arguments for pip.
KFP_REQUIREMENTS = (f"kfp=={KFP_VERSION}", "--no-deps", 'typing-extensions>=3.7.4,<5; python_version<"3.9"')

#: The image of Python components that name none.
DEFAULT_IMAGE = "python:3.11"

#: The images of the components CreatePVC and DeletePVC. They are markers for the driver of a cluster and never run.
CREATE_PVC = "argostub/createpvc"
DELETE_PVC = "argostub/deletepvc"

#: The name of the output of a function with a single return value.
SINGLE_OUTPUT = "Output"


def kubernetes_name(name: str) -> str:
    """Return a name in lower case, with dashes in place of everything that Kubernetes does not allow in names.

    >>> kubernetes_name("Train_Model (v2)")
    'train-model-v2'
    """
    return re.sub("[^0-9a-z]+", "-", name.lower()).strip("-")


def unique_name(name: str, taken: Container[str], numbers: dict[str, int] | None = None) -> str:
    """Return the name, with the first number from 2 on that makes it unique if it is taken.

    Args:
        name: the name.
        taken: the names that are taken.
        numbers: a cache for callers with thousands of names: for each name, the number up to which all are taken.

    >>> unique_name("train", {"train", "train-2"})
    'train-3'
    """
    if name not in taken:
        return name
    number = numbers.get(name, 2) if numbers else 2
    while f"{name}-{number}" in taken:
        number += 1
    if numbers is not None:
        numbers[name] = number
    return f"{name}-{number}"
