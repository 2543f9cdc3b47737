"""Runs of a cluster in the run store of this machine, where all commands for runs know them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import NamedTuple

from standpipe.engine.machine import Machine
from standpipe.errors import InternalError, NoSuchRun, StorageError
from standpipe.history.progress import NewRunProgress
from standpipe.kfp_cluster.cluster import Cluster
from standpipe.kfp_cluster.fact_lookup import find_failed_task, find_unknown_inputs, identify
from standpipe.kfp_cluster.facts import ClusterRun, DatedFact, tell_facts
from standpipe.kfp_cluster.logs import keep_logs, list_logs, write_logs
from standpipe.kfp_cluster.payloads import Fetch, fetch_payloads, find_namespace, use_payloads
from standpipe.model.events import Fact, RunEnded
from standpipe.model.layout import PULLED_FOLDER, StateLayout
from standpipe.model.refs import RunId, RunInfo
from standpipe.runs.launch import make_run_folder
from standpipe.runs.pulled import PulledRun, mark_ended, read_mark, write_mark
from standpipe.store.locks import RunLock, is_pulled_in_progress
from standpipe.store.reading import StoredFacts
from standpipe.store.runs import RunRecorder
from standpipe.support.locks import lock_temporary_file
from standpipe.support.notices import warn
from standpipe.support.secrets import make_redactor
from standpipe.support.umask import restrict_umask
from standpipe.support.untrusted_files import remove_path


class Pulled(NamedTuple):
    """A run that is in the store now: its id there, and the inputs that are not known, by the paths of tasks.

    `in_progress` is whether it has not ended. `failed_task` is the path of the first task that failed; empty if none
    did. `is_kept` is whether the store has what an earlier pull has brought, because ML Metadata could not be read now.
    """

    id: RunId
    unknown_inputs: Mapping[str, Sequence[str]]
    in_progress: bool
    failed_task: str = ""
    is_kept: bool = False


def pull_run(
    root: Path,
    cluster: Cluster,
    run_id: str,
    make_fetch: Callable[[str], Fetch] | None = None,
    inputs_of: str = "",
    on_wait: Callable[[], None] = lambda: None,
) -> Pulled:
    """Write a run of a cluster, as far as it has got; one that is there already is brought up to date.

    Args:
        root: the pipeline root.
        cluster: where the run is.
        run_id: its id there.
        make_fetch: returns what fetches the payloads of its artifacts, from the namespace of the run, which is empty if
            it is not known; None to leave them where they are.
        inputs_of: the task whose inputs are fetched alone; empty for all artifacts.
        on_wait: called if another process or thread pulls the run, whose end is waited for.

    Raises:
        NoSuchRun: if the cluster has no such run.
        ArgumentError: if no task `inputs_of` has started.
        ClusterError: if the cluster cannot be reached, or refuses.
        StorageError: if the pipeline root cannot be written.
    """
    with restrict_umask(), _lock_pull(root, run_id, on_wait):
        return _pull(root, cluster, run_id, make_fetch, inputs_of)


@contextmanager
def _lock_pull(root: Path, run_id: str, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold the lock of a run of a cluster for the length of a block: two pulls at once must not make two runs of it."""
    with ExitStack() as stack:
        try:
            root.mkdir(parents=True, exist_ok=True)
            lock = lock_temporary_file(StateLayout(root).pull_lock(run_id), keep_waiting=lambda: None, on_wait=on_wait)
            stack.enter_context(lock)
        except OSError as error:
            raise StorageError(
                f"Cannot lock run {run_id} in the pipeline root {root}: {error.strerror} ({error.filename or root}). "
                "Check that you may write to it and that its file system has locks, or choose another one: --root."
            ) from error
        yield


def _pull(
    root: Path, cluster: Cluster, run_id: str, make_fetch: Callable[[str], Fetch] | None, inputs_of: str
) -> Pulled:
    # By its id alone: the host may have had another address.
    known = next((each for each in find_pulled(root) if each[1].id == run_id), None)
    run = cluster.read_run(run_id, with_artifacts=True)
    if known and known[1].has_metadata and cluster.metadata_problem:
        return Pulled(known[0], known[1].unknown_inputs, is_pulled_in_progress(root / known[0]), is_kept=True)
    fetch_all: Callable[[Path], None] | None = None
    if make_fetch:
        fetch = make_fetch(find_namespace(run.root))
        fetch_all = partial(fetch_payloads, run.root, fetch=fetch, task=inputs_of)
    folder = root / known[0] if known else make_run_folder(root, run.plan.name)
    with RunLock(folder):
        try:
            return _write_run(folder, cluster, run_id, run, known[1].logs if known else {}, fetch_all)
        except BaseException:
            if not known and not _read_facts(root, folder.name):
                remove_path(folder, root)
            raise


def find_pulled(root: Path) -> Iterator[tuple[RunId, PulledRun]]:
    """Yield the runs below a pipeline root that were pulled, and where they come from."""
    for folder in sorted(root.glob(f"*/{PULLED_FOLDER}")):
        pulled = read_mark(folder.parent)
        if pulled:
            yield folder.parent.name, pulled


def _write_run(
    folder: Path,
    cluster: Cluster,
    run_id: str,
    run: ClusterRun,
    logs: Mapping[str, str],
    fetch: Callable[[Path], None] | None,
) -> Pulled:
    root, payloads = folder.parent, folder / PULLED_FOLDER
    cluster.fetch_logs(run_id, run)
    keep_logs(run.root, folder, logs)
    write_logs(run.root, folder)
    if fetch:
        fetch(payloads)
    use_payloads(run.root, payloads)
    facts = tell_facts(run)
    info = _describe(run, folder, root, run_id)
    _replay(run, info, [fact for _, fact in facts])
    unknown = find_unknown_inputs(run, facts)
    mark = PulledRun(cluster.host, run_id, unknown, list_logs(run.root), has_metadata=not cluster.metadata_problem)
    write_mark(folder, mark)
    _store(root, info, run, facts)
    if run.has_ended:
        mark_ended(folder)
    return Pulled(folder.name, unknown, not run.has_ended, find_failed_task(run, facts))


def _store(root: Path, info: RunInfo, run: ClusterRun, facts: Sequence[DatedFact]) -> None:
    """Store the facts of a run: those that are new, or all of them in place of those that an earlier pull has brought.

    The cluster may tell other facts than before: for instance after a retry of the run, or with payloads that are here.
    It is one transaction: a process that is killed leaves what the earlier pull has brought, or has replaced it.
    """
    stored = _read_facts(root, info.id)
    new = _find_new(run, info, stored, facts)
    replaces = new is None
    if new is None:
        stored, new = [], list(facts)
    elif not new:
        return
    outline = NewRunProgress()
    for each in stored:
        outline.apply(*each)
    redactor = make_redactor((), run.plan, {}, {}, warn)
    recorder = RunRecorder(
        root, info, run.plan, redactor=redactor, recorded=len(stored), replaces=replaces, outline=outline
    )
    with closing(recorder):
        recorder.append(new)


def _read_facts(root: Path, run: RunId) -> list[DatedFact]:
    """Return the facts of a run; none if the store does not have it."""
    store = StoredFacts(root)
    try:
        return [DatedFact(*each) for each in store.facts_since(run, until=store.run(run).length)]
    except NoSuchRun:
        return []


def _find_new(
    run: ClusterRun, info: RunInfo, stored: Sequence[DatedFact], facts: Sequence[DatedFact]
) -> list[DatedFact] | None:
    """Return the facts that are not stored; None if those that are stored cannot stay."""
    current, known = {identify(fact): fact for _, fact in facts}, {identify(fact) for _, fact in stored}
    if any(current.get(identify(fact)) != fact for _, fact in stored):
        return None
    new = [each for each in facts if identify(each.fact) not in known]
    if new and stored and isinstance(stored[-1].fact, RunEnded):
        return None
    try:
        _replay(run, info, [fact for _, fact in (*stored, *new)])
    except InternalError:
        return None  # the cluster tells another order than before
    return new


def _replay(run: ClusterRun, info: RunInfo, facts: Iterable[Fact]) -> None:
    """Raise an InternalError if the engine could not replay the facts, before anything is written."""
    machine = Machine(run.plan, info, max_parallel=1)
    for fact in facts:
        machine.apply(fact)


def _describe(run: ClusterRun, folder: Path, root: Path, run_id: str) -> RunInfo:
    created = datetime.fromtimestamp(run.start, timezone.utc).isoformat(timespec="milliseconds")
    try:
        own = str(uuid.UUID(run_id))
    except ValueError:
        own = str(uuid.uuid5(uuid.NAMESPACE_URL, run_id))
    name = run.plan.display_name or run.plan.name
    return RunInfo(folder.name, own, name, created.replace("+00:00", "Z"), str(root))
