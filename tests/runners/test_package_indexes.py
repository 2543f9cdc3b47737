"""The package indexes of components: variables in them, hosts that are trusted, passwords."""

from __future__ import annotations

from pathlib import Path

import pytest

from standpipe.errors import EnvironmentBuildError
from standpipe.model.attempts import TaskRequest
from standpipe.model.refs import TaskRef
from standpipe.runners.package_indexes import drop_password, hide_password, resolve_indexes
from standpipe.runners.process.runner import ProcessTaskRunner
from tests.runners.bench import Fixed
from tests.wheels import function

_HTTPS, _HTTP = "https://user:secret@a.org/simple", "http://b.org:8080/simple"


@pytest.mark.parametrize(
    ("trusted", "hosts"),
    [
        (None, ("b.org:8080",)),
        ((), ()),
        (("c.org",), ("c.org",)),
        ((_HTTPS, _HTTP), ("b.org:8080",)),  # what kfp 2.17.3 compiles by default: pip trusts no https URL
        (("$HOSTS",), ("d.org", "e.org:1")),
    ],
)
def test_trusted_hosts(trusted: tuple[str, ...] | None, hosts: tuple[str, ...]) -> None:
    wanted = function("x", index_urls=(_HTTPS, _HTTP), trusted_hosts=trusted)
    indexes = resolve_indexes(wanted, {"HOSTS": "d.org e.org:1"})

    assert tuple(indexes) == ((_HTTPS, _HTTP), hosts)
    assert indexes.options[:2] == (("index-url", _HTTPS), ("extra-index-url", _HTTP))


@pytest.mark.parametrize(
    ("written", "urls"),
    [
        ("$URL", ("https://a/simple",)),
        ("${URL}", ("https://a/simple",)),
        ("https://$TOKEN@a/$TOKEN", ("https://t@a/t",)),
        ("$URLS", ("https://a/1", "https://a/2")),  # split at blanks, as `sh` does
        ("${NONE:-https://b/simple}", ("https://b/simple",)),
        ("${EMPTY:-https://b/simple}", ("https://b/simple",)),
        ("$EMPTY", ()),
        ("https://a/5$", ("https://a/5$",)),
    ],
)
def test_variables(written: str, urls: tuple[str, ...]) -> None:
    variables = {"URL": "https://a/simple", "TOKEN": "t", "URLS": "https://a/1  https://a/2", "EMPTY": ""}

    assert resolve_indexes(function("x", index_urls=(written,)), variables).urls == urls


def test_a_variable_that_is_not_set() -> None:
    wanted = function("x", index_urls=("https://a",), trusted_hosts=("$HOST",))

    with pytest.raises(
        EnvironmentBuildError, match=r"pip_trusted_hosts of component 'f' uses \$HOST, which is not set"
    ):
        resolve_indexes(wanted, {})


def test_passwords() -> None:
    assert hide_password("x @ git+https://me:token@a.org/x") == "x @ git+https://***@a.org/x"
    assert hide_password("https://me:p@ss@a.org/x@1") == "https://***@a.org/x@1"
    assert hide_password("git+https://a.org/x@1") == "git+https://a.org/x@1"
    assert drop_password(_HTTPS) == "https://a.org/simple"


def test_indexes_that_variables_name_are_part_of_the_cache_key(tmp_path: Path) -> None:
    runner = ProcessTaskRunner(Fixed(tmp_path))

    def fingerprint(url: str, **env: str) -> str:
        program = function("one", index_urls=(url,))
        request = TaskRequest("r", TaskRef((("t", None),)), 0, "i", program, {}, tmp_path, tmp_path, env=env)
        return runner.fingerprint(request)

    assert fingerprint("https://a") == fingerprint("https://b")  # part of the program, which the key has already
    assert fingerprint("$URL", URL="https://me:1@a") == fingerprint("$URL", URL="https://me:2@a")
    assert fingerprint("$URL", URL="https://a") != fingerprint("$URL", URL="https://b")
