"""Requirements that no installer can read."""

from __future__ import annotations

import pytest
from packaging.requirements import InvalidRequirement, Requirement

from standpipe.runners.process import requirement_syntax
from standpipe.runners.process.requirement_syntax import find_unreadable

INVALID = ("pandas=>2", "pan das", "x~=1", "requests[socks", "pandas==latest", "pandas >=2 <3", "x; python_version < 3")
VALID = ("six", "a.b-c_d", "x==1.0", "x[a, b-c]>=1,<2", "x>1 ; python_version<'3.9'", 'x; sys_platform == "linux"')


@pytest.mark.parametrize("requirement", INVALID)
def test_an_invalid_requirement_has_a_reason(requirement: str) -> None:
    with pytest.raises(InvalidRequirement):
        Requirement(requirement)

    (problem,) = find_unreadable(["six", requirement])

    prefix = f"invalid requirement {requirement!r} in packages_to_install: "
    assert problem.startswith(prefix)
    assert problem != prefix


@pytest.mark.parametrize("requirement", VALID)
def test_usual_requirements_need_no_installer(requirement: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requirement_syntax, "find_uv", lambda: pytest.fail("uv was called"))
    Requirement(requirement)  # raises no error

    assert list(find_unreadable([requirement])) == []


@pytest.mark.parametrize(
    "requirement",
    [
        *("x~=1.4", "x===1.0+local", "x==1.*", "x>=1.0rc1", "x>=1,<2,!=1.5.0"),
        *("./folder", "/a/b.whl", "~/x", "pkg.whl", "${X}", "git+https://a/x"),
        "x; python_version < '3' and extra == 'y'",
        "x @ https://example.org/x-1.whl",
    ],
)
def test_others_that_may_be_valid_are_no_problem(requirement: str) -> None:
    assert list(find_unreadable([requirement])) == []


def test_without_uv_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requirement_syntax, "find_uv", lambda: None)

    assert list(find_unreadable(INVALID)) == []
