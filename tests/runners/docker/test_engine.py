from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from docker.errors import DockerException

from standpipe.errors import RunnerError
from standpipe.runners.docker import engine as docker_engine
from standpipe.runners.docker.engine import Engine, Owner, leftovers


def unreachable(words: str, cause: OSError | None = None) -> Engine:
    def connect() -> Any:
        raise DockerException(words) from cause

    return Engine(connect)


def complaint(engine: Engine) -> str:
    with pytest.raises(RunnerError) as caught:
        engine()
    return str(caught.value)


@pytest.fixture(autouse=True)
def _default_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOCKER_HOST", raising=False)


def test_without_an_installed_engine_the_error_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    message = complaint(unreachable("Error while fetching", FileNotFoundError(2, "No such file or directory")))
    assert message.startswith("No container engine answers at the default socket, unix:///var/run/docker.sock: No such")
    assert "Install Docker (https://" in message
    assert "local.init(runner=local.SubprocessRunner())" in message


def test_an_installed_engine_is_to_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}" if name == "podman" else None)
    message = complaint(unreachable("Connection refused"))
    assert "One is installed: start it" in message
    assert "Install Docker" not in message


def test_a_wrong_address_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://nowhere:1")
    message = complaint(unreachable("Name or service not known"))
    assert "at tcp://nowhere:1: Name or service not known" in message
    assert "correct DOCKER_HOST" in message


def test_a_user_who_may_not_use_the_socket_is_told_of_its_group() -> None:
    message = complaint(unreachable("Error while fetching", PermissionError(13, "Permission denied")))
    assert "This user may not use the container engine" in message
    assert "usermod -aG docker" in message
    assert "SubprocessRunner" in message


def test_a_user_who_may_not_use_the_podman_of_root_is_told_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///run/podman/podman.sock")
    message = complaint(unreachable("Error while fetching", PermissionError(13, "Permission denied")))
    assert "Podman's service of root is for root alone" in message
    assert "systemctl --user start podman.socket" in message
    assert "usermod" not in message


def test_one_connection_is_made_for_all_threads_and_a_new_one_after_closing() -> None:
    made: list[Any] = []

    def connect() -> Any:
        time.sleep(0.02)
        made.append(SimpleNamespace(close=lambda: closed.append(True)))
        return made[-1]

    closed: list[bool] = []
    engine = Engine(connect)
    with ThreadPoolExecutor(8) as pool:
        clients = list(pool.map(lambda _: engine(), range(8)))
    assert len(made) == 1
    assert all(client is made[0] for client in clients)
    engine.close()
    engine.close()
    assert closed == [True]
    assert engine() is made[1]


def test_an_engine_that_did_not_answer_is_asked_again() -> None:
    answers: list[Any] = [OSError("not yet"), SimpleNamespace()]

    def connect() -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    engine = Engine(connect)
    assert "not yet" in complaint(engine)
    assert engine() is not None


def test_a_process_is_there_until_it_has_ended() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    owner = replace(Owner.current(), pid=process.pid, started=docker_engine._started(process.pid))
    assert not owner.has_ended(same_machine=True)
    process.communicate()
    assert owner.has_ended(same_machine=True)


def test_another_process_of_the_same_number_is_not_the_owner() -> None:
    assert not Owner.current().has_ended(same_machine=True)
    assert replace(Owner.current(), started="1").has_ended(same_machine=True)


def test_nothing_is_certain_of_processes_elsewhere() -> None:
    gone = replace(Owner.current(), started="1")
    assert not replace(gone, namespace="pid:[1]").has_ended(same_machine=True)
    assert not replace(gone, boot="of another machine").has_ended(same_machine=False)


def test_nothing_survives_a_boot() -> None:
    assert replace(Owner.current(), boot="an earlier one").has_ended(same_machine=True)


def test_labels_name_the_owner() -> None:
    assert Owner.of(Owner.current().labels) == Owner.current()
    assert Owner.current().pid == os.getpid()


@pytest.mark.parametrize("labels", [{}, {"standpipe.pid": ""}, {"standpipe.pid": "x"}])
def test_other_labels_name_nobody(labels: dict[str, str]) -> None:
    assert Owner.of(labels) is None


@pytest.mark.parametrize(
    ("base_url", "expected"), [("http+docker://localhost", ["a", "c"]), ("http://far:2375", ["a"])]
)
def test_leftovers_are_the_containers_whose_owner_is_gone(base_url: str, expected: list[str]) -> None:
    current = Owner.current()
    owners = {"a": replace(current, started="1"), "b": current, "c": replace(current, boot="earlier")}
    listed = [{"Id": name, "Labels": owner.labels} for name, owner in owners.items()]
    # An image that was derived in a container hands its emptied labels on to whatever is started from it.
    listed.append({"Id": "d", "Labels": dict.fromkeys(current.labels, "")})
    api = SimpleNamespace(base_url=base_url, containers=lambda **_: listed)
    assert list(leftovers(SimpleNamespace(api=api))) == expected  # type: ignore[arg-type]
