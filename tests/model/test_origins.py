"""Where the value of a task's input comes from."""

from __future__ import annotations

from typing import Any

import pytest

from standpipe import dsl
from standpipe.model.origins import comes_from_task
from standpipe.model.plan import Dag, Plan
from standpipe.model.refs import ROOT, TaskRef


@dsl.component
def make() -> str:
    return "/data"


@dsl.component
def make_list() -> list:
    return ["/data"]


def imported(uri: Any) -> None:
    dsl.importer(uri, dsl.Dataset)


def of_constant() -> None:
    imported("/data")


def of_argument(path: str) -> None:
    imported(path)


importing = dsl.pipeline(of_argument)


def of_text_with_argument(path: str) -> None:
    imported(f"{path}/file")


def of_items() -> None:
    with dsl.ParallelFor(["/data", "/other"]) as item:
        imported(item)


def of_items_of_argument(paths: list) -> None:
    with dsl.ParallelFor(paths) as item:
        imported(f"{item}/file")


def of_nested(path: str) -> None:
    importing(path=path)


def of_task() -> None:
    imported(make().output)


def of_text_with_task() -> None:
    imported(f"/data/{make().output}")


def of_items_of_task() -> None:
    with dsl.ParallelFor(make_list().output) as item:
        imported(item)


def of_task_in_condition(flag: bool) -> None:
    made = make()
    with dsl.If(flag == True):  # noqa: E712
        imported(f"{made.output}/file")


def of_nested_task() -> None:
    importing(path=make().output)


def find_importer(plan: Plan, ref: TaskRef = ROOT) -> TaskRef:
    body = plan.root.body
    for name, _ in ref.path:
        assert isinstance(body, Dag)
        body = plan.components[body.nodes[name].component].body
    assert isinstance(body, Dag)
    for name, node in body.nodes.items():
        if name == "importer":
            return ref.child(name)
        if isinstance(plan.components[node.component].body, Dag):
            return find_importer(plan, ref.child(name, 0 if node.loop else None))
    raise AssertionError("there is an importer")


@pytest.mark.parametrize(
    ("pipeline", "expected"),
    [
        *((each, False) for each in (of_constant, of_argument, of_text_with_argument, of_items)),
        *((each, False) for each in (of_items_of_argument, of_nested)),
        *((each, True) for each in (of_task, of_text_with_task, of_items_of_task)),
        *((each, True) for each in (of_task_in_condition, of_nested_task)),
    ],
)
@pytest.mark.filterwarnings("ignore:importer:UserWarning")
def test_what_a_task_has_made_is_followed_through_groups_and_texts(pipeline: Any, expected: bool) -> None:
    plan = dsl.pipeline(pipeline).plan
    assert comes_from_task(plan, find_importer(plan), "uri") is expected
