"""A compiled file may have a task whose name is empty; its folder was that of the run."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from standpipe import compiler, components, dsl, local
from standpipe.errors import TaskFailed
from standpipe.local import FakeRunner


@dsl.component
def produce() -> int:
    return 1


@dsl.pipeline
def unnamed():  # type: ignore[no-untyped-def]
    produce()


def test_a_task_with_an_empty_name_runs_in_a_folder_of_its_own(tmp_path: Path) -> None:
    file, root, working = tmp_path / "compiled.yaml", tmp_path / "root", [False]
    compiler.Compiler().compile(unnamed, str(file))
    document = yaml.safe_load(file.read_text())
    tasks = document["root"]["dag"]["tasks"]
    tasks[""] = tasks.pop("produce")
    file.write_text(yaml.safe_dump(document))

    def behave() -> dict[str, int]:
        if not working[0]:
            raise ValueError("boom")
        return {"Output": 1}

    local.init(FakeRunner(produce=behave), root, quiet=True)
    with pytest.raises(TaskFailed, match="Task '' failed"):
        components.load_component_from_file(str(file))()
    working[0] = True
    local.resume("latest", pipeline=str(file))
    run = local.get_run("latest")
    (task,) = run.tasks
    assert (task.path, task.outputs, run.task("")) == ("", {"Output": 1}, task)
    assert [attempt.folder.relative_to(run.folder) for attempt in task.attempts] == [Path("="), Path("=@1")]
    assert all(attempt.folder.is_dir() for attempt in task.attempts)
