from __future__ import annotations

from typing import Any

import pytest

from standpipe.errors import RunArgumentError, StandpipeError
from standpipe.runners.docker.run_arguments import REFUSED, RunArguments


def test_a_misspelt_argument_is_named_with_the_one_that_was_meant_and_all_that_exist() -> None:
    with pytest.raises(RunArgumentError) as caught:
        RunArguments.check({"mem_limit": "1g", "mem_limt": "1g"})
    message = str(caught.value)
    assert "no argument 'mem_limt'; did you mean 'mem_limit'?" in message
    for name in ("network_mode", "ports", "volumes", "mounts", "shm_size", "device_requests", "environment"):
        assert name in message
    assert not any(f" {name}," in message for name in REFUSED)


def test_it_is_the_kind_of_error_that_the_kfp_sdk_raises_and_ours() -> None:
    with pytest.raises(ValueError, match="no argument 'foo'"):
        RunArguments.check({"foo": 1})
    assert issubclass(RunArgumentError, StandpipeError)


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_would_break_a_task_is_refused_with_the_reason(name: str) -> None:
    with pytest.raises(RunArgumentError, match=f"does not accept the argument {name!r}: {REFUSED[name][:20]}"):
        RunArguments.check({name: None})


def test_what_is_not_merged_is_passed_on() -> None:
    arguments = RunArguments.check({"mem_limit": "1g", "network_mode": "host"}).merged(environment={}, labels={})
    assert arguments == {
        "mem_limit": "1g",
        "network_mode": "host",
        "environment": {},
        "labels": {},
        "volumes": [],
    }


@pytest.mark.parametrize("given", [{"A": "1", "B": "2=3"}, ["A=1", "B=2=3"]])
def test_the_user_s_environment_wins(given: Any) -> None:
    arguments = RunArguments.check({"environment": given})
    merged = arguments.merged(environment={"A": "0", "C": "4"}, labels={})
    assert merged["environment"] == {"A": "1", "B": "2=3", "C": "4"}


def test_a_variable_without_a_value_is_removed_and_an_empty_one_is_not() -> None:
    assert RunArguments.check({"environment": ["A", "B="]}).environment == {"A": None, "B": ""}


@pytest.mark.parametrize("given", [{"mine": "1", "standpipe.run": "x"}, ["mine=1", "standpipe.run=x"]])
def test_our_labels_win(given: Any) -> None:
    arguments = RunArguments.check({"labels": given})
    merged = arguments.merged(environment={}, labels={"standpipe.run": "r"})
    assert merged["labels"] == {"mine": "1", "standpipe.run": "r"}


@pytest.mark.parametrize(
    "given",
    [
        {"/a": {"bind": "/b", "mode": "ro"}, "name": {"bind": "/c", "mode": "rw"}},
        ["/a:/b:ro", "name:/c"],
    ],
)
def test_volumes_join_ours(given: Any) -> None:
    merged = RunArguments.check({"volumes": given}).merged(environment={}, labels={}, binds=["/root:/root:rw"])
    assert merged["volumes"] == ["/a:/b:ro", "name:/c:rw", "/root:/root:rw"]


def test_the_paths_of_all_volumes_are_known() -> None:
    volumes, mount = ["/a:/b:ro"], {"Target": "/m", "Source": "/s", "Type": "bind"}
    arguments = RunArguments.check({"volumes": volumes, "mounts": [mount], "tmpfs": {"/t": ""}})
    assert arguments.mount_points == ("/b", "/m", "/t")


@pytest.mark.parametrize(
    ("given", "are_exclusive"),
    [
        ({"ports": {"80/tcp": 8080}}, True),
        ({"mac_address": "02:42:ac:11:65:43"}, True),
        ({"networking_config": {}}, True),
        ({"network_mode": "host", "volumes": ["/a:/b"], "mem_limit": "1g"}, False),
    ],
)
def test_what_only_one_container_can_have_is_known(given: Any, are_exclusive: bool) -> None:
    assert RunArguments.check(given).are_exclusive is are_exclusive


@pytest.mark.parametrize("given", [["/a"], ["/a:/b", "/a:/c"], ["/a:/b:ro:z"]])
def test_volumes_that_are_not_understood_are_named(given: list[str]) -> None:
    with pytest.raises(RunArgumentError, match=f"Invalid volume {given[-1]!r}"):
        RunArguments.check({"volumes": given})
