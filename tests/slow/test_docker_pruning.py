"""Derived images on a real engine: listed, kept while they are used, and removed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from standpipe.cli.main import main
from standpipe.model.cancellation import Cancellation
from standpipe.runners.docker.commit import commit
from standpipe.runners.docker.images import REPOSITORY
from standpipe.runners.docker.stored_images import StoredImage, list_images, remove_image
from standpipe.support.usage_marks import UsageMarks, last_use

from .docker_engine import IMAGE, MakeBench, containers_of, python_function

if TYPE_CHECKING:
    from docker import DockerClient

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("docker_client")]

KEY = "0123456789abcdef0123"


@pytest.fixture
def derived(docker_client: DockerClient) -> Iterator[str]:
    """Yield the name of an image as runners derive it, which is removed if the test has not."""
    from docker.errors import NotFound  # a machine that only runs fast tests does without

    labels = {"standpipe.key": KEY, "standpipe.base": IMAGE, "standpipe.packages": '["six==1.16.0"]'}
    container = docker_client.containers.create(IMAGE, ["dd", "if=/dev/zero", "of=/large", "bs=1M", "count=5"])
    try:
        container.start()
        assert container.wait()["StatusCode"] == 0
        commit(docker_client, container, f"{REPOSITORY}:{KEY}", {"Labels": labels})
    finally:
        container.remove(force=True)
    yield f"{REPOSITORY}:{KEY}"
    with suppress(NotFound):
        docker_client.images.remove(f"{REPOSITORY}:{KEY}")


def find(client: DockerClient, marks: Path) -> StoredImage:
    return next(image for image in list_images(client, marks) if image.key == KEY)


def test_an_image_has_its_packages_its_own_size_and_its_last_use(
    docker_client: DockerClient, derived: str, tmp_path: Path
) -> None:
    image = find(docker_client, tmp_path)
    assert (image.name, image.packages) == (derived, ("six==1.16.0",))
    assert 5 * 1024**2 <= image.size < 50 * 1024**2
    assert image.used == pytest.approx(time.time(), abs=600)


def test_an_image_is_kept_while_a_process_or_a_container_uses_it(
    docker_client: DockerClient, derived: str, tmp_path: Path
) -> None:
    image = find(docker_client, tmp_path)
    marks = UsageMarks(tmp_path)
    marks.hold(KEY)
    assert not remove_image(docker_client, image, tmp_path)

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    container = docker_client.containers.create(derived, ["true"])
    try:
        assert not remove_image(docker_client, image, elsewhere)
    finally:
        container.remove()
    assert remove_image(docker_client, image, elsewhere)
    assert all(each.key != KEY for each in list_images(docker_client, tmp_path))
    assert remove_image(docker_client, image, elsewhere), "another process was faster"


def test_a_runner_marks_what_it_uses(make_bench: MakeBench, docker_client: DockerClient, tmp_path: Path) -> None:
    bench = make_bench()
    function = python_function("def work(): pass\n", packages=("./none",))
    with pytest.raises(Exception, match="could not be installed"):
        bench.images.image(
            IMAGE, function, variables={}, run_args={}, inform=bench.notices.append, cancel=Cancellation()
        )
    [mark] = (bench.root / "locks").glob("*.used")
    assert last_use(mark.parent, mark.stem) == pytest.approx(time.time(), abs=600)
    assert containers_of(docker_client, bench.run_id) == []


def test_the_command_removes_images_and_du_lists_them(
    derived: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STANDPIPE_CACHE", str(tmp_path / "cache"))
    root = ["--root", str(tmp_path)]
    assert main(["du", *root]) == 0
    assert "images with installed packages" in capsys.readouterr().out
    assert main(["prune", "--images", "1d", "--dry-run", *root]) == 0
    assert derived not in capsys.readouterr().out, "it was made just now"
    assert main(["prune", "--images", "0m", "--dry-run", *root]) == 0
    assert f"image {derived} (six==1.16.0): unused since " in capsys.readouterr().out


def test_an_engine_that_does_not_answer_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nothing.sock")
    assert main(["prune", "--images", "--dry-run", "--root", str(tmp_path)]) == 5
    assert "No container engine answers at unix:" in capsys.readouterr().err
