"""The logs of tasks that did not succeed, from the web page of KFP, which reads those of pods as long as they exist."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path
from urllib.parse import urlencode

from standpipe.errors import ClusterError, StorageError
from standpipe.kfp_cluster.http import Answer, HttpClient
from standpipe.kfp_cluster.records import Record, walk_tasks
from standpipe.model.layout import LOG_FILE, attempt_folder
from standpipe.model.states import TaskState
from standpipe.support.terminal_text import strip_controls

#: How many logs are fetched: the first failure is usually the cause of the others.
_MAX_LOGS = 20

#: The lines of a log that a failure shows, and what the last line of Python's tracebacks looks like.
_TAIL = 20
_EXCEPTION = re.compile(r"^[A-Za-z_][\w.]*(?:Error|Exception|Exit|Interrupt|Warning)\b.*$", re.MULTILINE)

#: How the answer of the API server begins if it cannot read a log.
_ERROR = b'{"error_message":'


def fetch_logs(http: HttpClient, run_id: str, root: Record) -> None:
    """Add the logs of tasks that failed or are running to their records; those that cannot be read are left out.

    A task whose pod was killed is running for the cluster, also after the end of the run.

    Args:
        http: the host of KFP's web page.
        run_id: the id of the run.
        root: the run.
    """
    for record in islice(_find_unsuccessful(root), _MAX_LOGS):
        try:
            answer = http.get(log_path(run_id, record.pod))
        except ClusterError:
            return  # the failures say how to read the logs there
        if is_log(answer):
            record.log = answer.body.decode("utf-8", "replace")


def write_logs(root: Record, folder: Path) -> None:
    """Write the logs that were fetched into the folder of a run.

    Raises:
        StorageError: if a file cannot be written.
    """
    for task, record in walk_tasks(root):
        if record.log:
            path = attempt_folder(folder, task, 0) / LOG_FILE
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(record.log, encoding="utf-8")
            except OSError as error:
                raise StorageError(f"Cannot write the log {path}: {error.strerror}.") from error


def log_path(run_id: str, pod: str) -> str:
    """Return the path of the log of a pod, which is named as in `Record.pod`, on the page."""
    namespace, _, name = pod.rpartition("/")
    query = {"podname": name, "runid": run_id, **({"podnamespace": namespace} if namespace else {})}
    return f"k8s/pod/logs?{urlencode(query)}"


def is_log(answer: Answer) -> bool:
    """Return whether an answer is the log of a pod.

    Where the page lets the API server answer, an error has the status of a success (`run_log_server.go`).
    """
    return answer.status == 200 and not answer.is_html and not answer.body.startswith(_ERROR)


def list_logs(root: Record) -> dict[str, str]:
    """Return the pods whose logs were fetched, by the paths of tasks."""
    return {str(task): record.pod for task, record in walk_tasks(root) if record.log}


def keep_logs(root: Record, folder: Path, logs: Mapping[str, str]) -> None:
    """Add logs to records that were fetched before their pods were deleted.

    Args:
        root: the run.
        folder: its folder.
        logs: what `list_logs` returned then.
    """
    for task, record in walk_tasks(root):
        if not record.log and record.pod and logs.get(str(task)) == record.pod:
            with suppress(OSError):  # it was removed since
                path = attempt_folder(folder, task, 0) / LOG_FILE
                record.log = path.read_text(encoding="utf-8", errors="replace")


def find_exception(log: str) -> str:
    """Return the last exception of Python in a log; empty if there is none."""
    found = _EXCEPTION.findall(strip_controls(log))
    return found[-1].strip() if found else ""


def tail(log: str) -> str:
    """Return the last lines of a log."""
    return strip_controls("\n".join(log.splitlines()[-_TAIL:]))


def _find_unsuccessful(root: Record) -> Iterator[Record]:
    for _, record in walk_tasks(root):
        is_executor = not record.parts and not record.iterations
        if is_executor and record.pod and record.state in (TaskState.FAILED, TaskState.RUNNING):
            yield record
