"""Errors of requests to an API server, of `lightkube` and the HTTP client below it, and what they mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from httpx2 import HTTPError, Response
from lightkube import ApiError
from lightkube.models.meta_v1 import Status

from standpipe.errors import RunnerError

#: The statuses with which a server, or a proxy before it, asks to come again.
_TEMPORARY = frozenset((429, 500, 502, 503, 504))

#: What to do, by the status.
_ADVICE = {
    401: "Check the credentials in the kubeconfig; they may have expired.",
    403: "Ask for the permissions that the page on the KubernetesRunner lists.",
    404: "Check the namespace: local.KubernetesRunner(namespace=...).",
}


def is_temporary(error: HTTPError) -> bool:
    """Return whether the server could not be reached, or asks to come again."""
    code = code_of(error)
    return code is None or code in _TEMPORARY


def code_of(error: HTTPError) -> int | None:
    """Return the HTTP status of an error; None if there was no answer."""
    response: Response | None = getattr(error, "response", None)
    if response is not None:
        return int(response.status_code)
    code = getattr(getattr(error, "status", None), "code", None)
    return int(code) if code else None


def to_error(status: Mapping[str, Any]) -> ApiError:
    """Return the error for a status that the server has sent in an answer."""
    read = Status.from_dict(dict(status))
    assert isinstance(read, Status), "it is a method of a base class"
    return ApiError(status=read)


def explain(error: HTTPError, server: str) -> RunnerError:
    """Return the error for a request that failed, with what to do."""
    code, text = code_of(error), describe(error)
    if code is None:
        advice = f"Check that {server} can be reached, and the context of the kubeconfig."
        return RunnerError(f"The Kubernetes API server {server} cannot be reached: {text}. {advice}")
    return RunnerError(f"The Kubernetes API server refuses a request: {text}. {_ADVICE.get(code, '')}".rstrip())


def describe(error: Exception) -> str:
    """Return the first line of an error, without an end."""
    text = str(error).strip().partition("\n")[0] or type(error).__name__
    return text.rstrip(". ")
