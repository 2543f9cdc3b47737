"""The names of all files and folders that runs leave, and the paths that they make up.

```text
<root>/                         StateLayout: the user's `pipeline_root`
  runs.sqlite
  cache.sqlite                  unless the user chose another `cache_root`
  pvcs/<name>/
  .deleted/<run id>/            what is left to remove of a run that was deleted
  .actions/                     logs of the commands that the web UI started
  .pull-<id>                    as long as a run of another system is pulled
  .payloads/<digest>/           a payload that was downloaded from an object store
  <run id>/                     one run
    .running
    .stop
    .workspace/
      .artifacts/
    .standby/<digits>/          becomes the folder of an attempt whose container waits for it
    .pulled/                    where the run comes from, if another system has executed it, and its artifacts
    .lost/<digits>/             what was where the folder of a new attempt has to be, at its path in the run
    <task>/                     the folder of a task, and of its first attempt
    <task>@1/                   the folder of its attempt 1
      log.txt
      request.json
      error.json
      usage.json
      executor_output.json
      paused.txt
      .modules/
      <output>
```

Only the payloads of artifacts may be remote: an artifact store (`model.ports.ArtifactStore`) locates them.
Everything else is the state of runs, and always on this machine.
"""

from __future__ import annotations

import uuid
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote

from standpipe.model.frozen import frozen
from standpipe.model.refs import RunId, TaskRef

#: The endings of compiled files; other files that commands take are scripts.
COMPILED_ENDINGS = (".yaml", ".yml", ".json")

#: The run store: the facts of all runs, and their Plans.
RUN_STORE_FILE = "runs.sqlite"

#: The index of the cache.
CACHE_FILE = "cache.sqlite"

#: The folder of the PVCs that pipelines create or claim.
VOLUMES_FOLDER = "pvcs"

#: Below a root: a folder for each run that is being deleted.
DELETED_FOLDER = ".deleted"

#: Below a root: payloads of object stores, as far as tasks on this machine have read them.
PAYLOADS_FOLDER = ".payloads"


def payload_entry(digest: str) -> str:
    """Return the name of the entry of a content."""
    return digest.replace(":", "-")


#: Below a root: logs of the commands that the web UI started.
ACTIONS_FOLDER = ".actions"

#: Locked by the process that drives the run.
LOCK_FILE = ".running"

#: Left by a process that asks the run to stop.
STOP_FILE = ".stop"

#: The workspace of a run whose user named no other.
WORKSPACE_FOLDER = ".workspace"

#: Where importers put what they download, below a workspace, as on a cluster (`worker.artifacts` has it, too).
DOWNLOADS_FOLDER = ".artifacts"

#: Below a run's folder: folders of attempts that the run store knows nothing of, and what tasks put where the folder of
#: a later attempt has to be.
LOST_FOLDER = ".lost"

#: Below a run's folder: folders that containers see already, of attempts that are expected to start soon.
STANDBY_FOLDER = ".standby"

#: Below a run's folder: where the run comes from, if another system has executed it, and payloads from there.
PULLED_FOLDER = ".pulled"

#: In that folder, as long as the other system executes the run.
IN_PROGRESS_FILE = "in-progress"

#: Below a root, the beginning of a name: locked by the process that pulls a run of another system, whose id follows.
PULL_LOCK_PREFIX = ".pull-"

#: Everything that an attempt printed.
LOG_FILE = "log.txt"

#: What a task tells by KFP's contract; its path is part of the executor input.
EXECUTOR_OUTPUT_FILE = "executor_output.json"

#: What the worker has to do. It contains the paths of the next two.
REQUEST_FILE = "request.json"
ERROR_FILE = "error.json"
USAGE_FILE = "usage.json"

#: Exists while the attempt is paused, and says where (`task.set_debug_pause`).
PAUSE_FILE = "paused.txt"

#: The author's modules that the task may import, for its child processes (`worker.process_state` has it, too).
MODULES_FOLDER = ".modules"

#: The files in the folder of an attempt that are not outputs of its task.
ATTEMPT_FILES = frozenset(
    {LOG_FILE, EXECUTOR_OUTPUT_FILE, REQUEST_FILE, ERROR_FILE, USAGE_FILE, PAUSE_FILE, MODULES_FOLDER}
)

#: The most bytes in a file name that we make. Most file systems take 255, and the id of a run adds the time.
_MAX_FILE_NAME = 200


@frozen
class StateLayout:
    """The paths of everything but artifacts that runs below one root leave.

    Args:
        root: the absolute path of the user's `pipeline_root`.
    """

    root: Path

    @property
    def run_store(self) -> Path:
        """The file of the run store."""
        return self.root / RUN_STORE_FILE

    @property
    def volumes(self) -> Path:
        """The folder of the PVCs that pipelines create or claim; each is a folder in it."""
        return self.root / VOLUMES_FOLDER

    @property
    def deleted(self) -> Path:
        """The folder of what is left to remove of deleted runs."""
        return self.root / DELETED_FOLDER

    @property
    def payloads(self) -> Path:
        """The folder of the payloads that were downloaded from object stores."""
        return self.root / PAYLOADS_FOLDER

    def payload(self, entry: str) -> Path:
        """The file or folder of a payload of an object store, by the name of its entry, on this machine."""
        return self.payloads / entry / "payload"

    def pull_lock(self, run: str) -> Path:
        """Return the file that the process locks which pulls a run of another system, by the id of the run there."""
        return self.root / f"{PULL_LOCK_PREFIX}{file_name(run)}"

    @property
    def actions(self) -> Path:
        """The folder of the logs of commands that the web UI started."""
        return self.root / ACTIONS_FOLDER

    def run_folder(self, run: RunId) -> Path:
        """Return the folder of a run."""
        return self.root / run


def task_folder(run_folder: Path, task: TaskRef) -> Path:
    """Return the folder of a task, which is that of its first attempt and holds those of the tasks in it."""
    return run_folder.joinpath(*task_segments(task))


def attempt_folder(run_folder: Path, task: TaskRef, attempt: int) -> Path:
    """Return the folder of an attempt, counted from 0. The `@` keeps the later ones apart from every task's."""
    folder = task_folder(run_folder, task)
    return folder.with_name(f"{folder.name}@{attempt}") if attempt else folder


def task_segments(task: TaskRef) -> tuple[str, ...]:
    """Return the names of the folders from a run's own down to a task's."""
    return tuple(
        part
        for name, iteration in task.path
        for part in ((file_name(name),) if iteration is None else (file_name(name), str(iteration)))
    )


@lru_cache(maxsize=1024)  # all iterations of a loop have the same names
def file_name(name: str) -> str:
    """Return the name of the file or folder for a task or an output: the name itself wherever that is safe.

    It contains no dot and no `@`, so that it never equals a name in this module. A digest replaces the end of a name
    that is too long for file systems. The empty name, which a compiled file may have, is `=`.
    """
    quoted = quote(name, safe=" ", errors="surrogatepass").replace(".", "%2E")
    if len(quoted) <= _MAX_FILE_NAME:
        return quoted or "="
    digest = uuid.uuid5(uuid.NAMESPACE_OID, quoted).hex
    return f"{quoted[: _MAX_FILE_NAME - len(digest) - 1]}={digest}"  # a quoted name contains no `=`
