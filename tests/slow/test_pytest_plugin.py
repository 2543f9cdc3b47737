"""The pytest plugin with packages and containers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.testing.inner_tests import RunTests, run

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.slow

__all__ = ["run"]


def test_no_package_comes_from_the_network(run: RunTests, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STANDPIPE_CACHE", str(tmp_path / "environments"))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    result = run(
        "@dsl.component(packages_to_install=['six==1.16.0'])\ndef with_package():\n    import six\n"
        "@pytest.mark.standpipe_runners('subprocess')\n"
        "def test_it(standpipe):\n    standpipe.call(with_package)\n"
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E  *The packages six==1.16.0 cannot be installed:", "E  *UV_OFFLINE is set, *"])


@pytest.mark.usefixtures("docker_client")
def test_containers_have_no_network(run: RunTests) -> None:
    result = run(
        "@dsl.component(base_image='python:3.11')\n"
        "def connect() -> str:\n    import socket\n"
        "    try:\n        socket.create_connection(('192.0.2.1', 80), timeout=5)\n"
        "    except OSError as error:\n        return str(error)\n    return 'connected'\n"
        "@dsl.component(base_image='python:3.11', packages_to_install=['six'])\ndef with_package(): ...\n"
        "def test_blocked(standpipe):\n    assert 'unreachable' in standpipe.call(connect)\n"
        "def test_package(standpipe):\n    standpipe.call(with_package)\n"
        "def test_fake(standpipe):\n"
        "    assert standpipe.run(with_package, fakes={'with-package': None}).order == ['with-package']\n",
        "--standpipe-runner=docker",
    )
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*E  *The containers have no network (network_mode='none'). *"])
