"""What ties Standpipe to KFP: the version whose SDK it stands in for, and names that both sides of a file know."""

from __future__ import annotations

import re
from collections.abc import Container, Sequence

#: The KFP SDK whose language this is. Compiled files name it, because the cluster installs it for Python components.
KFP_VERSION = "2.17.0"

#: What a cluster installs to run Python components, as arguments for pip.
KFP_REQUIREMENTS = (f"kfp=={KFP_VERSION}", "--no-deps", 'typing-extensions>=3.7.4,<5; python_version<"3.9"')

#: How a compiled command installs packages before it goes on with the rest, and what stands for `{commands}` in it.
INSTALL_SCRIPT = """
if ! [ -x "$(command -v pip)" ]; then
    python3 -m ensurepip || python3 -m ensurepip --user || apt-get install python3-pip
fi

PIP_DISABLE_PIP_VERSION_CHECK=1 {commands} && "$0" "$@"
"""
PIP_INSTALL = "python3 -m pip install --quiet --no-warn-script-location "

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


def unique_name(name: str, taken: Container[str], numbers: dict[str, int] | None = None) -> str:
    """The name, or with the first number from 2 on that is not `taken` yet.

    `numbers` is for those who ask for thousands: it remembers for each name up to which number all are taken.

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


def index_options(index_urls: Sequence[str], trusted_hosts: Sequence[str] | None) -> str:
    """The options of a compiled `pip install`; the hosts of the index URLs are trusted where None are named.

    >>> index_options(["https://a/simple", "https://b/simple"], ["b"])
    '--index-url https://a/simple --extra-index-url https://b/simple --trusted-host b '
    """
    if not index_urls:
        return ""
    first, *more = index_urls
    hosts = index_urls if trusted_hosts is None else trusted_hosts
    options = [f"--index-url {first}", *(f"--extra-index-url {url}" for url in more)]
    return " ".join([*options, *(f"--trusted-host {host}" for host in hosts)]) + " "


def quoted(requirements: Sequence[str]) -> str:
    """Requirements as they stand in a compiled `pip install`: each as Python writes text."""
    return " ".join(map(repr, requirements))
