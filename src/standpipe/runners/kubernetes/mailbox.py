"""Messages between the program and a pod, as objects below the folder of the attempt in the object store."""

from __future__ import annotations

from standpipe.artifact_stores.clients import Clients
from standpipe.artifact_stores.parallel import call_in_thread
from standpipe.model.cancellation import Cancellation

#: The names of the messages: what the program sends, and what the pod answers.
REQUEST, REPLY = "request", "reply"


class Mailbox:
    """The messages of one attempt.

    Args:
        uri: the folder that they are in.
        clients: the clients of object stores, which have the credentials.
    """

    def __init__(self, uri: str, clients: Clients) -> None:
        self._uri = uri
        self._clients = clients

    def put(self, name: str, content: bytes, cancel: Cancellation) -> None:
        """Write a message.

        Raises:
            StorageError: if the store cannot be used, or `cancel` is set.
        """
        call_in_thread(lambda: self._put(name, content), cancel)

    def get(self, name: str, cancel: Cancellation) -> bytes:
        """Return a message.

        Raises:
            FileNotFoundError: if there is none.
            StorageError: if the store cannot be used, or `cancel` is set.
        """
        return call_in_thread(lambda: self._get(name), cancel)

    def delete(self, cancel: Cancellation) -> None:
        """Delete all messages.

        Raises:
            StorageError: if the store cannot be used, or `cancel` is set.
        """
        call_in_thread(self._delete, cancel)

    def _put(self, name: str, content: bytes) -> None:
        bucket, key = self._clients.open(f"{self._uri}/{name}")
        bucket.write(key, content)

    def _get(self, name: str) -> bytes:
        bucket, key = self._clients.open(f"{self._uri}/{name}")
        return b"".join(bucket.read(key))

    def _delete(self) -> None:
        bucket, key = self._clients.open(self._uri)
        bucket.delete([f"{key}/{name}" for name in (REQUEST, REPLY)])
