"""Which nodes of a cluster a task may run on: node selectors, node affinity and tolerations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any

from standpipe.dsl.kubernetes.settings import KubernetesSettings
from standpipe.dsl.tracing.channels import PipelineParameterChannel
from standpipe.dsl.tracing.source_locations import warn_caller
from standpipe.dsl.tracing.tasks import PipelineTask
from standpipe.model.types import Json
from standpipe.model.values import preview

_OPERATORS = ("DoesNotExist", "Exists", "Gt", "In", "Lt", "NotIn")
_AFFINITIES = ("requiredDuringSchedulingIgnoredDuringExecution", "preferredDuringSchedulingIgnoredDuringExecution")


def add_node_selector(task: PipelineTask, label_key: str, label_value: str) -> PipelineTask:
    """Require a label of the node.

    Args:
        task: the task.
        label_key: the key of the label.
        label_value: its value.

    Returns:
        The task.

    Raises:
        AuthoringTypeError: if an argument is not text.
    """
    return KubernetesSettings(task, "add_node_selector").add_pair("nodeSelector", "labels", label_key, label_value)


def add_node_selector_json(task: PipelineTask, node_selector_json: PipelineParameterChannel | dict) -> PipelineTask:  # type: ignore[type-arg]
    """Require labels of the node, in place of those of `add_node_selector`. A later call replaces an earlier one.

    Args:
        task: the task.
        node_selector_json: the labels; they may be an input of the pipeline or an output of a task.

    Returns:
        The task.

    Raises:
        AuthoringError: if it is neither a dict nor a parameter.
    """
    settings = KubernetesSettings(task, "add_node_selector_json")
    reference = settings.reference("node_selector_json", node_selector_json, (str, dict))
    return settings.update("nodeSelector", {"nodeSelectorJson": reference})


def add_node_affinity(
    task: PipelineTask,
    match_expressions: Sequence[Mapping[str, Any]] | None = None,
    match_fields: Sequence[Mapping[str, Any]] | None = None,
    weight: int | None = None,
) -> PipelineTask:
    """Require or prefer nodes that match all of some expressions.

    Args:
        task: the task.
        match_expressions: requirements of labels of the node: dicts with `key`, `operator` and `values`.
        match_fields: requirements of fields of the node: the same.
        weight: from 1 to 100: such nodes are preferred; by default they are required.

    Returns:
        The task.

    Raises:
        AuthoringError: if a key or an operator is missing, or an operator or the weight is invalid.
        AuthoringTypeError: if an argument is of the wrong type.
    """
    settings = KubernetesSettings(task, "add_node_affinity")
    matches = {
        "matchExpressions": [_requirement(settings, "match_expressions", item) for item in match_expressions or ()],
        "matchFields": [_requirement(settings, "match_fields", item) for item in match_fields or ()],
    }
    term: dict[str, Json] = {field: requirements for field, requirements in matches.items() if requirements}
    if weight is not None:
        term["weight"] = settings.check_number("weight", weight, 1, 100)
    return settings.append("nodeAffinity", term)


def _requirement(settings: KubernetesSettings, argument: str, item: Mapping[str, Any]) -> dict[str, Json]:
    _check_keys(settings, argument, item, {"key", "operator", "values"})
    key, requirement = item.get("key"), item.get("operator")
    if not key:
        raise settings.error(f"expected a key in each dict of {argument}, got {preview(item)}")
    if requirement not in _OPERATORS:
        raise settings.error(
            f"expected the operator for {key!r} in {argument} to be one of {', '.join(_OPERATORS)}, got "
            f"{preview(requirement)}"
        )
    return settings.fields(key=key, operator=requirement, values=item.get("values"))


def add_node_affinity_json(task: PipelineTask, node_affinity_json: PipelineParameterChannel | dict) -> PipelineTask:  # type: ignore[type-arg]
    """Set the node affinity of the pod as Kubernetes writes it. A later call replaces an earlier one.

    Args:
        task: the task.
        node_affinity_json: the affinity; it may be an input of the pipeline or an output of a task.

    Returns:
        The task.

    Raises:
        AuthoringError: if it is neither a dict nor a parameter, or has a key that Kubernetes does not know.
    """
    settings = KubernetesSettings(task, "add_node_affinity_json")
    reference = settings.reference("node_affinity_json", node_affinity_json, (str, dict))
    if isinstance(node_affinity_json, dict):
        known = {name.lower() for name in _AFFINITIES}
        for key in node_affinity_json:
            if key.replace("_", "").lower() not in known:
                raise settings.error(f"expected the keys {' and '.join(_AFFINITIES)}, got {key!r}")
    terms = [term for term in settings.get("nodeAffinity") or () if "nodeAffinityJson" not in term]
    return settings.set("nodeAffinity", [*terms, {"nodeAffinityJson": reference}])


def add_toleration(
    task: PipelineTask,
    key: str | None = None,
    operator: str | None = None,
    value: str | None = None,
    effect: str | None = None,
    toleration_seconds: int | None = None,
) -> PipelineTask:
    """Tolerate a taint of the node.

    Args:
        task: the task.
        key: the key of the taint; by default all.
        operator: `Equal`, the default, or `Exists`, which tolerates all values.
        value: the value of the taint.
        effect: `NoSchedule`, `PreferNoSchedule` or `NoExecute`; by default all.
        toleration_seconds: how many seconds a taint with the effect `NoExecute` is tolerated; by default forever.

    Returns:
        The task.

    Raises:
        AuthoringTypeError: if an argument is of the wrong type.
    """
    settings = KubernetesSettings(task, "add_toleration")
    toleration = settings.fields(
        key=key, operator=operator, value=value, effect=effect, toleration_seconds=toleration_seconds
    )
    return settings.append("tolerations", toleration)


def add_toleration_json(
    task: PipelineTask,
    toleration_json: PipelineParameterChannel | list | dict,  # type: ignore[type-arg]
) -> PipelineTask:
    """Tolerate taints of the node.

    Args:
        task: the task.
        toleration_json: a dict with the arguments of `add_toleration`, or a list of such dicts. It may be an input of
            the pipeline or an output of a task, whose keys are then those of Kubernetes.

    Returns:
        The task.

    Raises:
        AuthoringError: if it is neither a dict, a list nor a parameter.
        AuthoringTypeError: if a part of it is of the wrong type.
    """
    settings = KubernetesSettings(task, "add_toleration_json")
    if not isinstance(toleration_json, (list, dict)):
        reference = settings.reference("toleration_json", toleration_json, (list, dict))
        return settings.append("tolerations", {"tolerationJson": reference})
    fields = ("key", "operator", "value", "effect", "toleration_seconds")
    for toleration in toleration_json if isinstance(toleration_json, list) else [toleration_json]:
        _check_keys(settings, "toleration_json", toleration, set(fields))
        add_toleration(task, **{field: toleration.get(field) for field in fields})
    return task


def _check_keys(settings: KubernetesSettings, argument: str, item: object, known: Set[str]) -> None:
    """Warn of keys that have no effect, as in kfp-kubernetes 2.17.3, which drops them silently.

    Raises:
        AuthoringTypeError: if it is not a dict.
    """
    if not isinstance(item, Mapping):
        raise settings.type_error(f"each item of {argument}", "a dict", item)
    for key in item:
        if key not in known:
            warn_caller(
                f"{settings.subject}: {key!r} in {argument} has no effect, as in the KFP SDK. The keys are "
                f"{', '.join(sorted(known))}."
            )
