"""A run of a cluster on the console: its facts are told again and again, and those that are new are shown."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from standpipe.console.plain import PlainLines
from standpipe.console.quiet import Quiet
from standpipe.console.screen import Screen
from standpipe.errors import ClusterError, NoSuchRun
from standpipe.kfp_cluster.api import Refused
from standpipe.kfp_cluster.cluster import Cluster
from standpipe.kfp_cluster.fact_lookup import identify
from standpipe.kfp_cluster.facts import ClusterRun, tell_facts
from standpipe.kfp_cluster.http import TEMPORARY, Unavailable
from standpipe.kfp_cluster.metadata import MetadataUnavailable
from standpipe.model.events import Fact, RunEnded, TaskCancelled, TaskFailed, TaskSucceeded
from standpipe.model.plan import Plan
from standpipe.model.ports import FactSink
from standpipe.model.refs import RunInfo, TaskRef
from standpipe.support.notices import inform, warn

#: The seconds between two looks at a run: short at first, as tasks of small pipelines are.
_FIRST_INTERVAL, _INTERVAL, _GROWTH = 1.0, 5.0, 1.3

#: The seconds for which a cluster may be away before the run is left.
_PATIENCE = 300.0


class FactClock:
    """Tells when the fact happened that is shown, by the clock of the cluster."""

    def __init__(self) -> None:
        self.at = 0.0

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        """Return the same by `time.monotonic` of this machine; a time in the future, by a wrong clock, is now."""
        return time.monotonic() - max(0.0, time.time() - self.at)


class Observer(FactSink, Protocol):
    """Displays a run."""

    def line(self, task: TaskRef, text: str) -> None:
        """Show a line that a task printed."""

    def close(self) -> None:
        """Remove what is displayed only while the run is running."""


def make_observer(
    cluster: Cluster, run_id: str, plan: Plan, clock: FactClock, next_command: str, *, quiet: bool = False
) -> Observer:
    """Return what shows a run on the console: a live tree on a terminal, otherwise plain lines; nothing if `quiet`.

    Args:
        cluster: where it runs.
        run_id: its id.
        plan: its Plan.
        clock: tells when facts happened.
        next_command: the command to suggest when it has ended.
        quiet: whether nothing is shown.
    """
    if quiet:
        return Quiet()
    page = cluster.api.run_url(run_id)
    info = RunInfo(run_id, run_id, plan.display_name or plan.name, "", page)
    if not Screen().is_live:
        return PlainLines(info, page, now=clock.now)
    from standpipe.console.live import Live  # only a terminal needs it

    return Live(info, page, plan=plan, next_command=next_command, now=clock.monotonic)


def follow_run(
    cluster: Cluster,
    run_id: str,
    plan: Plan,
    observer: Observer,
    clock: FactClock,
    sleep: Callable[[float], None] = time.sleep,
) -> RunEnded:
    """Show a run and what its tasks print until it ends, and return its end.

    Args:
        cluster: where it runs.
        run_id: its id.
        plan: its Plan.
        observer: shows it.
        clock: gets the times of facts.
        sleep: waits, in seconds.

    Raises:
        KeyboardInterrupt: after Ctrl-C; the run is left alone.
        ClusterError: if the cluster cannot be reached for a while, or refuses, or the run was deleted.
    """
    reader, logs = _PatientReader(cluster, run_id, plan), cluster.open_logs(run_id, observer.line)
    shown: set[tuple[type[Fact], TaskRef | None]] = set()
    interval = _FIRST_INTERVAL
    while True:
        run = reader.read()
        if run:
            logs.update(run.root)
            new = [each for each in tell_facts(run) if identify(each.fact) not in shown]
            shown.update(identify(fact) for _, fact in new)
            for at, fact in new:
                clock.at = at
                if isinstance(fact, (TaskSucceeded, TaskFailed, TaskCancelled)):
                    logs.show(fact.task)
                elif isinstance(fact, RunEnded):
                    logs.show()  # of tasks whose end was shown before their logs could be read
                observer([fact])
                if isinstance(fact, RunEnded):
                    return fact
            logs.show()
        sleep(interval)
        interval = min(_INTERVAL, interval * _GROWTH)


class RunWasDeleted(ClusterError):
    """The cluster does not have the run any more."""


class _PatientReader:
    """Reads a run that is followed. A cluster may be away for a while: users close their laptops."""

    def __init__(self, cluster: Cluster, run_id: str, plan: Plan) -> None:
        self._cluster = cluster
        self._run_id = run_id
        self._plan = plan
        self._away_since: float | None = None

    def read(self) -> ClusterRun | None:
        """Return the run as it is now; None if the cluster is away for the moment.

        Raises:
            ClusterError: if it is away for too long, refuses, or does not have the run any more.
        """
        try:
            run = self._cluster.read_run(self._run_id, self._plan)
        except NoSuchRun:
            raise RunWasDeleted(f"Run {self._run_id} was deleted on {self._cluster.host}.") from None
        except ClusterError as error:
            self._wait_or_raise(error)
            return None
        if self._away_since is not None:
            self._away_since = None
            inform(f"{self._cluster.host} answers again.")
        return run

    def _wait_or_raise(self, error: ClusterError) -> None:
        now = time.monotonic()
        if not self._is_temporary(error) or (self._away_since is not None and now - self._away_since >= _PATIENCE):
            raise error
        if self._away_since is None:
            self._away_since = now
            warn(f"{error} The run is followed as soon as the cluster answers, for {_PATIENCE / 60:g} minutes.")

    def _is_temporary(self, error: ClusterError) -> bool:
        """Return whether it may be over soon. So may an expired login that is in a file: it can be renewed."""
        if isinstance(error, (Refused, MetadataUnavailable)) and error.status == 401:
            return self._cluster.can_renew_login
        is_temporary = isinstance(error, Refused) and error.status in TEMPORARY
        return is_temporary or isinstance(error, (Unavailable, MetadataUnavailable))
