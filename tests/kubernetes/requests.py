"""Requests of the test server's API: which objects a path means, and the documents that say what it has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tests.kubernetes.resources import RESOURCES, Resource, matches_fields, matches_labels
from tests.kubernetes.schema import VERSION
from tests.kubernetes.storage import ApiError, Key, Object


@dataclass(frozen=True)
class Request:
    """A request for objects: which, and with what options."""

    verb: str
    resource: Resource
    namespace: str
    name: str
    subresource: str
    options: Mapping[str, str]

    @property
    def key(self) -> Key:
        return self.resource.plural, self.namespace, self.name

    def selects(self, obj: Object) -> bool:
        """Return whether the selectors of the request select an object."""
        labels, fields = self.options.get("labelSelector", ""), self.options.get("fieldSelector", "")
        return matches_labels(obj, labels) and matches_fields(obj, fields)


def parse(method: str, path: str, options: dict[str, str]) -> Request:
    """Return the request for a path.

    Raises:
        ApiError: if the server has nothing at the path.
    """
    for resource in RESOURCES.values():
        if not path.startswith(f"{resource.prefix}/"):
            continue
        parts = path.removeprefix(f"{resource.prefix}/").strip("/").split("/")
        namespace = ""
        if parts[0] == "namespaces" and len(parts) > 2:
            namespace, parts = parts[1], parts[2:]
        if parts[0] != resource.plural or len(parts) > 3:
            continue
        name, subresource = [*parts[1:], "", ""][:2]
        if subresource and subresource not in resource.subresources:
            continue
        return Request(_verb(method, name, options), resource, namespace, name, subresource, options)
    raise ApiError(404, "NotFound", f"the server could not find the requested resource: {path}")


def _verb(method: str, name: str, options: Mapping[str, str]) -> str:
    if method == "GET":
        is_watch = options.get("watch") in ("1", "true")
        return "get" if name else "watch" if is_watch else "list"
    if method == "DELETE" and not name:
        return "deletecollection"
    return {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}[method]


def _discovery(prefix: str) -> Object:
    verbs = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
    resources = [
        {"name": r.plural, "singularName": r.kind.lower(), "namespaced": r.namespaced, "kind": r.kind, "verbs": verbs}
        for r in RESOURCES.values()
        if r.prefix == prefix
    ]
    version = prefix.split("/", 2)[2]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": resources}


_BATCH = {"groupVersion": "batch/v1", "version": "v1"}
#: What the server says about itself.
DOCUMENTS: dict[str, Object] = {
    "/version": {"major": "1", "minor": VERSION.split(".")[1], "gitVersion": f"v{VERSION}"},
    "/readyz": {"status": "ok"},
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/api/v1": _discovery("/api/v1"),
    "/apis": {
        "kind": "APIGroupList",
        "apiVersion": "v1",
        "groups": [{"name": "batch", "versions": [_BATCH], "preferredVersion": _BATCH}],
    },
    "/apis/batch/v1": _discovery("/apis/batch/v1"),
}
