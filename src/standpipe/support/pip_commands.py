"""The pip commands of compiled Python components, byte for byte as the KFP SDK writes them."""

from __future__ import annotations

from collections.abc import Sequence

#: The shell script that installs packages before it runs the rest of the command. `{commands}` is replaced by them.
INSTALL_SCRIPT = """
if ! [ -x "$(command -v pip)" ]; then
    python3 -m ensurepip || python3 -m ensurepip --user || apt-get install python3-pip
fi

PIP_DISABLE_PIP_VERSION_CHECK=1 {commands} && "$0" "$@"
"""
PIP_INSTALL = "python3 -m pip install --quiet --no-warn-script-location "


def format_index_options(index_urls: Sequence[str], trusted_hosts: Sequence[str] | None) -> str:
    """Return the options of a compiled `pip install` for package indexes, with a space at the end.

    Args:
        index_urls: the URLs of the indexes, the first in place of PyPI.
        trusted_hosts: the trusted hosts; None for the default.

    >>> format_index_options(["https://a/simple", "https://b/simple"], ["b"])
    '--index-url https://a/simple --extra-index-url https://b/simple --trusted-host b '
    """
    if not index_urls:
        return ""
    first, *more = index_urls
    hosts = default_trusted_hosts(index_urls) if trusted_hosts is None else trusted_hosts
    options = [f"--index-url {first}", *(f"--extra-index-url {url}" for url in more)]
    return " ".join([*options, *(f"--trusted-host {host}" for host in hosts)]) + " "


def default_trusted_hosts(index_urls: Sequence[str]) -> tuple[str, ...]:
    """Return what the compiled command trusts if the author lists no trusted hosts: `http://` URLs, as kfp 2.17.3 does.

    That version lists `https://` URLs as well, later ones list neither (kubeflow/pipelines#13780).

    >>> default_trusted_hosts(["https://a/simple", "http://b/simple"])
    ('http://b/simple',)
    """
    return tuple(url for url in index_urls if url.startswith("http://"))


def quote_requirements(requirements: Sequence[str]) -> str:
    """Return requirements as they are written in a compiled `pip install`: each as the `repr` of its text."""
    return " ".join(map(repr, requirements))
