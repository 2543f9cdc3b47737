"""Node selectors, tolerations and node affinity as Kubernetes has them: the nodes that a pod may run on.

The rules are those of the KFP backend (`backend/src/v2/driver/k8s.go`, `extendPodSpecPatch`, at 7b70c7b).
"""

from __future__ import annotations

from collections.abc import Callable

from standpipe.model.types import Json
from standpipe.model.values import Value
from standpipe.pods.config_fields import ConfigFields
from standpipe.pods.settings import Name, SettingError, read_reference

_REQUIRED, _PREFERRED = (f"{kind}DuringSchedulingIgnoredDuringExecution" for kind in ("required", "preferred"))

_Resolve = Callable[[Name], Value]


def node_selector(fields: ConfigFields, resolve: _Resolve) -> Json:
    """Return the labels that a node must have. Those of a parameter win; without a value, it selects nothing."""
    selector = fields.inner("nodeSelector")
    if "nodeSelectorJson" in selector:
        return _resolve_object(selector, "nodeSelectorJson", resolve) or {}
    return dict[str, Json](selector.texts("labels"))


def tolerations(fields: ConfigFields, resolve: _Resolve) -> list[Json]:
    """Return the taints of nodes that the pod tolerates. A parameter has one toleration, or a list of them."""
    found: list[Json] = []
    for entry in fields.entries("tolerations"):
        if "tolerationJson" in entry:
            value = resolve(read_reference(entry.inner("tolerationJson")))
            if value is not None and not isinstance(value, (dict, list)):
                raise SettingError(f"expected a toleration or a list of them, got {value!r}")
            found.extend(_to_json(each) for each in (value if isinstance(value, list) else [value]) if each)
        else:
            texts: dict[str, Json] = {name: entry.text(name) for name in ("key", "operator", "value", "effect")}
            seconds = {"tolerationSeconds": entry.number("tolerationSeconds")} if "tolerationSeconds" in entry else {}
            found.append({**{name: text for name, text in texts.items() if text}, **seconds})
    return found


def node_affinity(fields: ConfigFields, resolve: _Resolve) -> Json:
    """Return the affinity of the pod; empty if it has none. A term with a weight is a preference, others are required.

    The terms of a parameter are added to them; without a value, it adds none.
    """
    required: list[Json] = []
    preferred: list[Json] = []
    for entry in fields.entries("nodeAffinity"):
        if "nodeAffinityJson" in entry:
            affinity = _resolve_object(entry, "nodeAffinityJson", resolve) or {}
            terms = affinity.get(_REQUIRED)
            required.extend(_list(terms.get("nodeSelectorTerms")) if isinstance(terms, dict) else ())
            preferred.extend(_list(affinity.get(_PREFERRED)))
            continue
        term: dict[str, Json] = {
            field: [_requirement(each) for each in entry.entries(field)]
            for field in ("matchExpressions", "matchFields")
            if entry.entries(field)
        }
        weight = entry.number("weight") if "weight" in entry else None
        if term and weight is not None:
            preferred.append({"weight": weight, "preference": term})
        elif term:
            required.append(term)
    parts: dict[str, Json] = {}
    if required:
        parts[_REQUIRED] = {"nodeSelectorTerms": required}
    if preferred:
        parts[_PREFERRED] = preferred
    return {"nodeAffinity": parts} if parts else {}


def _requirement(entry: ConfigFields) -> Json:
    values = [*entry.list_of_texts("values")]
    return {"key": entry.text("key"), "operator": entry.text("operator"), **({"values": values} if values else {})}


def _resolve_object(fields: ConfigFields, field: str, resolve: _Resolve) -> dict[str, Json] | None:
    """Return the value of a parameter that is an object; None if it has none.

    Raises:
        SettingError: if it is something else.
    """
    value = resolve(read_reference(fields.inner(field)))
    if value is not None and not isinstance(value, dict):
        raise SettingError(f"expected an object for {field}, got {value!r}")
    return None if value is None else {key: _to_json(each) for key, each in value.items()}


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []


def _to_json(value: object) -> Json:
    """Return a value that came from JSON, without the types that artifacts would have."""
    if isinstance(value, dict):
        return {str(key): _to_json(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_to_json(each) for each in value]
    if isinstance(value, float) and value.is_integer():  # numbers of Struct are doubles
        return int(value)
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    raise SettingError(f"expected values of JSON, got {value!r}")
