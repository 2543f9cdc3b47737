"""The removal of containers, with an engine that can be slow."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from docker.errors import APIError

from standpipe.runners.docker.containers import Containers


class SlowContainer:
    """A container whose removal waits until the test lets it continue."""

    def __init__(self, error: Exception | None = None) -> None:
        self.id = self.short_id = "0123"
        self.may_continue = threading.Event()
        self.is_removed = False
        self._error = error

    def remove(self, **arguments: bool) -> None:
        assert arguments == {"v": True, "force": True}
        assert self.may_continue.wait(20)
        if self._error:
            raise self._error
        self.is_removed = True


class Client:
    """A client that creates one container."""

    def __init__(self, container: SlowContainer) -> None:
        self.containers = self
        self.container = container

    def create(self, image: str, **_: Any) -> SlowContainer:
        return self.container


def test_a_block_removes_meanwhile_and_waits_at_its_end() -> None:
    container, containers = SlowContainer(), Containers(pytest.fail)
    client: Any = Client(container)
    created = containers.create(client, "image", {})
    assert not containers.are_removed
    with containers.removing_meanwhile():
        containers.remove_soon(created)
        assert not container.is_removed
        threading.Timer(0.05, container.may_continue.set).start()
    assert container.is_removed
    assert containers.are_removed


def test_outside_of_a_block_a_container_is_removed_at_once() -> None:
    container: Any = SlowContainer()
    container.may_continue.set()
    Containers(pytest.fail).remove_soon(container)
    assert container.is_removed


def test_a_failed_removal_in_a_block_is_a_notice() -> None:
    notices: list[str] = []
    container, containers = SlowContainer(APIError("it is busy")), Containers(notices.append)
    client: Any = Client(container)
    container.may_continue.set()
    with containers.removing_meanwhile():
        containers.remove_soon(containers.create(client, "image", {}))
    assert notices == ["The container 0123 was not removed: it is busy"]
    assert not containers.are_removed
