"""The connection to an API server: its configuration, and requests that are repeated."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from lightkube import ApiError

from standpipe.errors import RunnerError
from standpipe.model.cancellation import Cancellation
from standpipe.runners.kubernetes import connection as module
from standpipe.runners.kubernetes.connection import Connection

KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: here
clusters: [{name: c, cluster: {server: "http://127.0.0.1:9"}}]
users: [{name: u, user: {}}]
contexts:
- {name: here, context: {cluster: c, user: u, namespace: team}}
- {name: there, context: {cluster: c, user: u}}
"""


@pytest.fixture(autouse=True)
def kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "kubeconfig"
    path.write_text(KUBECONFIG)
    monkeypatch.setenv("KUBECONFIG", str(path))
    return path


@pytest.fixture
def notices(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    for name in ("_FIRST_PAUSE", "_LONGEST_PAUSE", "_SILENCE"):
        monkeypatch.setattr(module, name, 0.0)
    return []


@pytest.fixture
def connection(notices: list[str]) -> Iterator[Connection]:
    opened = Connection(None, None, warn=notices.append)
    yield opened
    opened.close()


def answer(code: int, message: str) -> ApiError:
    """Return the error for an answer of the server."""
    request = httpx2.Request("GET", "http://127.0.0.1:9")
    status = {"kind": "Status", "status": "Failure", "code": code, "message": message}
    response = httpx2.Response(code, request=request, content=json.dumps(status).encode())
    return ApiError(request=request, response=response)


class Flaky:
    """A request that fails a few times."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)

    def __call__(self) -> str:
        if self.errors:
            raise self.errors.pop(0)
        return "done"


@pytest.mark.parametrize(
    ("namespace", "context", "expected"), [(None, None, "team"), ("mine", None, "mine"), (None, "there", "default")]
)
def test_the_namespace_is_that_of_the_context(namespace: str | None, context: str | None, expected: str) -> None:
    opened = Connection(namespace, context)

    assert opened.namespace == expected
    opened.close()


def test_a_context_that_does_not_exist_is_named() -> None:
    with pytest.raises(RunnerError, match=r"has no cluster: Context 'elsewhere' not found.*context=\.\.\."):
        Connection(None, "elsewhere")


@pytest.mark.parametrize("content", [None, "[]", "{", "a: b"])
def test_a_kubeconfig_that_cannot_be_read_is_an_error(kubeconfig: Path, content: str | None) -> None:
    kubeconfig.write_text(content) if content else kubeconfig.unlink()

    with pytest.raises(RunnerError, match="Check the kubeconfig"):
        Connection(None, None)


def test_a_request_is_repeated_until_the_server_answers(connection: Connection, notices: list[str]) -> None:
    flaky = Flaky(httpx2.ConnectError("refused"), answer(503, "starting"), httpx2.ReadTimeout("late"))

    assert connection.call(flaky) == "done"
    assert len(notices) == 2
    assert notices[0].startswith("The Kubernetes API server http://127.0.0.1:9 cannot be reached: refused.")
    assert notices[1] == "The Kubernetes API server http://127.0.0.1:9 can be reached again."


@pytest.mark.parametrize(
    ("code", "advice"),
    [(401, "Check the credentials"), (403, "Ask for the permissions"), (404, "Check the namespace"), (422, "")],
)
def test_a_refusal_is_an_error_at_once(connection: Connection, code: int, advice: str) -> None:
    flaky = Flaky(answer(code, "it says why"))

    with pytest.raises(RunnerError, match=f"refuses a request: it says why. {advice}".strip()):
        connection.call(flaky)


def test_a_server_that_stays_away_is_an_error(connection: Connection) -> None:
    with pytest.raises(RunnerError, match="cannot be reached: refused. Check that http://127.0.0.1:9 can be reached"):
        connection.call(Flaky(*[httpx2.ConnectError("refused")] * 100), patience=-1.0)


def test_a_cancellation_ends_the_repetition(connection: Connection) -> None:
    cancel = Cancellation()
    cancel.set()

    with pytest.raises(RunnerError, match="cannot be reached"):
        connection.call(Flaky(*[httpx2.ConnectError("refused")] * 100), cancel)


def test_an_object_that_is_missing_may_be_expected(connection: Connection) -> None:
    assert connection.call(Flaky(answer(404, "not found")), missing=None) is None
