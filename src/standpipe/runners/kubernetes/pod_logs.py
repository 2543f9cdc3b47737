"""The logs of all containers of a pod: those of the task and its sidecars, and the notices of the agent."""

from __future__ import annotations

from standpipe.model.ports import Log
from standpipe.runners.kubernetes.connection import Connection, Object
from standpipe.runners.kubernetes.log_stream import LogFollower
from standpipe.runners.kubernetes.pods import FETCH, MAIN, STORE
from standpipe.runners.kubernetes.statuses import Containers
from standpipe.runners.pod_log import ContainerLog, PodLog
from standpipe.support.notices import Notice

#: What is before a notice that our containers print.
_NOTICE = b"standpipe: "

#: The seconds to wait for the rest of the logs of a pod that has ended: for that of the task, and for each other one.
_REST_OF_LOG, _REST_OF_OTHERS = 10.0, 1.0


class PodLogs:
    """Follows the logs of the containers of a pod as they start.

    Args:
        connection: the connection to the cluster.
        log: the log of the task, which gets those of its init containers and sidecars, too, with their names.
        inform: called with the notices of the agent's containers.
    """

    def __init__(self, connection: Connection, log: Log, inform: Notice) -> None:
        self._connection = connection
        self._log = PodLog(log)
        self._inform = inform
        self._followers: dict[str, LogFollower] = {}
        self._others: list[ContainerLog] = []

    def follow(self, pod: Object) -> None:
        """Follow the logs of the containers that have started since the last call."""
        containers = Containers.of(pod)
        for name in containers.statuses:
            if name not in self._followers and containers.has_started(name):
                sink = self._sink(name)
                self._followers[name] = LogFollower(self._connection, pod["metadata"]["name"], name, sink)

    def finish(self) -> bool:
        """Copy what is left of the logs of a pod that has ended; return whether all of the task's was there."""
        is_whole = True
        for name, follower in self._followers.items():
            has_all = follower.finish(_REST_OF_LOG if name == MAIN else _REST_OF_OTHERS)
            is_whole = is_whole and (has_all or name != MAIN)
        for other in self._others:
            other.finish()
        self._log.finish()
        return is_whole

    def close(self) -> None:
        """Stop following."""
        for follower in self._followers.values():
            follower.close()

    def _sink(self, container: str) -> Log:
        if container == MAIN:
            return self._log
        if container in (FETCH, STORE):
            return _NoticeLog(self._inform)
        other = ContainerLog(self._log, container)
        self._others.append(other)
        return other


class _NoticeLog:
    """Takes the output of one of the agent's containers, and passes its notices on."""

    def __init__(self, inform: Notice) -> None:
        self._inform = inform
        self._rest = b""

    def write(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if line.startswith(_NOTICE):
                self._inform(line[len(_NOTICE) :].decode(errors="replace"))
