"""Servers of this machine, as containers reach them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from standpipe.model.attempts import CommandLine, TaskRequest
from standpipe.model.refs import TaskRef
from standpipe.runners.docker.host_services import network_arguments, tracking_variables
from standpipe.runners.docker.run_arguments import RunArguments


def request(**tracking: str) -> TaskRequest:
    program = CommandLine(("true",), ())
    return TaskRequest(
        "run", TaskRef((("a", None),)), 0, "image", program, {}, Path("/a"), Path("/"), tracking=tracking
    )


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://localhost:5000", "http://host.docker.internal:5000"),
        ("https://127.0.0.1/mlflow?a=b", "https://host.docker.internal/mlflow?a=b"),
        ("http://[::1]:5000", "http://host.docker.internal:5000"),
        ("http://mlflow.example:5000", "http://mlflow.example:5000"),
        ("localhost", "localhost"),
        ("file:mlruns", "file:mlruns"),
    ],
)
def test_a_server_of_this_machine_gets_the_name_of_the_machine(url: str, expected: str) -> None:
    arguments = RunArguments.check({})

    assert tracking_variables(request(URI=url, RUN="a"), arguments) == {"URI": expected, "RUN": "a"}
    has_name = "extra_hosts" in network_arguments(request(URI=url), arguments)
    assert has_name == (url != expected)


@pytest.mark.parametrize("mode", ["host", "none", "container:abc"])
def test_a_container_without_a_network_of_its_own_is_left_alone(mode: str) -> None:
    arguments = RunArguments.check({"network_mode": mode})
    localhost = request(URI="http://localhost:5000")

    assert tracking_variables(localhost, arguments) == {"URI": "http://localhost:5000"}
    assert network_arguments(localhost, arguments) == {"network_mode": mode}


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        ({"db": "10.0.0.1"}, {"host.docker.internal": "host-gateway", "db": "10.0.0.1"}),
        ({"host.docker.internal": "10.0.0.2"}, {"host.docker.internal": "10.0.0.2"}),
        (["db:10.0.0.1"], ["host.docker.internal:host-gateway", "db:10.0.0.1"]),
    ],
)
def test_hosts_of_the_user_are_kept(hosts: Any, expected: Any) -> None:
    arguments = RunArguments.check({"extra_hosts": hosts, "network": "mine"})

    found = network_arguments(request(URI="http://localhost:5000"), arguments)
    assert found == {"network": "mine", "extra_hosts": expected}
