"""The packages of components, compared with those of this process."""

from __future__ import annotations

from importlib.metadata import version

import pytest

from standpipe.runners.in_process.packages import find_differences

_PYTEST = version("pytest")


@pytest.mark.parametrize(
    ("requirement", "difference"),
    [
        ("pytest", ""),
        ("PyTest>=1,<1000", ""),
        (f"pytest=={_PYTEST}", ""),
        ("pytest==0.1", f"pytest is {_PYTEST}, not 0.1"),
        ("pytest[dev] == 0.1", f"pytest is {_PYTEST}, not 0.1"),
        ("pytest==8.*", ""),
        ("no-such-package~=1.0", "no-such-package is missing"),
        ("no-such-package[all]", "no-such-package is missing"),
        ("no-such-package; sys_platform == 'win32'", ""),
        ("no-such-package @ https://example.com/package.whl", ""),
        ("./no-such-package", ""),
        ("--pre", ""),
    ],
)
def test_each_requirement_by_name_is_compared(requirement: str, difference: str) -> None:
    assert list(find_differences([requirement])) == ([difference] if difference else [])
