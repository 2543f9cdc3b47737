"""Environments with real packages from the index that pip is configured with, built by uv and by pip."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from standpipe.errors import EnvironmentBuildError
from standpipe.runners.process import installer
from standpipe.runners.process.venv import Venvs
from tests.runners.bench import Bench
from tests.wheels import function, imported, make_index, make_wheel

pytestmark = pytest.mark.slow


@pytest.fixture
def venvs(tmp_path: Path) -> Venvs:
    return Venvs(tmp_path / "envs")


def test_pandas_and_scikit_learn(venvs: Venvs) -> None:
    wanted = function("pandas", "scikit-learn")
    notices: list[str] = []
    python = venvs.python(wanted, inform=notices.append)
    code = "import pandas, sklearn, sys; print(pandas.DataFrame({'a': [1, 2]}).a.sum())"

    assert subprocess.run([python, "-c", code], capture_output=True, check=True).stdout == b"3\n"
    assert notices[-1].startswith("The environment is ready after ")
    notices.clear()
    assert venvs.python(wanted, inform=notices.append) == python
    assert notices == []  # nothing is built again


def test_a_second_build_takes_the_wheels_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = function("pandas", "scikit-learn")
    Venvs(tmp_path / "first").python(wanted, inform=print)
    monkeypatch.setenv("UV_OFFLINE", "1")
    python = Venvs(tmp_path / "second").python(wanted, inform=print)

    assert list(python.parent.parent.glob("lib/python*/site-packages/pandas"))


def test_a_package_that_no_index_has(venvs: Venvs) -> None:
    with pytest.raises(EnvironmentBuildError, match=r"(?s)no-such-package-of-anybody.*(not found|no versions)"):
        venvs.python(function("no-such-package-of-anybody"), inform=print)


def test_extras(venvs: Venvs) -> None:
    python = venvs.python(function("requests[socks]>=2.31; python_version >= '3.9'"), inform=print)

    assert subprocess.run([python, "-c", "import requests, socks"], check=False).returncode == 0


@pytest.fixture
def bench(tmp_path: Path, venvs: Venvs) -> Iterator[Bench]:
    (tmp_path / "tasks").mkdir()
    bench = Bench(tmp_path / "tasks", venvs)
    yield bench
    bench.runner.close()


def test_the_kfp_sdk_runs_the_function_if_it_is_installed(bench: Bench, tmp_path: Path) -> None:
    source = """
        def f(a: int) -> str:
            from kfp.dsl import executor
            return kfp.__version__ + executor.__file__
    """
    value = bench.value(source, {"a": 1}, packages=("kfp==2.17.3",))

    assert value.startswith(f"2.17.3{tmp_path / 'envs'}")


def test_tasks_with_packages_are_forked_from_one_process(bench: Bench) -> None:
    source = "def f() -> int: return os.getppid()"
    parents = {bench.value(source, packages=("pandas", "scikit-learn")) for _ in range(5)}

    assert parents == {bench.server()}


# --- without uv


@pytest.fixture
def without_uv(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installer, "find_uv", lambda: None)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)


@pytest.mark.usefixtures("without_uv")
def test_pip_is_used_where_uv_is_missing(venvs: Venvs, tmp_path: Path) -> None:
    notices: list[str] = []
    url = make_index(tmp_path / "index", make_wheel(tmp_path, "one"))
    python = venvs.python(function("one", index_urls=(url,)), inform=notices.append)

    assert imported(python, "one") == "1.0"
    assert "uv is not installed, so pip builds the environment, which takes longer." in notices


@pytest.mark.usefixtures("without_uv")
def test_the_error_of_pip_is_shown(venvs: Venvs, tmp_path: Path) -> None:
    url = make_index(tmp_path / "index", make_wheel(tmp_path, "one"))

    with pytest.raises(EnvironmentBuildError, match="No matching distribution found for one==9"):
        venvs.python(function("one==9", index_urls=(url,)), inform=print)


def test_options_of_pip_with_real_packages(venvs: Venvs) -> None:
    packages = ("-U", "--no-deps", "--prefer-binary", "--default-timeout=100", "--only-binary", ":all:", "six>=1.16")
    python = venvs.python(function(*packages), inform=lambda text: None)

    (module,) = python.parent.parent.glob("lib/*/site-packages/six.py")
    assert module.stat().st_nlink == 1
