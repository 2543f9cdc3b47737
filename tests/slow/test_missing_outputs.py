"""Output artifacts that containers do not write."""

from __future__ import annotations

from pathlib import Path

import pytest

from standpipe import dsl, local

from .docker_engine import IMAGE

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("docker_client")]


@dsl.container_component
def with_ending(model: dsl.Output[dsl.Model]):  # type: ignore[no-untyped-def]
    return dsl.ContainerSpec(image=IMAGE, command=["sh", "-c", 'echo 1 > "$0.txt"', model.path])


def test_a_container_that_writes_another_path_gives_a_notice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    local.run(with_ending, runner=local.DockerRunner(), pipeline_root=tmp_path, quiet=True)
    assert "without its output artifact 'model'" in (error := capsys.readouterr().err)
    assert "beside it is 'model.txt'" in error
