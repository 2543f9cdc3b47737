"""The objects of the test server: each change has a resource version, and is kept for watches until it is compacted."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

Object = dict[str, Any]

#: A resource, a namespace (empty for those that belong to none), and a name.
Key = tuple[str, str, str]

FOREGROUND, ORPHAN = "foregroundDeletion", "orphan"


class ApiError(Exception):
    """An answer of the server that is an error: a `Status` of the API."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.status = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "reason": reason,
            "message": message,
            "code": code,
        }


@dataclass(frozen=True)
class Change:
    """A change of an object. `text` is the object after it, as JSON."""

    version: int
    type: str
    key: Key
    text: str


def now() -> str:
    """Return the time as the API writes it."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def is_finished(pod: Object) -> bool:
    """Return whether all containers of a pod have ended, and it will start none."""
    return pod.get("status", {}).get("phase") in ("Succeeded", "Failed")


class Storage:
    """All objects, with their history. Every method can be called from any thread."""

    def __init__(self) -> None:
        self.changed = threading.Condition(threading.RLock())
        self._objects: dict[Key, str] = {}
        self._history: list[Change] = []
        self._version = 1000
        self._oldest = 1000

    @property
    def version(self) -> int:
        """The resource version of the newest change."""
        return self._version

    def get(self, key: Key) -> Object:
        """Return an object.

        Raises:
            ApiError: if it does not exist.
        """
        with self.changed:
            if key not in self._objects:
                raise ApiError(404, "NotFound", f'{key[0]} "{key[2]}" not found')
            return json.loads(self._objects[key])

    def find(self, resource: str, namespace: str = "") -> list[Object]:
        """Return the objects of a resource, of one namespace or of all, in the order of their names."""
        with self.changed:
            keys = [key for key in self._objects if key[0] == resource and namespace in ("", key[1])]
            return [json.loads(self._objects[key]) for key in sorted(keys)]

    def create(self, key: Key, obj: Object) -> Object:
        """Store a new object, and return it as it is stored.

        Raises:
            ApiError: if the name is taken.
        """
        with self.changed:
            if key in self._objects:
                raise ApiError(409, "AlreadyExists", f'{key[0]} "{key[2]}" already exists')
            metadata = obj.setdefault("metadata", {})
            metadata.update(name=key[2], uid=str(uuid.uuid4()), creationTimestamp=now())
            if key[1]:
                metadata["namespace"] = key[1]
            return self._record("ADDED", key, obj)

    def update(self, key: Key, change: Callable[[Object], Object | None], expected: str | None = None) -> Object:
        """Store a new state of an object, and return it as it is stored.

        Args:
            key: the object.
            change: changes the object, or returns the object to store.
            expected: the resource version that it must have.

        Raises:
            ApiError: if it does not exist or has another version.
        """
        with self.changed:
            before = self.get(key)
            if expected and expected != before["metadata"]["resourceVersion"]:
                raise ApiError(409, "Conflict", f'{key[0]} "{key[2]}" has been modified; read it again')
            obj = json.loads(json.dumps(before))
            obj = change(obj) or obj
            for field in ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"):
                if field in before["metadata"]:
                    obj["metadata"][field] = before["metadata"][field]
            if obj == before:
                return before
            if "deletionTimestamp" in obj["metadata"] and self._can_go(key, obj):
                return self._remove(key, obj)
            return self._record("MODIFIED", key, obj)

    def delete(self, key: Key, grace: int | None = None, propagation: str = "Background", uid: str = "") -> Object:
        """Delete an object, or mark it as deleted if something has to happen before.

        Args:
            key: the object.
            grace: the seconds that the containers of a pod get; None for what the pod says.
            propagation: what happens to the objects that it owns: `Background`, `Foreground` or `Orphan`.
            uid: that of the object, if another one of the same name must not be deleted.

        Raises:
            ApiError: if it does not exist or is another one.
        """
        with self.changed:
            obj = self.get(key)
            if uid and uid != obj["metadata"]["uid"]:
                raise ApiError(409, "Conflict", f"the UID in the precondition ({uid}) is not that of the object")
            added = {"Foreground": FOREGROUND, "Orphan": ORPHAN}.get(propagation)
            finalizers = obj["metadata"].setdefault("finalizers", [])
            if added and added not in finalizers:
                finalizers.append(added)
            obj["metadata"]["deletionGracePeriodSeconds"] = self._grace(key, obj, grace)
            obj["metadata"].setdefault("deletionTimestamp", now())
            return self._remove(key, obj) if self._can_go(key, obj) else self._record("MODIFIED", key, obj)

    def watch(
        self, resource: str, namespace: str, since: int, stop: Callable[[], bool], pause: float = 0.5
    ) -> Iterator[Change]:
        """Yield the changes after a version, and a change of no object when nothing has happened for a moment.

        Raises:
            ApiError: if changes after the version are not kept any more.
        """
        while not stop():
            with self.changed:
                if since < self._oldest:
                    raise ApiError(410, "Expired", f"too old resource version: {since} ({self._oldest})")
                changes = [change for change in self._history if change.version > since]
                since = self._version
                if not changes:
                    self.changed.wait(pause)
            for change in changes:
                if change.key[0] == resource and namespace in ("", change.key[1]):
                    yield change
            if not changes:
                yield Change(since, "BOOKMARK", (resource, namespace, ""), "")

    def compact(self) -> None:
        """Forget the changes until now; a watch from an earlier version is answered with 410."""
        with self.changed:
            self._version += 1
            self._oldest = self._version
            self._history.clear()
            self.changed.notify_all()

    def _grace(self, key: Key, obj: Object, grace: int | None) -> int:
        if key[0] != "pods" or is_finished(obj) or not obj["spec"].get("nodeName"):
            return 0
        asked = obj["spec"].get("terminationGracePeriodSeconds", 30) if grace is None else grace
        return min(asked, obj["metadata"].get("deletionGracePeriodSeconds", asked))

    def _can_go(self, key: Key, obj: Object) -> bool:
        if obj["metadata"].get("finalizers"):
            return False
        return not (key[0] == "pods" and obj["metadata"].get("deletionGracePeriodSeconds", 0) > 0)

    def _record(self, type_: str, key: Key, obj: Object) -> Object:
        self._version += 1
        obj["metadata"]["resourceVersion"] = str(self._version)
        text = json.dumps(obj)
        self._objects[key] = text
        self._history.append(Change(self._version, type_, key, text))
        self.changed.notify_all()
        return json.loads(text)

    def _remove(self, key: Key, obj: Object) -> Object:
        stored = self._record("DELETED", key, obj)
        del self._objects[key]
        return stored
