"""Why a task was a cache hit or not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from standpipe import dsl, local
from standpipe.history import Run, get_run
from standpipe.local import FakeRunner
from standpipe.model.plan import Command, Container, OwnModule, Plan, PythonFunction
from standpipe.model.templates import parse_argument
from standpipe.ui.source import RunSource
from standpipe.ui.views.cache import CacheView, RecordedTask, view_cache


@dsl.component(packages_to_install=["numpy==2.0"])
def cached_train(rate: float, data: dsl.Input[dsl.Dataset]) -> float: ...


@dsl.component
def cached_load(rows: int, data: dsl.Output[dsl.Dataset]) -> None: ...


@dsl.pipeline
def cached_all(rows: int = 3, rate: float = 0.1) -> None:
    data = cached_load(rows=rows)
    cached_train(rate=rate, data=data.output).set_env_variable("MODE", "fast")


@dsl.pipeline
def cached_by_key(rate: float = 0.1, key: str = "") -> None:
    data = cached_load(rows=1).set_caching_options(False)
    cached_train(rate=rate, data=data.output).set_caching_options(True, cache_key="v3")


def load(rows: int, data: Any) -> None:
    Path(data.path).write_text("row\n" * rows)


RUNNER = FakeRunner(cached_load=load, cached_train=lambda rate: rate)


def run_of(root: Path, pipeline: Any = cached_all, *, caching: bool = True, **arguments: Any) -> Run:
    options: dict[str, Any] = {"runner": RUNNER, "quiet": True, "enable_caching": caching}
    local.run(pipeline, arguments, pipeline_root=root, **options)
    return get_run(root, "latest")


def recorded(run: Run, task: str = "cached-train") -> RecordedTask:
    return RecordedTask(run.id, RunSource(run.folder.parent).plan(run), run.task(task))


def compare(before: Run | None, now: Run, task: str = "cached-train") -> CacheView:
    return view_cache(recorded(now, task), recorded(before, task) if before else None)


def changed(view: CacheView) -> dict[str, tuple[str, str]]:
    return {part.name: (part.before, part.now) for part in view.parts if part.state == "changed"}


def with_program(task: RecordedTask, **changes: Any) -> RecordedTask:
    """Return a recorded task with another program of its container."""
    assert task.plan is not None
    executors = dict(task.plan.executors)
    label = next(name for name in executors if "train" in name)
    container = executors[label]
    assert isinstance(container, Container)
    assert isinstance(container.program, PythonFunction)
    executors[label] = replace(container, program=replace(container.program, **changes))
    return replace(task, plan=replace(task.plan, executors=executors))


def test_a_hit_names_the_task_that_the_outputs_come_from(tmp_path: Path) -> None:
    first = run_of(tmp_path)
    view = compare(first, run_of(tmp_path))

    assert (view.verdict, view.headline) == ("hit", f"Cache hit: the outputs are those of {first.id}/cached-train.")
    assert first.id in view.origin_href
    assert not changed(view)


def test_a_parameter_that_differs_is_named_with_both_values(tmp_path: Path) -> None:
    view = compare(run_of(tmp_path), run_of(tmp_path, rate=0.2))

    assert (view.verdict, view.headline) == ("miss", "No cache hit: parameter rate 0.1 → 0.2.")
    assert changed(view) == {"parameter rate": ("0.1", "0.2")}
    assert view.parts[0].name == "parameter rate"


def test_an_artifact_that_differs_is_named_by_its_checksum(tmp_path: Path) -> None:
    view = compare(run_of(tmp_path), run_of(tmp_path, rows=4))

    assert list(changed(view)) == ["artifact data"]
    assert changed(view)["artifact data"][0].startswith("sha256:")
    assert compare(run_of(tmp_path), run_of(tmp_path, rows=5), "cached-load").headline.endswith("rows 3 → 5.")


def test_nothing_that_differs_is_said_with_what_the_store_does_not_know(tmp_path: Path) -> None:
    view = compare(run_of(tmp_path, caching=False), run_of(tmp_path, caching=False))

    assert view.verdict == "miss"
    assert "nothing that the run store knows differs" in view.headline
    assert "version of Python" in view.unknown


def test_code_packages_and_variables_are_compared_as_keys_are(tmp_path: Path) -> None:
    now = recorded(run_of(tmp_path, caching=False))
    assert now.plan is not None
    function = next(
        each.program
        for each in now.plan.executors.values()
        if isinstance(each, Container) and isinstance(each.program, PythonFunction) and each.program.packages
    )

    assert list(changed(view_cache(now, with_program(now, source=function.source + "\nx = 1")))) == ["code"]
    assert not changed(view_cache(now, with_program(now, source=function.source + "\n# a comment")))
    assert changed(view_cache(now, with_program(now, packages=("numpy==1.9",)))) == {
        "packages": ("numpy==1.9", "numpy==2.0")
    }


def test_a_module_with_another_content_is_named_once(tmp_path: Path) -> None:
    now = recorded(run_of(tmp_path, caching=False))
    old, new = (with_program(now, modules=(OwnModule("mylib", source),)) for source in ("a = 1", "a = 2"))

    view = view_cache(new, old)

    assert changed(view) == {"own modules": ("mylib", "mylib")}
    assert view.headline.endswith("own modules changed: mylib.")


def test_variables_and_images_are_compared(tmp_path: Path) -> None:
    now = recorded(run_of(tmp_path, caching=False))
    assert now.plan is not None
    executors = {
        name: replace(each, image="python:3.9", env={}) if isinstance(each, Container) else each
        for name, each in now.plan.executors.items()
    }
    view = view_cache(now, replace(now, plan=replace(now.plan, executors=executors)))

    assert changed(view)["variable MODE"] == ("none", "fast")
    assert changed(view)["image"][0] == "python:3.9"


def test_without_an_earlier_run_the_parts_are_listed(tmp_path: Path) -> None:
    view = compare(None, run_of(tmp_path))

    assert view.headline == "No cache hit: no earlier run of this pipeline has this task."
    assert {part.state for part in view.parts} == {"new"}
    assert {"code", "packages", "image", "interface", "parameter rate", "artifact data", "variable MODE"} == {
        part.name for part in view.parts
    }


def test_a_key_of_the_author_replaces_all_parts(tmp_path: Path) -> None:
    first = run_of(tmp_path, cached_by_key)
    view = compare(first, run_of(tmp_path, cached_by_key, rate=0.5))

    assert view.verdict == "hit"
    assert [part.name for part in view.parts] == ["cache_key", "component", "outputs"]
    assert not view.unknown


def test_disabled_caching_is_said(tmp_path: Path) -> None:
    view = compare(None, run_of(tmp_path, cached_by_key), "cached-load")

    assert (view.verdict, view.headline) == (
        "disabled",
        "Caching is disabled: the task has set_caching_options(False), or is a rerun.",
    )


def test_a_task_that_mounts_a_pvc_always_runs(tmp_path: Path) -> None:
    now = recorded(run_of(tmp_path, caching=False))
    assert now.plan is not None
    settings = {name: {"pvcMount": [{"mountPath": "/data", "constant": "claim"}]} for name in now.plan.executors}
    platforms = {"kubernetes": {"deploymentSpec": {"executors": settings}}}
    view = view_cache(replace(now, plan=replace(now.plan, platforms=platforms)), None)

    assert view.headline == "Caching is disabled: the task mounts a PVC, which it may write to."
    assert "Kubernetes settings" in [part.name for part in view.parts]


def test_a_command_with_a_placeholder_of_the_run_has_another_key_in_each(tmp_path: Path) -> None:
    now = recorded(run_of(tmp_path, caching=False))
    assert now.plan is not None
    command = Command((parse_argument("echo {{$.pipeline_job_name}}"),))
    executors = {
        name: replace(each, program=command) if isinstance(each, Container) else each
        for name, each in now.plan.executors.items()
    }
    same = replace(now, plan=replace(now.plan, executors=executors))
    view = view_cache(same, same)

    assert view.headline == "No cache hit: command differs in each run."


def test_a_run_without_a_plan_is_compared_by_its_inputs(tmp_path: Path) -> None:
    before, now = recorded(run_of(tmp_path)), recorded(run_of(tmp_path, rate=0.3))
    no_plan: Plan | None = None
    view = view_cache(replace(now, plan=no_plan), replace(before, plan=no_plan))

    assert changed(view) == {"parameter rate": ("0.1", "0.3")}


@pytest.mark.parametrize(("before", "now"), [(1, 1.0), (True, 1), ("1", 1), ({"a": 1, "b": 2}, {"b": 2, "a": 1})])
def test_values_of_other_types_and_orders_are_others(tmp_path: Path, before: Any, now: Any) -> None:
    task = recorded(run_of(tmp_path, caching=False))

    def with_rate(value: Any) -> RecordedTask:
        return replace(task, task=replace(task.task, inputs={"rate": value}))

    assert "parameter rate" in changed(view_cache(with_rate(now), with_rate(before)))
