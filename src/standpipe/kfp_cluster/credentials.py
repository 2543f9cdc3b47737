"""Credentials for a KFP cluster: a bearer token or cookies, from files and variables, as `kfp.Client` takes them.

No flag has a token for a value: the command lines of processes are visible to all users of a machine.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from standpipe.errors import ArgumentError

#: The variables with a token and with cookies; names of Standpipe, as the KFP SDK has none.
TOKEN_VARIABLE, COOKIES_VARIABLE = "STANDPIPE_KFP_TOKEN", "STANDPIPE_KFP_COOKIES"

#: The variable with the path of a service account's token, and the default path in pods
#: (kfp 2.17.3, `kfp/client/set_volume_credentials.py`).
TOKEN_PATH_VARIABLE = "KF_PIPELINES_SA_TOKEN_PATH"  # noqa: S105 - a name
DEFAULT_TOKEN_PATH = "/var/run/secrets/kubeflow/pipelines/token"  # noqa: S105 - a path


@dataclass(frozen=True, repr=False)
class Credentials:
    """The credentials for one cluster. Files are read for each request: Kubernetes replaces that of a token every hour.

    Attributes:
        token: a bearer token; empty if there is none, or a file has it.
        token_file: the path of a file with a token; empty if there is none.
        cookies: the value of the header `Cookie`; empty if there are none, or a file has them.
        cookies_file: the path of a file with cookies; empty if there is none.
    """

    token: str = ""
    token_file: str = ""
    cookies: str = ""
    cookies_file: str = ""

    def __bool__(self) -> bool:
        return bool(self.token or self.cookies or self.can_be_renewed)

    @property
    def can_be_renewed(self) -> bool:
        """Whether they are in a file that may get new ones."""
        return bool(self.token_file or self.cookies_file)

    def make_headers(self) -> dict[str, str]:
        """Return the headers of a request.

        Raises:
            ArgumentError: if a file cannot be read.
        """
        token = self.token or (_read_secret(self.token_file, "token") if self.token_file else "")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        cookies = self.cookies or (_read_secret(self.cookies_file, "cookies") if self.cookies_file else "")
        return {**headers, "Cookie": cookies} if cookies else headers


def find_credentials(environment: Mapping[str, str], token_file: str = "", cookies_file: str = "") -> Credentials:
    """Return the credentials that flags and variables name, and otherwise those of the pod that this process is in.

    Args:
        environment: the environment variables.
        token_file: the path of a file with a token, which comes before all variables; empty for none.
        cookies_file: the path of a file with the value of the header `Cookie`; empty for none.

    Raises:
        ArgumentError: if a file cannot be read, or a value is not one line of ASCII.
    """
    cookies = "" if cookies_file else _check_secret(environment.get(COOKIES_VARIABLE, ""), COOKIES_VARIABLE)
    token = "" if token_file else _check_secret(environment.get(TOKEN_VARIABLE, ""), TOKEN_VARIABLE)
    file = "" if token else token_file or environment.get(TOKEN_PATH_VARIABLE, "")
    if not (token or file or cookies or cookies_file) and os.path.exists(DEFAULT_TOKEN_PATH):
        file = DEFAULT_TOKEN_PATH
    credentials = Credentials(token, file, cookies, cookies_file)
    credentials.make_headers()  # fails now rather than after the pipeline was compiled
    return credentials


def _read_secret(path: str, what: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return _check_secret(file.read(), path)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not ASCII"
        raise ArgumentError(f"The file with the {what}, {path}, cannot be read: {reason}.") from None


def _check_secret(text: str, origin: str) -> str:
    """Return a secret without white space around it; the error does not show it."""
    text = text.strip()
    if not text.isascii() or not text.isprintable():
        raise ArgumentError(f"Invalid credentials in {origin}: expected one line of ASCII.")
    return text
