"""The command by which the KFP SDK installs the packages of a component whose function was baked into its image.

Such a component is an ordinary command to a Plan, so that the text is made here. Lightweight components keep their
packages as data; `ir` makes the same text of them.
"""

from __future__ import annotations

from collections.abc import Sequence

_SCRIPT = """
if ! [ -x "$(command -v pip)" ]; then
    python3 -m ensurepip || python3 -m ensurepip --user || apt-get install python3-pip
fi

PIP_DISABLE_PIP_VERSION_CHECK=1 python3 -m pip install --quiet --no-warn-script-location %s && "$0" "$@"
"""


def install_command(
    packages: Sequence[str], index_urls: Sequence[str], trusted_hosts: Sequence[str] | None
) -> tuple[str, ...]:
    """The start of a command that installs packages and goes on with the rest; empty where there are none.

    Args:
        packages: requirements, for pip.
        index_urls: where pip looks for them, the first in place of PyPI.
        trusted_hosts: hosts that pip trusts without TLS; None for the index URLs.
    """
    if not packages:
        return ()
    options = [f"--{'extra-' * (number > 0)}index-url {url}" for number, url in enumerate(index_urls)]
    hosts = index_urls if trusted_hosts is None else trusted_hosts
    options += [f"--trusted-host {host}" for host in hosts if index_urls]
    return ("sh", "-c", _SCRIPT % " ".join([*options, *map(repr, packages)]))
