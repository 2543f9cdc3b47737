"""The connection to the API server of a cluster: `lightkube`, with our errors and with retries."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from httpx2 import HTTPError, Response, Timeout
from lightkube import ApiError
from lightkube.core.generic_client import GenericSyncClient
from lightkube.core.resource import NamespacedResource
from lightkube.resources.core_v1 import PodLog
from lightkube.types import CascadeType

from standpipe.model.cancellation import Cancellation
from standpipe.runners.kubernetes.api_errors import code_of, describe, explain, is_temporary, to_error
from standpipe.runners.kubernetes.kubeconfig import TIMEOUT, open_client, open_stream_client, read_config
from standpipe.support.notices import Notice, warn

T = TypeVar("T")

#: A Kubernetes object as JSON.
Object = Mapping[str, Any]

#: The seconds for which a request is repeated while the server cannot be reached.
_PATIENCE = 600.0

#: The seconds for which a deletion is repeated: it must not delay the end of a program.
_DELETION_TIME = 15.0

#: The seconds between two attempts at a request: the first and the longest.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 10.0

#: The seconds after which the user is told that the server cannot be reached.
_SILENCE = 5.0

#: How many logs and watches one client has, which has at most 100 connections.
_STREAMS_OF_CLIENT = 50


@dataclass
class _SharedClient:
    """A client for several streams."""

    client: GenericSyncClient
    streams: int = 0


class Connection:
    """A connection to a namespace of a cluster. Any thread may use it.

    Args:
        namespace: the namespace; by default, that of the context.
        context: the context of the kubeconfig; by default, the current one. In a pod without a kubeconfig, the account
            of the pod.
        warn: called when the server cannot be reached for a while, and when it is back.

    Raises:
        RunnerError: if the configuration cannot be read.
    """

    def __init__(self, namespace: str | None, context: str | None, *, warn: Notice = warn) -> None:
        self._warn = warn
        self._config = read_config(context)
        self._client = open_client(self._config, namespace)
        self._stream_clients: list[_SharedClient] = []
        self._lock = threading.Lock()
        self._is_silent = False
        self.namespace: str = self._client.namespace

    def get(self, kind: type[NamespacedResource], name: str, cancel: Cancellation | None = None) -> Object | None:
        """Return an object; None if it does not exist."""

        def get() -> Object | None:
            return self._client.get(kind, name).to_dict()  # type: ignore[attr-defined, no-any-return]

        return self.call(get, cancel, missing=None)

    def list(self, kind: Any, cancel: Cancellation | None = None, **selectors: Any) -> tuple[list[Object], str]:
        """Return the objects that selectors choose, and the version of the list.

        Args:
            kind: the class of the objects in `lightkube.resources`.
            cancel: stops it.
            **selectors: `labels` or `fields`, as `lightkube` takes them.
        """

        def read() -> tuple[list[Object], str]:
            objects = self._client.list(kind, **selectors)
            items = [each.to_dict() for each in objects]
            return items, objects.resourceVersion

        return self.call(read, cancel)

    def create(self, item: Any, cancel: Cancellation | None = None) -> None:
        """Create an object, unless it exists: an answer may have been lost, and the names are unique."""

        def create() -> None:
            try:
                self._client.create(item)
            except ApiError as error:
                if code_of(error) != 409:
                    raise

        self.call(create, cancel)

    def delete(self, kind: Any, name: str, *, grace: int | None = None) -> None:
        """Delete an object, and what it owns, if it exists.

        Args:
            kind: the class of the object in `lightkube.resources`.
            name: its name.
            grace: the seconds that a pod has to end.
        """

        def delete() -> None:
            self._client.delete(kind, name, grace_period=grace, cascade=CascadeType.BACKGROUND)

        self.call(delete, missing=None, patience=_DELETION_TIME)

    def watch(self, kind: Any, labels: Mapping[str, str], version: str, seconds: int) -> Iterator[tuple[str, Object]]:
        """Yield the changes of objects since a version of their list: `ADDED`, `MODIFIED` or `DELETED`, and the object.

        `Client.watch` of lightkube (1.0.1) has no timeout, and so waits forever if the connection is dead.

        Args:
            kind: the class of the objects in `lightkube.resources`.
            labels: those that the objects have.
            version: the version of the list.
            seconds: for how long.

        Raises:
            HTTPError: if the connection breaks, or the version is too old.
        """
        selector = ",".join(f"{name}={value}" for name, value in labels.items())
        parameters = {"labelSelector": selector, "resourceVersion": version, "timeoutSeconds": str(seconds)}
        with self._stream("list", kind, parameters, read=seconds + TIMEOUT, watch=True) as response:
            for line in response.iter_lines():
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise to_error(event["object"])
                yield event["type"], event["object"]

    @contextmanager
    def open_log(self, pod: str, container: str, *, since: str, follow: bool) -> Iterator[Iterator[bytes]]:
        """Give the log of a container, with the time before each line, as it was printed.

        `Client.log` of lightkube (1.0.1) ends lines at carriage returns, too, and replaces bytes that are not UTF-8
        (findings/lightkube-log-lines.sh).

        Args:
            pod: the name of the pod.
            container: the name of the container.
            since: the time of the first line, as in a log; empty for all.
            follow: whether it continues until the container ends.

        Raises:
            HTTPError: if the server has no log, or the connection breaks.
        """
        parameters = {"container": container, "timestamps": "true", "sinceTime": since or None}
        parameters["follow"] = "true" if follow else None
        with self._stream("get", PodLog, parameters, read=None if follow else TIMEOUT, name=pod) as response:
            yield response.iter_bytes()

    def call(
        self,
        request: Callable[[], T],
        cancel: Cancellation | None = None,
        *,
        missing: Any = NotImplemented,
        patience: float = _PATIENCE,
    ) -> T:
        """Return what a request returns, which is repeated while the server cannot be reached.

        Args:
            request: sends it, once.
            cancel: ends the repetition.
            missing: what to return if the object does not exist; by default, that is an error.
            patience: the seconds for which it is repeated.

        Raises:
            RunnerError: if the server refuses it, or cannot be reached for long.
        """
        started, pause = time.monotonic(), _FIRST_PAUSE
        while True:
            try:
                result = request()
            except HTTPError as error:
                if missing is not NotImplemented and code_of(error) == 404:
                    return missing  # type: ignore[no-any-return]
                passed = time.monotonic() - started
                if not is_temporary(error) or passed > patience or cancel:
                    raise explain(error, self.server) from error
                self._tell_of_silence(error, passed)
            else:
                self._tell_of_end()
                return result
            _sleep(pause, cancel)
            pause = min(2 * pause, _LONGEST_PAUSE)

    @property
    def server(self) -> str:
        """The address of the API server."""
        return self._config.cluster.server

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            clients, self._stream_clients = self._stream_clients, []
        self._client.close()
        for each in clients:
            each.client.close()  # type: ignore[no-untyped-call]

    @contextmanager
    def _stream(
        self, method: str, kind: Any, parameters: Mapping[str, str | None], *, read: float | None, **others: Any
    ) -> Iterator[Response]:
        """Give an answer that has no end yet; the most seconds between two pieces of it are `read`."""
        with self._stream_client() as client:
            request = client.prepare_request(method, kind, namespace=self.namespace, params=dict(parameters), **others)
            request.timeout = Timeout(TIMEOUT, read=read)
            response = client.send(client.build_adapter_request(request), stream=True)
            try:
                if response.is_error:
                    response.read()
                response.raise_for_status()
                yield response
            finally:
                response.close()

    @contextmanager
    def _stream_client(self) -> Iterator[GenericSyncClient]:
        """Give a client that has few enough streams."""
        with self._lock:
            found = next((each for each in self._stream_clients if each.streams < _STREAMS_OF_CLIENT), None)
            shared = found or _SharedClient(open_stream_client(self._config, self.namespace))
            if found is None:
                self._stream_clients.append(shared)
            shared.streams += 1
        try:
            yield shared.client
        finally:
            with self._lock:
                shared.streams -= 1

    def _tell_of_silence(self, error: Exception, seconds: float) -> None:
        with self._lock:
            is_new = seconds > _SILENCE and not self._is_silent
            self._is_silent = self._is_silent or is_new
        if is_new:
            self._warn(f"The Kubernetes API server {self.server} cannot be reached: {describe(error)}. Waiting for it.")

    def _tell_of_end(self) -> None:
        with self._lock:
            was_silent, self._is_silent = self._is_silent, False
        if was_silent:
            self._warn(f"The Kubernetes API server {self.server} can be reached again.")


def _sleep(seconds: float, cancel: Cancellation | None) -> None:
    woken = threading.Event()
    forget = cancel.on_set(woken.set) if cancel is not None else lambda: None
    woken.wait(seconds)
    forget()
