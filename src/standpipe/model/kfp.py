"""What ties Standpipe to KFP: the version whose SDK it stands in for, and names that both sides of a file know."""

from __future__ import annotations

import re
from collections.abc import Container

#: The KFP SDK whose language this is. Compiled files name it, because the cluster installs it for Python components.
KFP_VERSION = "2.17.0"

#: What a cluster installs to run Python components, as arguments for pip.
KFP_REQUIREMENTS = (f"kfp=={KFP_VERSION}", "--no-deps", 'typing-extensions>=3.7.4,<5; python_version<"3.9"')

#: The image of Python components whose author named none.
DEFAULT_IMAGE = "python:3.11"

#: The name of the output of a function with a single return value.
SINGLE_OUTPUT = "Output"


def kubernetes_name(name: str) -> str:
    """The name in lower case, with a dash for everything that Kubernetes does not allow in names.

    >>> kubernetes_name("Train_Model (v2)")
    'train-model-v2'
    """
    return re.sub("[^0-9a-z]+", "-", name.lower()).strip("-")


def unique_name(name: str, taken: Container[str]) -> str:
    """The name, or with the first number from 2 on that is not `taken` yet.

    >>> unique_name("train", {"train", "train-2"})
    'train-3'
    """
    unique, number = name, 2
    while unique in taken:
        unique, number = f"{name}-{number}", number + 1
    return unique
