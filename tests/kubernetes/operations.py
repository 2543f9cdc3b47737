"""What requests do with the objects of the test server."""

from __future__ import annotations

import json
from collections.abc import Callable

from tests.kubernetes.defaults import apply_defaults, name_object
from tests.kubernetes.pod_security import admit
from tests.kubernetes.requests import Request
from tests.kubernetes.schema import validate
from tests.kubernetes.storage import ApiError, Object, Storage


class Operations:
    """What a request does with objects; a call returns the answer."""

    def __init__(self, storage: Storage, request: Request, content_type: str) -> None:
        self._storage = storage
        self._request = request
        self._type = content_type.partition(";")[0]

    def __call__(self, body: Object) -> Object:
        if self._request.subresource == "binding":
            return self._bind(body)
        if self._request.subresource == "eviction":
            return self._storage.delete(self._request.key)
        return getattr(self, f"_{self._request.verb}")(body)

    def _get(self, body: Object) -> Object:
        return self._storage.get(self._request.key)

    def _list(self, body: Object) -> Object:
        resource, options = self._request.resource, self._request.options
        with self._storage.changed:
            objects = self._storage.find(resource.plural, self._request.namespace)
            version = self._storage.version
        selected = list(filter(self._request.selects, objects))
        start, limit = int(options.get("continue") or 0), int(options.get("limit") or 0)
        page = selected[start : start + limit] if limit else selected[start:]
        metadata: Object = {"resourceVersion": str(version)}
        if start + len(page) < len(selected):
            metadata["continue"] = str(start + len(page))
        return {"kind": f"{resource.kind}List", "apiVersion": resource.api_version, "metadata": metadata, "items": page}

    def _create(self, body: Object) -> Object:
        name_object(body)
        namespace = body["metadata"].get("namespace", self._request.namespace)
        if namespace != self._request.namespace:
            raise ApiError(400, "BadRequest", "the namespace of the object does not match the namespace of the request")
        if not body["metadata"].get("name"):
            raise ApiError(422, "Invalid", "metadata.name: Required value: name or generateName is required")
        validate(self._request.resource, body)
        apply_defaults(body)
        if self._request.resource.plural == "pods":
            admit(self._storage, namespace, body)
        return self._storage.create((self._request.resource.plural, namespace, body["metadata"]["name"]), body)

    def _update(self, body: Object) -> Object:
        return self._change(lambda stored: body, body["metadata"].get("resourceVersion"))

    def _patch(self, body: Object) -> Object:
        if self._type == "application/strategic-merge-patch+json" and _has_lists_of_objects(body):
            raise ApiError(415, "UnsupportedMediaType", "the test server cannot merge lists of objects")
        if self._type not in ("application/merge-patch+json", "application/strategic-merge-patch+json"):
            raise ApiError(415, "UnsupportedMediaType", f"the test server has no patches of the type {self._type}")
        return self._change(lambda stored: merge(stored, body))

    def _change(self, change: Callable[[Object], Object], expected: str | None = None) -> Object:
        def checked(stored: Object) -> Object:
            before = json.loads(json.dumps(stored))
            after = change(stored)
            kept = before.get("status") if self._request.subresource != "status" else after.get("status")
            merged = {**(before if self._request.subresource == "status" else after)}
            if kept is not None:
                merged["status"] = kept
            validate(self._request.resource, merged)
            return merged

        return self._storage.update(self._request.key, checked, expected)

    def _delete(self, body: Object) -> Object:
        options = {**self._request.options, **body}
        grace = options.get("gracePeriodSeconds")
        # Of all resources here, Jobs alone leave what they own: https://github.com/kubernetes/kubernetes/issues/18568
        default = "Orphan" if self._request.resource.plural == "jobs" else "Background"
        return self._storage.delete(
            self._request.key,
            None if grace is None else int(grace),
            options.get("propagationPolicy") or default,
            (body.get("preconditions") or {}).get("uid", ""),
        )

    def _deletecollection(self, body: Object) -> Object:
        answer = self._list({})
        for obj in answer["items"]:
            key = (self._request.resource.plural, self._request.namespace, obj["metadata"]["name"])
            self._storage.delete(key, propagation=body.get("propagationPolicy", "Background"))
        return answer

    def _bind(self, body: Object) -> Object:
        node = body["target"]["name"]
        self._storage.update(self._request.key, lambda pod: pod["spec"].update(nodeName=node))
        return {"kind": "Status", "apiVersion": "v1", "status": "Success"}


def merge(target: Object, patch: Object) -> Object:
    """Return an object with a merge patch applied (RFC 7386)."""
    merged = dict(target)
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, dict):
            before = merged.get(name)
            merged[name] = merge(before if isinstance(before, dict) else {}, value)
        else:
            merged[name] = value
    return merged


def _has_lists_of_objects(value: object) -> bool:
    if isinstance(value, dict):
        return any(map(_has_lists_of_objects, value.values()))
    return isinstance(value, list) and any(isinstance(each, dict) for each in value)
