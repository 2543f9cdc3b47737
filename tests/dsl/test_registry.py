"""The registry of the components and pipelines that a program defines, in which `local.resume` finds them."""

from __future__ import annotations

import gc
import re
from pathlib import Path
from weakref import ref

import pytest

from standpipe import dsl, local
from standpipe.dsl.registry import ComponentRegistry, defined_components
from standpipe.errors import TaskFailed
from standpipe.local import FakeRunner


@dsl.component
def add(a: int, b: int) -> int:
    return a + b


def define_sum(b: int) -> dsl.GraphComponent:
    """Define the pipeline `sum`, which adds `b` in its second task."""

    @dsl.pipeline(name="sum")
    def sum_pipeline(a: int = 1) -> int:
        return add(a=add(a=a, b=1).output, b=b).output

    return sum_pipeline


class Addition:
    """Runs the tasks of `sum`. The second task fails as long as `fails` is true."""

    def __init__(self) -> None:
        self.fails = True
        self.calls: list[tuple[int, int]] = []

    def __call__(self, a: int, b: int) -> dict[str, int]:
        self.calls.append((a, b))
        if self.fails and len(self.calls) == 2:
            raise ValueError("boom")
        return {"Output": a + b}


@pytest.fixture
def addition(tmp_path: Path) -> Addition:
    addition = Addition()
    local.init(runner=FakeRunner(add=addition, add_2=addition), pipeline_root=tmp_path, quiet=True)
    return addition


def fail_sum(addition: Addition, b: int) -> str:
    """Define and run a pipeline that is referenced nowhere when this returns, and return the id of its failed run."""
    with pytest.raises(TaskFailed) as error:
        define_sum(b)()
    addition.fails = False
    addition.calls.clear()
    match = re.search(r"All files of the run are in \S+/([^/\s]+)\.\n", str(error.value))
    assert match
    return match[1]


def test_resume_finds_a_pipeline_that_was_defined_in_a_function_that_has_returned(addition: Addition) -> None:
    run = fail_sum(addition, b=2)
    define_sum(b=10)  # another definition, so that the stored pipeline gives another result
    gc.collect()

    assert local.resume(run).output == 12
    assert addition.calls == [(2, 10)]


def test_resume_uses_the_newest_definition_of_a_name(addition: Addition) -> None:
    run = fail_sum(addition, b=2)
    kept = [define_sum(b=10), define_sum(b=20)]

    assert local.resume(run).output == 22
    assert len(kept) == 2


def test_resume_uses_the_stored_pipeline_if_the_program_does_not_define_it(
    addition: Addition, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = fail_sum(addition, b=2)
    monkeypatch.setattr(defined_components, "_components", {})

    assert local.resume(run).output == 4


def test_only_the_newest_component_of_a_name_is_kept_in_memory() -> None:
    registry = ComponentRegistry()
    older = define_sum(b=1)
    older_ref = ref(older)
    registry.register(older)
    newer = registry.register(define_sum(b=2))
    del older
    gc.collect()

    assert older_ref() is None
    assert registry.get("sum") is newer
    assert registry.get("product") is None


def test_every_kind_of_component_is_registered() -> None:
    @dsl.component
    def python() -> None: ...

    @dsl.container_component
    def shell() -> dsl.ContainerSpec:
        return dsl.ContainerSpec(image="alpine", command=["true"])

    pipeline = define_sum(b=3)

    assert defined_components.get("python") is python
    assert defined_components.get("shell") is shell
    assert defined_components.get("sum") is pipeline
