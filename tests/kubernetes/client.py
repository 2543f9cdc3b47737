"""A small client of the Kubernetes API for the test kubelet, which talks to the test server or to a real one."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any

from tests.kubernetes.resources import RESOURCES
from tests.kubernetes.storage import ApiError, Object

MERGE = "application/merge-patch+json"

#: The faults of the test server are not for nodes.
USER_AGENT = "standpipe-test-node"


class Client:
    """The API server at an address, with a token if it asks for one. Its certificate is not verified."""

    def __init__(self, address: str, token: str = "") -> None:
        self.address = address
        self._token = token

    def get(self, plural: str, namespace: str, name: str) -> Object:
        return self._call("GET", _path(plural, namespace, name))

    def find(self, plural: str, namespace: str = "", **selectors: str) -> list[Object]:
        return self._call("GET", _path(plural, namespace) + _query(selectors))["items"]

    def create(self, plural: str, obj: Object, subresource: str = "") -> Object:
        metadata = obj["metadata"]
        path = _path(plural, metadata.get("namespace", ""), *([metadata["name"], subresource] if subresource else []))
        return self._call("POST", path, obj)

    def patch_status(self, plural: str, namespace: str, name: str, status: Object) -> Object:
        return self._call("PATCH", _path(plural, namespace, name, "status"), {"status": status}, MERGE)

    def patch(self, plural: str, namespace: str, name: str, change: Object) -> Object:
        return self._call("PATCH", _path(plural, namespace, name), change, MERGE)

    def delete(self, plural: str, namespace: str, name: str, grace: int | None = 0, uid: str = "") -> Object:
        options: Object = {} if grace is None else {"gracePeriodSeconds": grace}
        if uid:
            options["preconditions"] = {"uid": uid}
        return self._call("DELETE", _path(plural, namespace, name), options)

    def watch(self, plural: str, **selectors: str) -> Iterator[tuple[str, Object]]:
        """Yield the events of all objects of a resource: first one for each that exists, until the server ends it."""
        with self._open("GET", _path(plural, "") + _query({**selectors, "watch": "1"})) as answer:
            for line in answer:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    return
                yield event["type"], event["object"]

    def _call(self, method: str, path: str, body: Object | None = None, type_: str = "application/json") -> Object:
        with self._open(method, path, body, type_) as answer:
            return json.load(answer)

    def _open(self, method: str, path: str, body: Object | None = None, type_: str = "application/json") -> Any:
        headers = {"Content-Type": type_, "Accept": "application/json", "User-Agent": USER_AGENT}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.address + path, data, headers, method=method)
        context = ssl._create_unverified_context() if self.address.startswith("https") else None
        try:
            return urllib.request.urlopen(request, context=context, timeout=60)
        except urllib.error.HTTPError as error:
            with error:
                status = json.loads(error.read() or b"{}")
            raise ApiError(error.code, status.get("reason", ""), status.get("message", str(error))) from None


def _path(plural: str, namespace: str, *rest: str) -> str:
    inside = f"/namespaces/{namespace}" if namespace else ""
    return "/".join((RESOURCES[plural].prefix + inside, plural, *rest))


def _query(selectors: dict[str, str]) -> str:
    return f"?{urllib.parse.urlencode(selectors)}" if selectors else ""
