"""The flags of commands that talk to a KFP cluster, and the connection that they make."""

from __future__ import annotations

import argparse
import os
import shlex
from typing import TYPE_CHECKING

from standpipe.errors import ArgumentError

if TYPE_CHECKING:
    from standpipe.kfp_cluster.http import HttpClient

#: The variables with the URLs of the host and of its web page, as for `kfp.Client`.
_HOST_VARIABLE, _PAGE_VARIABLE = "KF_PIPELINES_ENDPOINT", "KF_PIPELINES_UI_ENDPOINT"


def add_flags(parser: argparse.ArgumentParser, *, is_optional: bool = False) -> None:
    """Add the flags of the connection.

    Args:
        parser: the parser of the command.
        is_optional: whether the command is for runs of this machine unless the flag names a host.
    """
    group = parser.add_argument_group("the cluster")
    default = " (default: $KF_PIPELINES_ENDPOINT)" if not is_optional else ""
    group.add_argument(
        "--host",
        metavar="URL",
        help=f"the URL of KFP's web page, such as https://kubeflow.example.com/pipeline{default}",
    )
    group.add_argument(
        "--token-file",
        metavar="FILE",
        help="a file with a bearer token (default: $STANDPIPE_KFP_TOKEN has the token, $KF_PIPELINES_SA_TOKEN_PATH the "
        "path of one of a service account)",
    )
    group.add_argument(
        "--cookies-file",
        metavar="FILE",
        help="a file with cookies, as in a Cookie header (default: $STANDPIPE_KFP_COOKIES has them)",
    )
    group.add_argument("--ca", metavar="FILE", help="the certificate of an authority to trust in addition, as PEM")
    if not is_optional:
        group.add_argument("--namespace", metavar="NAME", help="the namespace, on a cluster with several users")


def connect(options: argparse.Namespace) -> HttpClient:
    """Return the connection that flags and variables describe.

    Raises:
        ArgumentError: if there is no host, or a flag or variable is invalid.
    """
    host = options.host or os.environ.get(_HOST_VARIABLE)
    if not host:
        raise ArgumentError(f"Missing host: pass --host URL, or set {_HOST_VARIABLE} to the URL of KFP's web page.")
    from standpipe.kfp_cluster.credentials import find_credentials  # bring the network, which `--help` does without
    from standpipe.kfp_cluster.http import HttpClient

    credentials = find_credentials(os.environ, options.token_file or "", options.cookies_file or "")
    return HttpClient(host, credentials, options.ca or "")


def to_flags(options: argparse.Namespace) -> str:
    """Return the flags of the connection for another command, quoted for a shell. They have no secrets."""
    host = options.host or os.environ.get(_HOST_VARIABLE, "")
    values = {"--host": host, "--token-file": options.token_file, "--cookies-file": options.cookies_file}
    pairs = [(flag, value) for flag, value in {**values, "--ca": options.ca}.items() if value]
    return shlex.join(word for pair in pairs for word in pair)


def find_page() -> str:
    """Return the URL of the web page for links to it; empty if it is that of the host."""
    return os.environ.get(_PAGE_VARIABLE, "")
