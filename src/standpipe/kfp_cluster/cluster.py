"""A KFP cluster: its runs with all that it tells of them."""

from __future__ import annotations

from typing import Any

from standpipe import ir
from standpipe.errors import ArgumentError, ClusterError, SpecError, UnsupportedError
from standpipe.kfp_cluster import records
from standpipe.kfp_cluster.api import KfpApi, get_list, get_mapping, get_text, parse_time
from standpipe.kfp_cluster.facts import ClusterRun
from standpipe.kfp_cluster.http import HttpClient
from standpipe.kfp_cluster.live_logs import LiveLogs, ShowLine
from standpipe.kfp_cluster.logs import fetch_logs
from standpipe.kfp_cluster.metadata import Execution, MetadataStore, MetadataUnavailable
from standpipe.model.plan import Plan
from standpipe.model.states import TaskState
from standpipe.support.terminal_text import strip_controls

#: The states of runs in the API; all others are those of a run in progress.
_STATES = {
    "SUCCEEDED": TaskState.SUCCEEDED,
    "SKIPPED": TaskState.SUCCEEDED,
    "FAILED": TaskState.FAILED,
    "CANCELED": TaskState.CANCELLED,
}


class Cluster:
    """A KFP cluster.

    Args:
        http: its host.
        page: the URL of its web page; by default that of the host.

    Attributes:
        api: its REST API.
        metadata_problem: why ML Metadata could not be read, so that runs have no values; empty if it could.
    """

    def __init__(self, http: HttpClient, page: str = "") -> None:
        self.host = http.base
        self._http = http
        self.api = KfpApi(http, page)
        self._metadata = MetadataStore(http)
        self.metadata_problem = ""
        self._has_metadata = False

    @property
    def can_renew_login(self) -> bool:
        """Whether the login is in a file, which is read for each request."""
        return self._http.credentials.can_be_renewed

    def read_run(self, run_id: str, plan: Plan | None = None, *, with_artifacts: bool = False) -> ClusterRun:
        """Return a run as far as it has got.

        Args:
            run_id: its id.
            plan: its Plan, if the caller has it.
            with_artifacts: whether to read which artifacts its tasks have read and written.

        Raises:
            NoSuchRun: if the cluster has no such run.
            ClusterError: if the cluster cannot be reached, or refuses.
            ArgumentError: if the run is of another kind than those of KFP 2.
        """
        answer = self.api.get_run(run_id)
        plan = plan or self._load_plan(answer)
        executions = self._read_executions(run_id, with_artifacts=with_artifacts)
        details = get_list(get_mapping(answer, "run_details"), "task_details")
        root = records.from_executions(executions) if executions else records.from_task_details(details, plan)
        state = _STATES.get(str(answer.get("state")), TaskState.RUNNING)
        return ClusterRun(
            plan,
            get_mapping(get_mapping(answer, "runtime_config"), "parameters"),
            root,
            state,
            parse_time(answer.get("created_at")),
            parse_time(answer.get("finished_at")) if state.is_final else 0.0,
            _find_error(answer),
        )

    def open_logs(self, run_id: str, show: ShowLine) -> LiveLogs:
        """Return the logs of the tasks of a run, to be read while they run; see `LiveLogs`."""
        return LiveLogs(self._http, run_id, show)

    def fetch_logs(self, run_id: str, run: ClusterRun) -> None:
        """Add the logs of tasks that failed or are running to a run, as far as they can be read."""
        fetch_logs(self._http, run_id, run.root)

    def _read_executions(self, run_id: str, *, with_artifacts: bool) -> list[Execution]:
        """Return the executions of a run; none if MLMD is not there, which is tried once.

        Raises:
            MetadataUnavailable: if it was there before.
        """
        if self.metadata_problem:
            return []
        try:
            executions = self._metadata.read_executions(run_id)
            if with_artifacts:
                self._metadata.add_artifacts(executions)
        except MetadataUnavailable as error:
            if self._has_metadata:
                raise
            self.metadata_problem = str(error)
            return []
        self._has_metadata = True
        return executions

    def _load_plan(self, answer: dict[str, Any]) -> Plan:
        spec, run = answer.get("pipeline_spec"), answer.get("run_id")
        reference = get_mapping(answer, "pipeline_version_reference")
        if spec is None and reference:
            spec = self.api.get_pipeline_spec(
                get_text(reference, "pipeline_id"), get_text(reference, "pipeline_version_id")
            )
        if not isinstance(spec, dict):
            raise ClusterError(f"The cluster does not tell the pipeline of run {run}: it may have been deleted.")
        document, platform = spec, None
        if "pipeline_spec" in spec:  # with a PlatformSpec beside it, for settings of Kubernetes
            document, platform = spec["pipeline_spec"], spec.get("platform_spec")
        if not isinstance(document, dict) or "root" not in document:
            raise ArgumentError(f"Run {run} has no PipelineSpec: it is a run of KFP 1, which Standpipe cannot read.")
        try:
            return ir.load(document, platform)
        except (SpecError, UnsupportedError) as error:
            raise type(error)(f"The pipeline of run {run} cannot be read: {error}") from error


def _find_error(answer: dict[str, Any]) -> str:
    """Return what the cluster says of the failure of a run; empty if nothing."""
    statuses = [get_mapping(answer, "error")]
    statuses += [get_mapping(each, "error") for each in reversed(get_list(answer, "state_history"))]
    messages = (str(each.get("message") or "") for each in statuses)
    return next((strip_controls(" ".join(message.split())).rstrip(".") for message in messages if message), "")
