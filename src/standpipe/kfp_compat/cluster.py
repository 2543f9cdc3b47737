"""Stand-ins for the parts of the KFP SDK that talk to a cluster, where the SDK is not installed.

Many scripts import them at the top and use them in a branch that a local run does not take. So they can be imported,
named in annotations, subclassed and mocked; a call raises an error that says what to install.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from standpipe.errors import StandpipeError

_SOURCE = __name__

#: The results of a `PipelinesClient`.
CLIENT_TYPES = (
    "Experiment ListExperimentsResponse ListPipelineVersionsResponse ListPipelinesResponse ListRunsResponse Pipeline "
    "PipelineVersion Run"
)

#: The modules of the SDK 2.17.3 that talk to a cluster, with their public names, as in `modules.MODULES`.
CLUSTER_MODULES: Mapping[str, Mapping[str, str]] = {
    "kfp.cli": {},
    "kfp.cli.cli": {_SOURCE: "cli"},
    "kfp.client": {_SOURCE: "Client ServiceAccountTokenVolumeCredentials TokenCredentialsBase"},
    "kfp.client.auth": {
        _SOURCE: "get_auth_token get_auth_token_from_sa get_gcp_access_token get_google_open_id_connect_token "
        "get_service_account_credentials id_token_from_refresh_token"
    },
    "kfp.client.client": {_SOURCE: "Client RunPipelineResult validate_pipeline_display_name"},
    "kfp.client.set_volume_credentials": {_SOURCE: "ServiceAccountTokenVolumeCredentials"},
    "kfp.client.token_credentials_base": {_SOURCE: "TokenCredentialsBase read_token_from_file"},
    "kfp.kubeflow_client": {_SOURCE: f"{CLIENT_TYPES} KubernetesBackendConfig PipelinesClient"},
    "kfp.kubeflow_client.api": {},
    "kfp.kubeflow_client.api.pipelines_client": {_SOURCE: "PipelinesClient"},
    "kfp.kubeflow_client.constants": {
        _SOURCE: "RUN_CANCELED RUN_CANCELING RUN_COMPLETE RUN_FAILED RUN_PAUSED RUN_PENDING RUN_RUNNING RUN_SKIPPED "
        "RUN_SUCCEEDED TERMINAL_STATES"
    },
    "kfp.kubeflow_client.types": {_SOURCE: CLIENT_TYPES},
    "kfp.registry": {_SOURCE: "ApiAuth RegistryClient"},
    "kfp.registry.registry_client": {_SOURCE: "ApiAuth RegistryClient"},
}

#: The public methods of the classes that scripts call, so that mocks of the classes have them, too.
METHODS: Mapping[str, str] = {
    "Client": (
        "archive_experiment archive_run create_experiment create_recurring_run create_run_from_pipeline_func "
        "create_run_from_pipeline_package delete_experiment delete_job delete_pipeline delete_pipeline_version "
        "delete_recurring_run delete_run disable_job disable_recurring_run enable_job enable_recurring_run "
        "get_experiment get_kfp_healthz get_pipeline get_pipeline_id get_pipeline_version get_recurring_run get_run "
        "get_user_namespace list_experiments list_pipeline_versions list_pipelines list_recurring_runs list_runs "
        "run_pipeline set_user_namespace terminate_run unarchive_experiment unarchive_run upload_pipeline "
        "upload_pipeline_from_pipeline_func upload_pipeline_version upload_pipeline_version_from_pipeline_func "
        "wait_for_run_completion"
    ),
    "PipelinesClient": (
        "create_experiment delete_experiment delete_pipeline get_experiment get_pipeline get_pipeline_version get_run "
        "list_experiments list_pipeline_versions list_pipelines list_runs run upload_pipeline wait_for_run_status"
    ),
    "RegistryClient": (
        "create_tag delete_package delete_tag delete_version download_pipeline get_package get_tag get_version "
        "list_packages list_tags list_versions update_tag upload_pipeline"
    ),
    "RunPipelineResult": "wait_for_run_completion",
    "ServiceAccountTokenVolumeCredentials": "refresh_api_key_hook",
    "TokenCredentialsBase": "refresh_api_key_hook",
}

# The states of runs on a cluster, which scripts name in arguments.
RUN_CANCELED, RUN_CANCELING, RUN_FAILED, RUN_PAUSED = "canceled", "canceling", "failed", "paused"
RUN_PENDING, RUN_RUNNING, RUN_SKIPPED = "pending", "running", "skipped"
RUN_COMPLETE = RUN_SUCCEEDED = "succeeded"
TERMINAL_STATES = frozenset({RUN_CANCELED, RUN_FAILED, RUN_SKIPPED, RUN_SUCCEEDED})

#: The modules where users look for the names, for messages.
_HOMES = {
    name: module
    for module in sorted(CLUSTER_MODULES, reverse=True)
    for name in CLUSTER_MODULES[module].get(_SOURCE, "").split()
}


class SdkNotInstalled(StandpipeError, ImportError):
    """A part of the KFP SDK that talks to a cluster is used, and the SDK is not installed."""

    exit_code = 4


def explain_not_installed(name: str) -> str:
    """Return that a name of `kfp` needs the KFP SDK, and what to do."""
    return (
        f"{name} is not part of Standpipe, which replaces `kfp` in this process. It talks to a cluster, and is part of "
        "the KFP SDK, which is not installed in this environment. Install it with `pip install kfp`. Local runs do not "
        "need it: run the pipeline with `local.run(...)` instead."
    )


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return _make(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@functools.cache
def _make(name: str) -> Any:
    """Return the stand-in for a class or a function of the SDK."""
    refuse = _refuse(f"kfp.{name}" if name == "Client" else f"{_HOMES[name]}.{name}")
    if name[0].islower():
        return refuse
    methods = dict.fromkeys(("__init__", *METHODS.get(name, "").split()), refuse)
    return type(name, (), {**methods, "__doc__": f"Stands in for {name} of the KFP SDK.", "__module__": __name__})


def _refuse(name: str) -> Callable[..., NoReturn]:
    def refuse(*args: Any, **kwargs: Any) -> NoReturn:
        raise SdkNotInstalled(explain_not_installed(name))

    return refuse
