"""Derived images on a real engine, with installed packages."""

from __future__ import annotations

import os
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from standpipe.errors import EnvironmentBuildError
from standpipe.model.cancellation import Cancellation

from .docker_engine import IMAGE, Log, MakeBench, python_function, variant, wait_for

if TYPE_CHECKING:
    from docker import DockerClient

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("docker_client")]


@pytest.fixture
def network() -> dict[str, Any]:
    """Return run arguments with which containers reach the package index of this machine."""
    from docker.types import Mount  # a machine that only runs fast tests does without

    certificates = os.environ.get("PIP_CERT") or ssl.get_default_verify_paths().cafile
    here = {name: value for name in ("PIP_INDEX_URL", "HTTPS_PROXY") if (value := os.environ.get(name))}
    return {
        "network_mode": "host",
        "environment": {"PIP_CERT": "/certificates.pem", "REMEMBER": "nothing of me", **here},
        "mounts": [Mount("/certificates.pem", certificates, type="bind", read_only=True)],
    }


def remove_derived(client: DockerClient, base: str) -> None:
    for image in client.images.list(name="standpipe/env", filters={"label": f"standpipe.base={base}"}):
        client.images.remove(str(image.id))


def test_packages_are_installed_once_in_a_derived_image(
    make_bench: MakeBench, network: dict[str, Any], docker_client: DockerClient
) -> None:
    bench = make_bench(**network)
    function = python_function("def work():\n    import six\n    print(six.__version__)\n", packages=("six==1.16.0",))

    def derive(base: str) -> str:
        return bench.images.image(
            base, function, variables={}, run_args=network, inform=bench.notices.append, cancel=Cancellation()
        )

    config: dict[str, Any] = {"Env": ["KEPT=yes"], "WorkingDir": "/srv", "User": "1001", "Labels": {"of": "the base"}}
    with variant(docker_client, **config) as base, ThreadPoolExecutor(4) as pool:
        (name,) = set(pool.map(derive, [base] * 4))
        assert [notice.split()[0] for notice in bench.notices] == ["Installing", "Installed"]
        derived, original = docker_client.images.get(name), docker_client.images.get(base)
        for setting in ("Cmd", "Entrypoint", "Env", "WorkingDir", "User"):
            assert (derived.attrs["Config"].get(setting) or None) == (original.attrs["Config"].get(setting) or None)
        assert derived.labels["of"] == "the base"
        assert derived.labels["standpipe.packages"] == '["six==1.16.0"]'
        assert name == f"standpipe/env:{derived.labels['standpipe.key']}"
        log = Log()
        assert bench.run(bench.request(function, image=base), log).succeeded
        assert log.text == "1.16.0\n"
        assert len(bench.notices) == 2
        remove_derived(docker_client, base)


def test_pip_is_installed_in_an_image_without_it_or_the_error_says_why_not(
    make_bench: MakeBench, network: dict[str, Any], docker_client: DockerClient
) -> None:
    bench = make_bench(**network)
    function = python_function("def work(): pass\n", packages=("six==1.16.0",))
    remove_pip = "rm -r $(python3 -c 'import os, pip; print(os.path.dirname(pip.__file__))')"
    with variant(docker_client, remove_pip) as image:
        try:
            reason = "" if bench.run(bench.request(function, image=image)).succeeded else "the function failed"
        except EnvironmentBuildError as error:
            reason = str(error)
        remove_derived(docker_client, image)
    # Debian's Python does not let ensurepip install pip for the system; that of the official images does.
    assert not reason or ("ensurepip could not install it" in reason and "ensurepip is disabled" in reason)


def test_an_externally_managed_python_is_not_changed_as_on_a_cluster(
    make_bench: MakeBench, network: dict[str, Any], docker_client: DockerClient
) -> None:
    bench = make_bench(**network)
    plain = python_function("def work():\n    import six\n", packages=("six==1.16.0",))
    mark = "touch $(python3 -c 'import os; print(os.path.dirname(os.__file__))')/EXTERNALLY-MANAGED"
    with variant(docker_client, mark) as image:
        with pytest.raises(EnvironmentBuildError, match=r"(?s)externally-managed-environment.*use_venv=True"):
            bench.run(bench.request(plain, image=image))
        with_venv = replace(plain, use_venv=True)
        assert bench.run(bench.request(with_venv, "with-venv", image=image)).succeeded
        remove_derived(docker_client, image)


def test_a_missing_package_is_reported_by_pip(make_bench: MakeBench, network: dict[str, Any]) -> None:
    bench = make_bench(**network)
    function = python_function("def work(): pass\n", packages=("no-such-package-of-standpipe==1.0",))
    with pytest.raises(EnvironmentBuildError) as caught:
        bench.run(bench.request(function))
    message = str(caught.value)
    assert message.startswith(f"The packages of 'work' could not be installed into the image {IMAGE}: pip failed.")
    assert "ERROR: No matching distribution found for no-such-package-of-standpipe==1.0" in message
    assert "Check the names and versions" in message


def test_installing_can_be_cancelled(make_bench: MakeBench) -> None:
    bench = make_bench(network_mode="none", environment={"PIP_RETRIES": "100"})
    cancel = Cancellation()
    function = python_function("def work(): pass\n", packages=("six==1.15.0",))
    with ThreadPoolExecutor() as pool:
        running = pool.submit(bench.run, bench.request(function), None, cancel)
        wait_for(lambda: bench.notices)
        time.sleep(1)
        cancel.set()
        outcome = running.result(timeout=15)
    assert outcome.problem == "it was cancelled before it started"
