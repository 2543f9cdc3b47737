"""What is a path of this machine, and what is not: one rule, in one place and in the worker."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import standpipe
from standpipe.model.locations import is_remote, split_scheme
from standpipe.worker import artifacts

PACKAGE = Path(standpipe.__file__).parent


@given(st.lists(st.sampled_from(("://", ":", "/", "//", "s3", "a", ".", "?"))).map("".join))
def test_the_worker_has_the_same_rule(location: str) -> None:
    assert artifacts.is_remote(location) == is_remote(location)


@pytest.mark.parametrize("location", ["s3://b/k", "gs://b", "file:///a", "https://u:p@host:80/a?b=c://d"])
def test_a_uri_is_remote_and_has_a_scheme(location: str) -> None:
    scheme, rest = split_scheme(location)
    assert is_remote(location)
    assert f"{scheme}://{rest}" == location
    assert scheme.isalnum()


@pytest.mark.parametrize("location", ["", "a", "/a/b", "./a", "C:/a", "a:b", "/a:/b"])
def test_a_path_is_not(location: str) -> None:
    assert not is_remote(location)
    assert split_scheme(location) == ("", location)


def test_no_other_module_spells_the_rule() -> None:
    spelled = {str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py") if '"://"' in path.read_text("utf-8")}
    assert spelled == {"model/locations.py", "worker/artifacts.py"}
