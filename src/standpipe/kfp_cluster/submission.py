"""The submission of a pipeline to a KFP cluster, as `kfp.Client` does it (kfp 2.17.3, `kfp/client/client.py`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from standpipe import ir
from standpipe.errors import ArgumentError
from standpipe.kfp_cluster.api import KfpApi, get_text
from standpipe.model.plan import Plan
from standpipe.model.types import Json
from standpipe.model.values import Value, find_artifacts

#: The experiment of runs in a namespace, where the API demands one.
_DEFAULT_EXPERIMENT = "Default"


@dataclass(frozen=True)
class Submission:
    """What a user wants of a run, besides its arguments. Empty texts leave the choice to the cluster.

    Attributes:
        name: the name of the run; by default that of the pipeline, and the time.
        experiment: the experiment of the run; it is created if it is missing.
        namespace: the namespace of the experiment, on a cluster with several users.
        pipeline_root: the URI below which the artifacts of the run are stored.
        service_account: the service account of Kubernetes that its tasks have.
        caching: whether tasks may be cached; True leaves that to the pipeline.
    """

    name: str = ""
    experiment: str = ""
    namespace: str = ""
    pipeline_root: str = ""
    service_account: str = ""
    caching: bool = True


def submit_run(api: KfpApi, plan: Plan, arguments: Mapping[str, Value], submission: Submission) -> str:
    """Create a run of a pipeline, and return its id.

    Args:
        api: the cluster.
        plan: the pipeline.
        arguments: the values of its inputs.
        submission: what else the user wants.

    Raises:
        ArgumentError: if an argument is an artifact.
        SpecError: if the pipeline is invalid.
        ClusterError: if the cluster cannot be reached, or refuses.
    """
    body = make_run(plan, arguments, submission)
    if submission.experiment or submission.namespace:
        name = submission.experiment or _DEFAULT_EXPERIMENT
        body["experiment_id"] = api.find_experiment(name, submission.namespace)
    return get_text(api.create_run(body), "run_id")


def make_run(plan: Plan, arguments: Mapping[str, Value], submission: Submission) -> dict[str, Json]:
    """Return the run that the API is to create, but for its experiment.

    Raises:
        ArgumentError: if an argument is an artifact.
        SpecError: if the pipeline is invalid.
    """
    for name, value in arguments.items():
        if any(find_artifacts([value])):
            raise ArgumentError(
                f"Cannot submit the artifact for input {name!r}: a KFP cluster takes parameters only. Import it "
                "in the pipeline, with dsl.importer, and pass its URI."
            )
    spec, platforms = ir.emit(plan), ir.emit_platforms(plan)
    if not submission.caching:
        spec = _disable_caching(spec)
    root = {"pipeline_root": submission.pipeline_root} if submission.pipeline_root else {}
    run: dict[str, Json] = {
        "display_name": submission.name or f"{plan.name} {datetime.now():%Y-%m-%d %H-%M-%S}",
        "pipeline_spec": {"pipeline_spec": spec, "platform_spec": platforms} if platforms else spec,
        "runtime_config": {"parameters": dict(arguments), **root},
        "service_account": submission.service_account,
    }
    return {name: value for name, value in run.items() if value}


def _disable_caching(spec: dict[str, Any]) -> dict[str, Any]:
    """Return a PipelineSpec whose tasks are not cached. `kfp.Client` leaves out tasks in conditions and loops."""
    components = {name: _disable_in(each) for name, each in (spec.get("components") or {}).items()}
    changed = {**spec, "root": _disable_in(spec["root"])}
    return {**changed, "components": components} if components else changed


def _disable_in(component: dict[str, Any]) -> dict[str, Any]:
    if "dag" not in component:
        return component
    return {**component, "dag": {**component["dag"], "tasks": dict(_uncached_tasks(component["dag"]))}}


def _uncached_tasks(dag: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, task in (dag.get("tasks") or {}).items():
        yield name, {**task, "cachingOptions": {}}  # protobuf leaves out `false`
