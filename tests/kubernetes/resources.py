"""The resources that the test server has, and what a list or a watch selects of them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.kubernetes.storage import ApiError, Object


@dataclass(frozen=True)
class Resource:
    """A resource of the API. `definition` is the name of its schema."""

    plural: str
    kind: str
    definition: str
    prefix: str = "/api/v1"
    namespaced: bool = True
    subresources: tuple[str, ...] = ()

    @property
    def api_version(self) -> str:
        return self.prefix.split("/", 2)[2]


_CORE = "io.k8s.api.core.v1."
RESOURCES = {
    resource.plural: resource
    for resource in (
        Resource("pods", "Pod", f"{_CORE}Pod", subresources=("status", "log", "binding", "eviction")),
        Resource("configmaps", "ConfigMap", f"{_CORE}ConfigMap"),
        Resource("secrets", "Secret", f"{_CORE}Secret"),
        Resource("persistentvolumeclaims", "PersistentVolumeClaim", f"{_CORE}PersistentVolumeClaim", "/api/v1"),
        Resource("serviceaccounts", "ServiceAccount", f"{_CORE}ServiceAccount"),
        Resource("events", "Event", f"{_CORE}Event"),
        Resource("nodes", "Node", f"{_CORE}Node", namespaced=False, subresources=("status",)),
        Resource("namespaces", "Namespace", f"{_CORE}Namespace", namespaced=False),
        Resource("jobs", "Job", "io.k8s.api.batch.v1.Job", "/apis/batch/v1", subresources=("status",)),
    )
}

_TERM = re.compile(r"\s*(!?)([-\w./]+)\s*(?:(==|=|!=|\bin\b|\bnotin\b)\s*(\([^)]*\)|[-\w.]*))?\s*(?:,|$)")


def matches_labels(obj: Object, selector: str) -> bool:
    """Return whether the labels of an object match a selector, such as `a=b,c in (d, e),!f`.

    Raises:
        ApiError: if the selector is malformed.
    """
    labels = obj["metadata"].get("labels") or {}
    position = 0
    while position < len(selector):
        term = _TERM.match(selector, position)
        if not term:
            raise ApiError(400, "BadRequest", f"unable to parse requirement: {selector!r}")
        if not _matches(labels, *term.groups()):
            return False
        position = term.end()
    return True


def _matches(labels: dict[str, str], absent: str, key: str, operator: str | None, operand: str | None) -> bool:
    if not operator:
        return (key in labels) != bool(absent)
    values = [value.strip() for value in (operand or "").strip("()").split(",")]
    negated = operator in ("!=", "notin")
    return (labels.get(key) in values) != negated


def matches_fields(obj: Object, selector: str) -> bool:
    """Return whether fields of an object have the values of a selector, such as `metadata.name=x`."""
    for term in filter(None, selector.split(",")):
        path, operator, expected = re.split(r"(!=|==|=)", term, maxsplit=1)
        value: object = obj
        for name in path.strip().split("."):
            value = value.get(name) if isinstance(value, dict) else None
        if (str(value if value is not None else "") == expected.strip()) != (operator != "!="):
            return False
    return True
