"""Graphs of layers, of runs with fake tasks."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from standpipe import dsl, local
from standpipe.history import Run
from standpipe.local import FakeRunner
from standpipe.model.plan import Plan
from standpipe.ui.source import RunSource
from standpipe.ui.views.graph import MAX_NODES, Graph, GraphNode, draw_graph
from standpipe.ui.views.layers import Layer, find_layer, find_member
from tests.plans import dag, group, is_, node, plan


@dsl.component
def load(rows: int, data: dsl.Output[dsl.Dataset]) -> str: ...


@dsl.component
def train(data: dsl.Input[dsl.Dataset], rate: float, model: dsl.Output[dsl.Model]) -> float: ...


@dsl.component
def best(models: dsl.Input[list[dsl.Model]]) -> str: ...


@dsl.component
def say(text: str) -> str: ...


@dsl.component
def report(status: dsl.PipelineTaskFinalStatus) -> None: ...


@dsl.pipeline
def graph_fit(data: dsl.Input[dsl.Dataset], rate: float) -> dsl.Model:
    return train(data=data, rate=rate).outputs["model"]


@dsl.pipeline
def graph_of_all_kinds(rows: int = 3) -> None:
    with dsl.ExitHandler(report(), name='clean "up" <b>'):
        loaded = load(rows=rows)
        old = dsl.importer(artifact_uri="oci://registry/old", artifact_class=dsl.Model)
        with dsl.ParallelFor([0.1, 0.2, 0.3]) as rate:
            fitted = graph_fit(data=loaded.outputs["data"], rate=rate)
        chosen = best(models=dsl.Collected(fitted.output))
        with dsl.If(chosen.output == "good"):
            say(text="if")
        with dsl.Elif(rows > 2):
            say(text="elif")
        with dsl.Else():
            say(text="else")
        last = say(text=loaded.outputs["Output"]).after(chosen, old)
        last.set_display_name("überprüfen")


@dsl.pipeline
def graph_level_5(x: str) -> None:
    say(text=x)


@dsl.pipeline
def graph_level_4(x: str) -> None:
    graph_level_5(x=x)


@dsl.pipeline
def graph_level_3(x: str) -> None:
    with dsl.ParallelFor(["a", "b"]) as item:
        graph_level_4(x=item)


@dsl.pipeline
def graph_level_2(x: str) -> None:
    graph_level_3(x=x)


@dsl.pipeline
def graph_of_levels(x: str = "x") -> None:
    graph_level_2(x=x)


@dsl.pipeline
def graph_of_many() -> None:
    for _ in range(MAX_NODES + 1):
        say(text="x")


@dsl.component
def items() -> list: ...


@dsl.pipeline
def graph_of_a_sweep() -> None:
    graph_level_4(x="x")
    with dsl.ParallelFor(items().output) as item:
        say(text=item)


@dsl.pipeline
def graph_of_retries() -> None:
    first = say(text="x").set_retry(2, backoff_duration="0s")
    with dsl.If(first.output == "never"):
        say(text="inside")
    say(text="last").after(first)


FUNCTIONS: dict[str, Any] = {
    "load": lambda: {"Output": "text"},
    "train": lambda rate: {"Output": rate},
    "best": lambda: {"Output": "good"},
    "say": lambda text: {"Output": text},
}
TRAINING = "exit-handler-1"


@pytest.fixture(autouse=True)
def _own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def run_of(pipeline: Any, **functions: Any) -> tuple[Run, Plan | None]:
    runner = FakeRunner({**FUNCTIONS, **functions})
    local.run(pipeline, runner=runner, quiet=True, raise_on_error=False, enable_caching=False)
    return latest()


def latest() -> tuple[Run, Plan | None]:
    source = RunSource(Path("local_outputs").absolute())
    run = source.run("latest")
    return run, source.plan(run)


def layer_of(run: Run, made: Plan | None, path: str = "") -> Layer:
    layer = find_layer(run, made, path)
    assert layer
    return layer


def graph_of(run: Run, made: Plan | None, path: str = "") -> Graph:
    graph = draw_graph(layer_of(run, made, path))
    assert graph
    return graph


def shown(graph: Graph) -> dict[str, tuple[str, str]]:
    return {each.id: (each.kind, each.state) for each in graph.nodes}


def find(graph: Graph, name: str) -> GraphNode:
    return next(each for each in graph.nodes if each.id == name)


def edges(graph: Graph) -> set[tuple[str, str, str]]:
    return {(edge.source, edge.target, edge.kind) for edge in graph.edges}


def test_tasks_artifacts_and_groups_are_nodes() -> None:
    run, made = run_of(graph_of_all_kinds)

    assert shown(graph_of(run, made)) == {
        f"task:{TRAINING}": ("exit-handler", "SUCCEEDED"),
        "task:report": ("execution", "SUCCEEDED"),
    }
    inside = graph_of(run, made, TRAINING)
    assert shown(inside) == {
        "task:condition-branches-4": ("condition", "SUCCEEDED"),
        "task:for-loop-3": ("loop", "SUCCEEDED"),
        "task:load": ("execution", "SUCCEEDED"),
        "task:importer": ("importer", "SUCCEEDED"),
        "task:best": ("execution", "SUCCEEDED"),
        "task:say-4": ("execution", "SUCCEEDED"),
        "output:for-loop-3/pipelinechannel--graph-fit-Output": ("artifact", "SUCCEEDED"),
        "output:load/data": ("artifact", "SUCCEEDED"),
        "output:importer/artifact": ("artifact", "SUCCEEDED"),
    }
    collected = find(inside, "output:for-loop-3/pipelinechannel--graph-fit-Output")
    assert (collected.name, collected.detail) == ("graph-fit-Output", "Model, 3 artifacts")
    assert (collected.task, collected.output) == (
        f"{TRAINING}/for-loop-3",
        "pipelinechannel--graph-fit-Output",
    )


def test_edges_tell_artifacts_parameters_and_order_apart() -> None:
    run, made = run_of(graph_of_all_kinds)

    assert edges(graph_of(run, made)) == {(f"task:{TRAINING}", "task:report", "after")}
    assert edges(graph_of(run, made, TRAINING)) == {
        ("task:load", "output:load/data", "artifact"),
        ("task:importer", "output:importer/artifact", "artifact"),
        ("task:for-loop-3", "output:for-loop-3/pipelinechannel--graph-fit-Output", "artifact"),
        ("output:load/data", "task:for-loop-3", "artifact"),
        ("output:for-loop-3/pipelinechannel--graph-fit-Output", "task:best", "artifact"),
        ("task:best", "task:condition-branches-4", "parameter"),
        ("task:load", "task:say-4", "parameter"),
        ("task:best", "task:say-4", "after"),
        ("task:importer", "task:say-4", "after"),
    }
    (final,) = graph_of(run, made).edges
    assert final.label == "final status"


def test_an_artifact_from_outside_of_a_layer_is_a_node_without_a_producer() -> None:
    run, made = run_of(graph_of_all_kinds)

    graph = graph_of(run, made, f"{TRAINING}/for-loop-3/1/graph-fit")

    assert shown(graph) == {
        "task:train": ("execution", "SUCCEEDED"),
        "input:data": ("artifact", "SUCCEEDED"),
        "output:train/model": ("artifact", "SUCCEEDED"),
    }
    assert (find(graph, "input:data").task, find(graph, "input:data").output) == (f"{TRAINING}/load", "")
    iteration = graph_of(run, made, f"{TRAINING}/for-loop-3/1")
    assert shown(iteration)["input:pipelinechannel--load-data"] == ("artifact", "SUCCEEDED")
    assert edges(graph) == {
        ("input:data", "task:train", "artifact"),
        ("task:train", "output:train/model", "artifact"),
    }


def test_branches_are_shown_as_their_author_wrote_them() -> None:
    run, made = run_of(graph_of_all_kinds)

    branches = graph_of(run, made, f"{TRAINING}/condition-branches-4")

    assert [(each.condition, each.state) for each in branches.tasks] == [
        ("if best-Output == 'good'", "SUCCEEDED"),
        ("else if rows > 2", "SKIPPED"),
        ("else", "SKIPPED"),
    ]
    assert find(graph_of(run, made), "task:report").condition == "after success or failure"


def test_a_condition_names_the_task_that_it_reads() -> None:
    run, made = run_of(graph_of_retries)

    assert find(graph_of(run, made), "task:condition-1").condition == "if say == 'never'"


def test_groups_count_the_states_of_their_tasks() -> None:
    def fails_once(rate: float) -> dict[str, float]:
        if rate == 0.2:
            raise ValueError("diverged")
        return {"Output": rate}

    run, made = run_of(graph_of_all_kinds, train=fails_once)
    loop = find(graph_of(run, made, TRAINING), "task:for-loop-3")

    assert loop.detail.startswith("3/3, 1 failed, ")
    assert [(each.state, each.count) for each in loop.counts] == [("FAILED", 1), ("SUCCEEDED", 2)]
    assert (loop.state, loop.layer) == ("FAILED", f"{TRAINING}/for-loop-3")
    skipped = find(graph_of(run, made, TRAINING), "task:best")
    assert (skipped.state, skipped.detail) == ("SKIPPED", "")


def test_tasks_that_the_run_has_not_reached_come_from_the_plan() -> None:
    seen: list[Graph] = []

    def look(text: str) -> dict[str, str]:
        if not seen:
            seen.append(graph_of(*latest()))
        return {"Output": text}

    run_of(graph_of_retries, say=look)

    assert shown(seen[0]) == {
        "task:condition-1": ("condition", "PENDING"),
        "task:say": ("execution", "RUNNING"),
        "task:say-3": ("execution", "PENDING"),
    }
    assert find(seen[0], "task:condition-1").detail == "0/1"
    assert 0 <= time.time() - find(seen[0], "task:say").started < 100
    assert find(seen[0], "task:say-3").started == 0


def test_layers_that_the_run_has_not_reached_open() -> None:
    run, made = run_of(graph_of_all_kinds, load=lambda: 1 / 0)

    assert [each.state for each in graph_of(run, made, f"{TRAINING}/condition-branches-4/condition-5").tasks] == [
        "PENDING"
    ]
    assert find_member(run, made, f"{TRAINING}/condition-branches-4/condition-5/say") is not None


def test_a_node_tells_retries_and_durations() -> None:
    calls: list[str] = []

    def second_time(text: str) -> dict[str, str]:
        calls.append(text)
        if len(calls) == 1:
            raise ValueError(text)
        return {"Output": text}

    run, made = run_of(graph_of_retries, say=second_time)
    first = find(graph_of(run, made), "task:say")

    assert first.detail.endswith(" s, attempt 2")
    assert first.summary == "Task, Succeeded"
    assert find(graph_of(run, made), "task:say-3").summary == "Task, Succeeded, after say"


def test_a_cached_task_is_marked() -> None:
    local.init(FakeRunner(FUNCTIONS), quiet=True, enable_caching=True)
    local.run(graph_of_retries)
    local.run(graph_of_retries)

    assert find(graph_of(*latest()), "task:say").state == "CACHED"


def test_names_with_markup_and_unicode_stay_as_they_are() -> None:
    run, made = run_of(graph_of_all_kinds)

    assert find(graph_of(run, made), f"task:{TRAINING}").name == 'clean "up" <b>'
    assert find(graph_of(run, made, TRAINING), "task:say-4").name == "überprüfen"
    assert [crumb.name for crumb in graph_of(run, made, TRAINING).crumbs] == ["graph-of-all-kinds", 'clean "up" <b>']


def test_layers_open_five_levels_deep() -> None:
    run, made = run_of(graph_of_levels)
    path = "graph-level-2/graph-level-3/for-loop-2/1/graph-level-4/graph-level-5"

    graph = graph_of(run, made, path)

    assert [(each.task, each.state) for each in graph.tasks] == [(f"{path}/say", "SUCCEEDED")]
    assert [crumb.name for crumb in graph.crumbs] == [
        "graph-of-levels",
        *("graph-level-2", "graph-level-3", "for-loop-2", "1", "graph-level-4", "graph-level-5"),
    ]
    assert graph.crumbs[-2].path == path.rpartition("/")[0]


@pytest.mark.parametrize(
    "path", ["no-such", "graph-level-2/say", "graph-level-2/graph-level-3/for-loop-2/7", "/", "a//"]
)
def test_other_paths_are_no_layers(path: str) -> None:
    run, made = run_of(graph_of_levels)

    assert find_layer(run, made, path) is None


def test_a_task_is_no_layer_and_is_found_in_its_layer() -> None:
    run, made = run_of(graph_of_levels)
    path = "graph-level-2/graph-level-3/for-loop-2/0/graph-level-4/graph-level-5/say"

    assert find_layer(run, made, path) is None
    match = find_member(run, made, path)
    assert match
    assert (match[0].path, match[1].name) == (path.rpartition("/")[0], "say")
    assert find_member(run, made, f"{path}-2") is None


def test_names_may_contain_slashes() -> None:
    inner = group(dag(node("c"), node("b/c")))
    made = plan(dag(node("a", component="inner"), node("a/b", component="inner")), inner=inner)
    run, _ = run_of(graph_of_retries)

    for path, layer in (("a/c", "a"), ("a/b/c", "a/b"), ("a/b/b/c", "a/b")):
        match = find_member(run, made, path)
        assert match
        assert match[0].path == layer


def test_a_loop_and_a_large_layer_are_not_drawn() -> None:
    run, made = run_of(graph_of_all_kinds)
    assert draw_graph(layer_of(run, made, f"{TRAINING}/for-loop-3")) is None
    run, made = run_of(graph_of_many)
    assert draw_graph(layer_of(run, made)) is None


def test_a_run_without_a_plan_has_the_edges_of_its_lineage() -> None:
    run, _ = run_of(graph_of_all_kinds)
    graph = graph_of(run, None, TRAINING)

    assert not graph.has_plan
    assert {each.id for each in graph.tasks} == {
        *("task:load", "task:importer", "task:for-loop-3", "task:best"),
        *("task:condition-branches-4", "task:say-4"),
    }
    assert find(graph, "task:for-loop-3").kind == "loop"
    loop = "output:for-loop-3/pipelinechannel--graph-fit-Output"
    assert {edge for edge in edges(graph) if "load/data" in edge[0] or edge[0] == loop} == {
        ("output:load/data", "task:for-loop-3", "artifact"),
        (loop, "task:best", "artifact"),
    }


def test_the_document_is_json() -> None:
    document = json.loads(json.dumps(graph_of(*run_of(graph_of_all_kinds), TRAINING).document))

    assert document["layer"] == TRAINING
    assert {"id", "kind", "kindLabel", "summary", "counts"} < set(document["nodes"][0])
    assert {"source", "target", "kind", "label"} == set(document["edges"][0])


def test_conditions_are_written_as_in_python() -> None:
    conditions = {
        "inputs.parameter_values['x'] == 1 || inputs.parameter_values['x'] > 2.5": "if x == 1 or x > 2.5",
        "!(inputs.parameter_values['x'] == true)": "if not (x == True)",
        "(1 == 2 || 2 == 3) && int(inputs.parameter_values['x']) == -1": "if (1 == 2 or 2 == 3) and x == -1",
        is_("x", "'it''s'"): "if x == \"it''s\"",
        "parseJson(inputs.parameter_values['x'])['a'] == 2": "if parseJson(x)['a'] == 2",
    }
    run, _ = run_of(graph_of_retries)
    for text, expected in conditions.items():
        graph = graph_of(run, plan(dag(node("n", when=text))))
        assert find(graph, "task:n").condition == expected


def test_a_layer_costs_the_same_in_a_large_run() -> None:
    """What is in other layers is not looked at, so that 400 times as many iterations make no difference."""
    seconds = []
    for count in (5, 2000):
        run, made = run_of(graph_of_a_sweep, items=lambda count=count: {"Output": [*range(count)]})
        assert len(run.task("for-loop-1").children) == count
        begin = time.process_time()
        for _ in range(100):
            graph_of(run, made, "graph-level-4")
        seconds.append(time.process_time() - begin)

    assert seconds[1] < 3 * seconds[0]
