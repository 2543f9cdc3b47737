"""How many threads the libraries of tasks are told to start, through the public functions."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from standpipe import dsl, kubernetes, local
from standpipe.model.resources import Capacity
from standpipe.runners.thread_counts import VARIABLES
from standpipe.support import machine_capacity


@dsl.component
def read_threads() -> list:
    import os

    names = ["OMP_NUM_THREADS", "POLARS_MAX_THREADS", "RAYON_NUM_THREADS", "OPENBLAS_NUM_THREADS"]
    return [os.environ.get(name, "") for name in names]


@dsl.component
def read_threads_of(item: int) -> list:
    import os

    names = ["OMP_NUM_THREADS", "POLARS_MAX_THREADS", "RAYON_NUM_THREADS", "OPENBLAS_NUM_THREADS"]
    return [os.environ.get(name, "") for name in names]


#: What tasks read where nothing is set, and where each library is told to start a number of threads.
UNSET = ["", "", "", ""]


def told(threads: int) -> list[str]:
    return [*[str(threads)] * 3, ""]


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A machine with 8 cores, on which the user has set nothing. Call it to change the cores."""
    for name in (*VARIABLES, "OPENBLAS_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)

    def change(cores: float, visible: int) -> None:
        monkeypatch.setattr(machine_capacity, "read_capacity", lambda: Capacity(cores, 2**40))
        monkeypatch.setattr(machine_capacity, "count_cores", lambda: visible)

    change(8, 8)
    return change


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Any]:
    """Runs a pipeline, and returns its output."""

    def run(pipeline: Callable[..., Any], **options: Any) -> Any:
        local.init(runner=local.SubprocessRunner(use_venv=False), pipeline_root=tmp_path, quiet=True, **options)
        return pipeline().output

    return run


@dsl.pipeline
def alone() -> list:
    return read_threads().output


def loop_of(size: int, parallelism: int = 0, **settings: str) -> Callable[..., Any]:
    """Return a pipeline with a loop, whose tasks have resource settings."""

    @dsl.pipeline
    def loop() -> list:
        with dsl.ParallelFor(list(range(size)), parallelism=parallelism) as item:
            task = read_threads_of(item=item)
            for name, value in settings.items():
                getattr(task, name)(value)
        return dsl.Collected(task.output)  # type: ignore[return-value]

    return loop


def test_a_task_that_is_alone_uses_all_cores(read: Callable[..., Any]) -> None:
    assert read(alone) == UNSET


@pytest.mark.parametrize(
    ("size", "parallelism", "max_parallel", "expected"),
    [(4, 0, 16, 2), (3, 0, 16, 2), (10, 0, 16, 1), (6, 2, 16, 4), (6, 0, 3, 2)],
)
def test_iterations_share_the_cores(
    read: Callable[..., Any], size: int, parallelism: int, max_parallel: int, expected: int
) -> None:
    assert read(loop_of(size, parallelism), max_parallel=max_parallel) == [told(expected)] * size


def test_a_loop_with_one_item_uses_all_cores(read: Callable[..., Any]) -> None:
    assert read(loop_of(1)) == [UNSET]


def test_tasks_beside_each_other_share_the_cores(read: Callable[..., Any]) -> None:
    @dsl.pipeline
    def fork() -> list:
        read_threads()
        return read_threads().output

    assert read(fork) == told(4)


def test_a_cpu_limit_decides(read: Callable[..., Any]) -> None:
    assert read(loop_of(1, set_cpu_limit="3")) == [told(3)]
    assert read(loop_of(1, set_cpu_limit="2500m")) == [told(3)]
    assert read(loop_of(8, set_cpu_limit="4")) == [told(4)] * 8  # two at a time
    assert read(loop_of(8, set_cpu_request="1", set_cpu_limit="4")) == [told(1)] * 8


def test_a_cpu_request_counts(read: Callable[..., Any]) -> None:
    assert read(loop_of(5, set_cpu_request="4")) == [told(4)] * 5


def test_a_share_of_the_machine_counts_even_for_a_task_that_is_alone(
    read: Callable[..., Any], machine: Callable[..., None]
) -> None:
    machine(cores=2.5, visible=64)
    assert read(alone) == told(3)
    assert read(loop_of(9)) == [told(1)] * 9


def test_a_task_gets_a_thread_however_many_there_are(read: Callable[..., Any], machine: Callable[..., None]) -> None:
    machine(cores=1, visible=2)
    assert read(loop_of(3)) == [told(1)] * 3


# --- what the user sets -----------------------------------------------------------------------------------------------


def test_a_variable_of_the_program_wins(read: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert read(loop_of(4)) == [["7", "2", "2", ""]] * 4


def test_a_variable_of_one_library_stays(read: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "5")
    assert read(loop_of(4)) == [["2", "2", "2", "5"]] * 4


def test_a_variable_of_the_task_wins(read: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")

    @dsl.pipeline
    def loop() -> list:
        with dsl.ParallelFor([1, 2, 3, 4]) as item:
            task = read_threads_of(item=item).set_env_variable("OMP_NUM_THREADS", "6")
        return dsl.Collected(task.output)  # type: ignore[return-value]

    assert read(loop) == [["6", "2", "2", ""]] * 4


def test_a_variable_of_a_config_map_wins(read: Callable[..., Any]) -> None:
    @dsl.pipeline
    def loop() -> list:
        with dsl.ParallelFor([1, 2, 3, 4]) as item:
            task = read_threads_of(item=item)
            kubernetes.use_config_map_as_env(task, "app", {"threads": "RAYON_NUM_THREADS"})
        return dsl.Collected(task.output)  # type: ignore[return-value]

    assert read(loop, kubernetes={"configmaps": {"app": {"threads": "3"}}}) == [["2", "2", "3", ""]] * 4


def test_a_number_that_the_code_of_a_task_sets_wins(read: Callable[..., Any]) -> None:
    @dsl.component
    def choose(item: int) -> str:
        import os

        os.environ["OMP_NUM_THREADS"] = "5"
        return os.environ["OMP_NUM_THREADS"]

    @dsl.pipeline
    def loop() -> list:
        with dsl.ParallelFor([1, 2, 3, 4]) as item:
            task = choose(item=item)
        return dsl.Collected(task.output)  # type: ignore[return-value]

    assert read(loop) == ["5"] * 4


def test_the_program_itself_is_not_changed(read: Callable[..., Any]) -> None:
    before = dict(os.environ)
    read(loop_of(4))
    assert dict(os.environ) == before


# --- the cache --------------------------------------------------------------------------------------------------------


def test_results_are_reused_whatever_the_number_of_cores(
    read: Callable[..., Any], machine: Callable[..., None]
) -> None:
    assert read(loop_of(4), enable_caching=True) == [told(2)] * 4
    machine(cores=4, visible=4)
    assert read(loop_of(4), enable_caching=True) == [told(2)] * 4  # those of the first run
    assert read(loop_of(4)) == [told(1)] * 4
