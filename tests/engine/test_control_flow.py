"""Conditions, loops and exit handlers, event by event; no task is run."""

from __future__ import annotations

from typing import Any

import pytest

from standpipe.model.events import CancelRequested, Failure, LoopStarted, RunEnded, StopAttempts, TaskFailed
from standpipe.model.expressions import parse
from standpipe.model.plan import (
    Binding,
    Component,
    Constant,
    Container,
    ExecutorRef,
    FinalStatus,
    FromInput,
    FromTask,
    InputItems,
    Loop,
    Plan,
    PythonFunction,
    RawItems,
)
from standpipe.model.refs import ROOT
from standpipe.model.states import TaskState
from standpipe.model.templates import parse_value
from standpipe.model.types import (
    ArtifactInput,
    ArtifactOutput,
    ArtifactType,
    Input,
    ParameterInput,
    ParameterOutput,
    ParameterType,
)
from standpipe.model.values import ArtifactValue
from tests.engine.driving import Run, task
from tests.plans import COMPLETED, INT, RUN, dag, group, is_, leaf, node, plan

LIST = ParameterType.LIST
STRING = ParameterType.STRING
DATASET = ArtifactType("system.Dataset")
NUMBER = {"x": ParameterInput(INT)}
QUOTED = "'it's'"
SUCCEEDED, FAILED, SKIPPED = TaskState.SUCCEEDED, TaskState.FAILED, TaskState.SKIPPED


def raw(*items: object, parallelism: int = 0) -> Loop:
    return Loop(RawItems(items), "x", parallelism)


def over(name: str, parallelism: int = 0) -> Loop:
    return Loop(InputItems(name), "x", parallelism)


# --- conditions -------------------------------------------------------------------------------------------------------


def branches(value: object) -> Plan:
    """Return a Plan with `If(s == "it's")` around `yes`, its Else around `no`, and OneOf of both."""
    text = {"s": ParameterInput(STRING)}
    yes = node("if", component="yes", when=is_("s", QUOTED), s=FromInput("s"))
    no = node("else", component="no", when=f"!({is_('s', QUOTED)})", s=FromInput("s"))
    return plan(
        dag(
            node("both", component="both", s=Constant(value)),
            node("next", x=FromTask("both", "y")),
            y=FromTask("next", "y"),
        ),
        both=group(dag(yes, no, y=(FromTask("if", "y"), FromTask("else", "y"))), text),
        yes=group(dag(node("yes"), y=FromTask("yes", "y")), text),
        no=group(dag(node("no"), y=FromTask("no", "y")), text),
    )


@pytest.mark.parametrize(
    ("value", "branch"), [("it's", "both/if/yes"), ("its", "both/else/no"), ("' || true", "both/else/no")]
)
def test_exactly_one_branch_runs_for_any_text(value: str, branch: str) -> None:
    run = Run(branches(value))
    assert run.names == [branch]
    run.end(branch, y=1)
    assert run.inputs("next") == {"x": 1}
    run.end("next", y=2)
    assert run.ended == RunEnded(SUCCEEDED, {"y": 2})


def test_a_skipped_task_names_the_false_condition_and_its_values() -> None:
    text = "inputs.parameter_values['pipelinechannel--flip-Output'] == 'heads'"
    inputs: dict[str, Any] = {"pipelinechannel--flip-Output": Constant("tails")}
    only = node("only", when=text, **inputs)
    run = Run(plan(dag(only, node("next", "only"))))
    assert run.because("only") == "its condition is false: flip-Output == 'heads', where flip-Output is 'tails'"
    assert run.because("next") == "its upstream task 'only' was skipped"
    assert run.ended.state is SUCCEEDED


def test_a_long_condition_is_shortened_in_messages() -> None:
    run = Run(plan(dag(node("a", when=is_("x", f"'{'n' * 1000}'"), x=Constant(1)))))
    assert len(run.because("a")) < 300


def test_a_condition_uses_inputs_with_their_declared_types() -> None:
    run = Run(
        plan(
            dag(node("a", component="text", when=is_("s", "'5'"), s=Constant(5))),
            text=leaf({"s": ParameterInput(STRING)}),
        )
    )
    assert run.inputs("a") == {"s": "5"}


def test_a_condition_that_cannot_be_evaluated_fails_the_task() -> None:
    run = Run(plan(dag(node("a", when="inputs.parameter_values['x'] < 'b'", x=Constant(1)), node("b"))))
    run.end("b", y=1)
    assert run.state("a") is FAILED
    assert "inputs.parameter_values['x'] < 'b'" in run.failures[0][1]
    assert "where x is 1" in run.failures[0][1]


def test_a_condition_on_null_fails_the_task() -> None:
    run = Run(
        plan(dag(node("a", when=is_("x", "1"), x=FromInput("n"))), inputs={"n": ParameterInput(INT, optional=True)})
    )
    assert run.state("a") is FAILED


def test_a_condition_over_a_list_and_a_field_of_an_item() -> None:
    """`If(i == 2)` over the items of an upstream list, `If(i.a == 2)` over their fields."""
    field = parse('parseJson(string_value)["a"]')
    body = group(
        dag(
            node("plain", component="chosen", when=is_("x", "2"), x=FromInput("x", field)),
        ),
        {"x": ParameterInput(ParameterType.STRUCT)},
    )
    chosen = group(dag(node("a")), NUMBER)
    loop = node("loop", component="body", loop=over("items"), items=FromTask("list", "l"))
    run = Run(plan(dag(node("list"), loop), body=body, chosen=chosen))
    run.end("list", l=[{"a": 1}, {"a": 2}])
    assert run.names == ["loop/1/plain/a"]


# --- values -----------------------------------------------------------------------------------------------------------


def test_a_missing_parameter_is_null_or_the_default() -> None:
    defaulted = leaf({"x": ParameterInput(INT, optional=True, default=7)})
    absent = {"n": ParameterInput(INT, optional=True)}
    inner = group(dag(node("a", x=FromInput("n")), node("b", component="defaulted", x=FromInput("n"))), absent)
    run = Run(
        plan(dag(node("in", component="inner", n=FromInput("n"))), inputs=absent, inner=inner, defaulted=defaulted)
    )
    assert run.inputs("in/a") == {"x": None}
    assert run.inputs("in/b") == {"x": 7}


def test_whole_numbers_stay_whole_in_lists_structs_and_text() -> None:
    declared = {
        "s": ParameterInput(STRING),
        "d": ParameterInput(ParameterType.STRUCT),
        "part": ParameterInput(INT),
    }
    text = parse_value("epoch-{{$.inputs.parameters['channel']}}")
    struct = parse_value({"n": ["{{$.inputs.parameters['channel']}}", 3]})
    taken = FromTask("first", "y", parse('parseJson(string_value)["n"]'))
    many = node("a", component="many", s=Constant(text), d=Constant(struct), part=taken, channel=FromInput("x"))
    body = group(dag(node("first", component="struct"), many), NUMBER)
    run = Run(
        plan(
            dag(node("loop", component="body", loop=raw(5))),
            body=body,
            many=leaf(declared),
            struct=leaf({}, {"y": ParameterOutput(ParameterType.STRUCT)}),
        )
    )
    run.end("loop/0/first", y={"n": 4})
    assert repr(run.inputs("loop/0/a")) == repr({"part": 4, "channel": 5, "s": "epoch-5", "d": {"n": [5, 3]}})


# --- outputs of DAGs --------------------------------------------------------------------------------------------------


def test_an_output_of_a_skipped_task_is_absent_and_the_consumer_says_so() -> None:
    inner = group(dag(node("a", when=is_("x", "1"), x=Constant(2)), y=FromTask("a", "y")))
    run = Run(
        plan(
            dag(
                node("inner", component="inner"),
                node("needs", component="needy", x=FromTask("inner", "y")),
                node("takes", x=FromTask("inner", "y")),
            ),
            inner=inner,
            needy=leaf(NUMBER),
        )
    )
    assert run.state("inner") is SUCCEEDED
    assert run.inputs("takes") == {"x": None}
    run.end("takes", y=1)
    assert run.failures == [
        (
            "needs",
            "its input 'x' has no value: it comes from output 'y' of task 'inner', which produced none, "
            "and it is not optional",
        )
    ]


def test_an_output_of_a_task_with_a_condition_of_its_own_is_absent_from_the_run() -> None:
    run = Run(plan(dag(node("a", when=is_("x", "1"), x=Constant(2)), result=FromTask("a", "y"))))
    assert run.ended == RunEnded(SUCCEEDED, {})


def test_a_pipeline_whose_own_output_was_skipped_fails() -> None:
    unmet = node("first", when=is_("x", "1"), x=Constant(2))
    run = Run(plan(dag(unmet, node("a", "first"), result=FromTask("a", "y"))))
    assert run.ended.state is FAILED
    assert run.ended.failures[0].task == ROOT
    assert run.failures[0][1] == (
        "its output 'result' has no value: it comes from output 'y' of task 'a', which was skipped"
    )


def test_a_one_of_whose_branches_were_all_skipped_fails_its_dag() -> None:
    def none_of(number: int) -> dict[str, object]:
        return {"when": is_("x", str(number)), "x": Constant(0)}

    two = group(dag(node("a", **none_of(1)), node("b", **none_of(2)), y=(FromTask("a", "y"), FromTask("b", "y"))))  # type: ignore[arg-type]
    run = Run(plan(dag(node("two", component="two"), node("next", "two")), two=two))
    assert run.state("next") is SKIPPED
    assert run.failures == [
        ("two", "no branch produced its output 'y': task 'a', which was skipped and task 'b', which was skipped")
    ]


def test_a_one_of_artifacts_is_the_artifact_of_the_branch_that_ran() -> None:
    made = leaf({}, {"d": ArtifactOutput(DATASET)})
    two = group(
        dag(
            node("a", component="made", when=is_("c", "1"), c=Constant(2)),
            node("b", component="made", when=is_("c", "2"), c=Constant(2)),
            d=(FromTask("a", "d"), FromTask("b", "d")),
        ),
        d=ArtifactOutput(DATASET),
    )
    user = leaf({"d": ArtifactInput(DATASET)})
    run = Run(
        plan(
            dag(node("two", component="two"), node("use", component="user", d=FromTask("two", "d"))),
            two=two,
            made=made,
            user=user,
        )
    )
    data = ArtifactValue("d", DATASET, "/d")
    run.end("two/b", d=data)
    assert run.inputs("use") == {"d": data}


# --- loops ------------------------------------------------------------------------------------------------------------


def looped(loop: Loop, **bindings: Any) -> Plan:
    """Return a Plan with a loop over a DAG with one task `a`, and a task `sum` that takes the collected outputs."""
    body = group(
        dag(node("a", x=FromInput("x")), y=FromTask("a", "y")), {**NUMBER, "items": ParameterInput(LIST, optional=True)}
    )
    total = node("sum", component="sum", l=FromTask("loop", "y"))
    return plan(
        dag(node("loop", component="body", loop=loop, **bindings), total, y=FromTask("loop", "y")),
        inputs={"n": ParameterInput(LIST, optional=True), "s": ParameterInput(STRING, optional=True)},
        body=body,
        sum=leaf({"l": ParameterInput(LIST)}),
    )


@pytest.mark.parametrize(
    ("loop", "bindings", "arguments"),
    [
        (raw(1, 2, 3), {}, {}),
        (over("items"), {"items": FromInput("n")}, {"n": [1, 2, 3]}),
        (over("text"), {"text": FromInput("s")}, {"s": "[1, 2, 3]"}),
    ],
)
def test_a_loop_runs_its_component_for_each_item_and_gathers_in_order(
    loop: Loop, bindings: dict[str, Binding], arguments: dict[str, Any]
) -> None:
    run = Run(looped(loop, **bindings), **arguments)
    assert run.names == ["loop/0/a", "loop/1/a", "loop/2/a"]
    assert [run.inputs(name) for name in run.names] == [{"x": 1}, {"x": 2}, {"x": 3}]
    for number in (2, 0, 1):
        run.end(f"loop/{number}/a", y=number * 10)
    assert run.inputs("sum") == {"l": [0, 10, 20]}
    assert type(run.inputs("sum")["l"]) is list
    run.end("sum", y=1)
    assert run.ended == RunEnded(SUCCEEDED, {"y": [0, 10, 20]})


def test_no_items_are_a_success_with_empty_outputs() -> None:
    run = Run(looped(raw()))
    assert run.state("loop") is SUCCEEDED
    assert run.inputs("sum") == {"l": []}


@pytest.mark.parametrize(
    ("value", "says"),
    [("abc", "'abc' (str)"), ('{"a": 1}', "'{\"a\": 1}' (str)"), (None, "None (null)")],
)
def test_items_that_are_no_list_fail_the_loop(value: str | None, says: str) -> None:
    run = Run(looped(over("text"), text=FromInput("s")), s=value)
    assert run.state("sum") is SKIPPED
    assert [path for path, _ in run.failures] == ["loop"]
    assert f"its loop items are invalid: expected a list, got {says} from its input 'text'" in run.failures[0][1]


def test_an_item_of_the_wrong_type_fails_its_iteration_only() -> None:
    run = Run(looped(raw(1, "two", 3, None)))
    assert run.names == ["loop/0/a", "loop/2/a"]
    run.end("loop/0/a", y=1)
    run.end("loop/2/a", y=1)
    assert dict(run.failures).keys() == {"loop/1/a", "loop/3"}
    assert "expected int, got" in dict(run.failures)["loop/1/a"]
    assert "the loop's item is null" in dict(run.failures)["loop/3"]


@pytest.mark.parametrize("declared", [STRING, INT])
def test_an_item_keeps_its_type_for_the_tasks_that_take_it(declared: ParameterType) -> None:
    """The KFP compiler declares the items of an untyped list as text."""
    tasks = [node(name, component=name, x=FromInput("x")) for name in ("text", "number")]
    condition = node("if", component="chosen", when=is_("x", "'1'"), x=FromInput("x"))
    run = Run(
        plan(
            dag(node("loop", component="body", loop=raw(1, True, {"k": [1]}))),
            body=group(dag(*tasks, condition), {"x": ParameterInput(declared)}),
            text=leaf({"x": ParameterInput(STRING)}),
            number=leaf(NUMBER),
            chosen=group(dag(node("a", x=Constant(5))), {"x": ParameterInput(STRING)}),
        )
    )
    assert {name: run.inputs(name) for name in run.names} == {
        "loop/0/text": {"x": "1"},
        "loop/0/number": {"x": 1},
        "loop/0/if/a": {"x": 5},
        "loop/1/text": {"x": "true"},
        "loop/2/text": {"x": '{"k":[1]}'},
    }


def test_an_item_keeps_its_type_through_conditions_and_loops() -> None:
    """Groups declare as text what the compiler adds to them for the items of an untyped list."""
    item = "pipelinechannel--item"
    text = {item: ParameterInput(STRING)}
    passed: dict[str, Any] = {item: FromInput(item)}
    tasks = [node(name, component=name, x=FromInput(item)) for name in ("text", "number")]
    unlike = f"!({is_(item, QUOTED)})"
    run = Run(
        plan(
            dag(node("loop", component="body", loop=Loop(RawItems((0, "it's")), item))),
            body=group(dag(node("if", component="chosen", when=unlike, **passed)), text),
            chosen=group(dag(node("again", component="inner", loop=raw("a"), **passed)), text),
            inner=group(dag(*tasks), {**text, "x": ParameterInput(STRING)}),
            text=leaf({"x": ParameterInput(STRING)}),
            number=leaf(NUMBER),
        )
    )
    assert {name: run.inputs(name) for name in run.names} == {
        "loop/0/if/again/0/text": {"x": "0"},
        "loop/0/if/again/0/number": {"x": 0},
    }
    assert run.because("loop/1/if") == f'its condition is false: !(item == {QUOTED}), where item is "it\'s"'


def test_a_looped_component_without_a_dag_checks_its_item_itself() -> None:
    run = Run(plan(dag(node("loop", loop=raw(1, "two")))))
    run.end("loop/0", y=1)
    assert [path for path, _ in run.failures] == ["loop/1"]


def test_a_failed_iteration_cancels_nothing_and_fails_the_loop() -> None:
    run = Run(looped(raw(1, 2, 3)))
    run.end("loop/1/a", failure="boom")
    assert run.names == ["loop/0/a", "loop/2/a"]
    run.end("loop/0/a", y=1)
    assert run.state("loop") is TaskState.RUNNING
    run.end("loop/2/a", y=1)
    assert run.state("loop") is FAILED
    assert run.because("sum") == "its upstream task 'loop' failed"
    assert run.failures == [("loop/1/a", "boom")]


def test_parallelism_limits_the_iterations_that_are_active() -> None:
    run = Run(looped(raw(1, 2, 3, 4, parallelism=2)))
    assert run.names == ["loop/0/a", "loop/1/a"]
    run.end("loop/1/a", y=1)
    assert run.names == ["loop/0/a", "loop/2/a"]
    run.end("loop/0/a", failure="boom")
    assert run.names == ["loop/2/a", "loop/3/a"]
    run.end("loop/3/a", y=1)
    run.end("loop/2/a", y=1)
    assert run.state("loop") is FAILED


def test_an_iteration_has_the_inputs_of_its_loop_and_the_item() -> None:
    """An upstream output in the body of a loop is that output, not the item."""
    body = group(
        dag(node("a", component="two", a=FromInput("x"), b=FromInput("up"))),
        {**NUMBER, "up": ParameterInput(INT)},
    )
    two = leaf({"a": ParameterInput(INT), "b": ParameterInput(INT)})
    loop = node("loop", component="body", loop=raw(1, 2), up=FromTask("first", "y"))
    run = Run(plan(dag(node("first"), loop), body=body, two=two))
    run.end("first", y=7)
    assert [run.inputs(name) for name in run.names] == [{"a": 1, "b": 7}, {"a": 2, "b": 7}]


def test_a_looped_component_without_a_dag_is_attempted_for_each_item() -> None:
    run = Run(plan(dag(node("loop", loop=raw(1, 2)), y=FromTask("loop", "y"))))
    assert [run.inputs(name) for name in run.names] == [{"x": 1}, {"x": 2}]
    run.end("loop/1", y=20)
    run.end("loop/0", y=10)
    assert run.ended.outputs == {"y": [10, 20]}


def test_placeholders_distinguish_iterations() -> None:
    text = parse_value("{{$.pipeline_task_name}} {{$.pipeline_task_uuid}}")
    body = group(dag(node("a", component="text", s=Constant(text))), NUMBER)
    run = Run(
        plan(dag(node("loop", component="body", loop=raw(1, 2))), body=body, text=leaf({"s": ParameterInput(STRING)}))
    )
    first, second = (run.inputs(name)["s"].split() for name in run.names)
    assert first[0] == second[0] == "a"
    assert first[1] != second[1]


def test_skipped_tasks_are_missing_from_collected_outputs() -> None:
    seldom = node("a", when="inputs.parameter_values['x'] != 2", x=FromInput("x"))
    body = group(dag(seldom, node("b"), y=FromTask("a", "y"), always=FromTask("b", "y")), NUMBER)
    loop = node("loop", component="body", loop=raw(1, 2, 3))
    run = Run(plan(dag(loop, y=FromTask("loop", "y"), always=FromTask("loop", "always")), body=body))
    for name in run.names:
        run.end(name, y=int(name.split("/")[1]))
    assert run.state("loop/1/a") is SKIPPED
    assert run.ended.outputs == {"y": [0, 2], "always": [0, 1, 2]}


def test_the_command_has_an_item_that_its_component_does_not_declare() -> None:
    run = Run(plan(dag(node("loop", component="bare", loop=raw("a"))), bare=leaf({})))
    assert run.inputs("loop/0") == {"x": "a"}


def test_artifacts_are_items_and_are_collected_as_one_flat_list() -> None:
    made = leaf({"x": ArtifactInput(DATASET)}, {"d": ArtifactOutput(DATASET)})
    item: dict[str, Input] = {"x": ArtifactInput(DATASET), "n": ParameterInput(INT, optional=True)}
    inner = group(
        dag(node("a", component="made", x=FromInput("x")), d=FromTask("a", "d")), item, d=ArtifactOutput(DATASET)
    )
    outer = group(
        dag(node("in", component="inner", loop=Loop(RawItems((1, 2)), "n"), x=FromInput("x")), d=FromTask("in", "d")),
        {"x": ArtifactInput(DATASET)},
        d=ArtifactOutput(DATASET, is_list=True),
    )
    many = ArtifactInput(DATASET, is_list=True)
    run = Run(
        plan(
            dag(
                node("loop", component="outer", loop=over("many"), many=FromInput("many")),
                node("use", component="user", many=FromTask("loop", "d")),
            ),
            inputs={"many": many},
            inner=inner,
            outer=outer,
            made=made,
            user=leaf({"many": many}),
        ),
        many=[ArtifactValue("a", DATASET, "/a"), ArtifactValue("b", DATASET, "/b")],
    )
    assert [run.inputs(name)["x"].uri for name in run.names] == ["/a", "/a", "/b", "/b"]
    for name in run.names:
        run.end(name, d=ArtifactValue("d", DATASET, name))
    assert [data.uri for data in run.inputs("use")["many"]] == [
        "loop/0/in/0/a",
        "loop/0/in/1/a",
        "loop/1/in/0/a",
        "loop/1/in/1/a",
    ]


# --- collected outputs of nested loops --------------------------------------------------------------------------------

SOURCE = """
from kfp.dsl import *
def flat(l: List[int]): ...
def bare(l: list): ...
def nested(l: List[List[int]]): ...
def optional(l: Optional[List[List[int]]] = None): ...
def union(l: None | typing.List['List[int]'] = None): ...
def deep(l: List[List[List[int]]]): ...
"""


@pytest.mark.parametrize(
    ("function", "wants"),
    [
        ("flat", [1, 2, 1, 2]),
        ("bare", [1, 2, 1, 2]),
        ("nested", [[1, 2], [1, 2]]),
        ("optional", [[1, 2], [1, 2]]),
        ("union", [[1, 2], [1, 2]]),
        ("deep", [[1, 2], [1, 2]]),
        ("unknown", [1, 2, 1, 2]),
    ],
)
def test_nested_loops_are_flat_unless_the_consumer_annotates_nested_lists(function: str, wants: object) -> None:
    run = Run(_nested(SOURCE, function))
    for name in run.names:
        run.end(name, y=int(name.split("/")[3]) + 1)
    assert run.inputs("use") == {"l": wants}
    run.end("use")
    assert run.inputs("through/use") == {"l": wants}
    run.end("through/use")
    assert run.ended.outputs == {"y": [1, 2, 1, 2]}


def test_lists_from_tasks_count_as_levels_of_the_annotation() -> None:
    run = Run(_nested(SOURCE, "nested"))
    for name in run.names:
        run.end(name, y=[7])
    assert run.inputs("use") == {"l": [[7], [7], [7], [7]]}


def test_a_source_that_this_python_cannot_parse_gets_flat_lists() -> None:
    run = Run(_nested("def nested(l: List[List[int]]) -> : syntax of the future", "nested"))
    for name in run.names:
        run.end(name, y=1)
    assert run.inputs("use") == {"l": [1, 1, 1, 1]}


def _nested(source: str, function: str) -> Plan:
    """Return a Plan with two nested loops of two items, whose outputs are passed to a Python function."""
    lists = {"l": ParameterInput(LIST)}
    inner = group(dag(node("a", component="leaf", x=FromInput("x")), y=FromTask("a", "y")), NUMBER)
    outer = group(dag(node("in", component="inner", loop=raw(1, 2)), y=FromTask("in", "y")), NUMBER)
    through = group(dag(node("use", component="python", l=FromInput("l"))), lists)
    made = plan(
        dag(
            node("loop", component="outer", loop=raw(1, 2)),
            node("use", component="python", l=FromTask("loop", "y")),
            node("through", "use", component="through", l=FromTask("loop", "y")),
            y=FromTask("loop", "y"),
        ),
        inner=inner,
        outer=outer,
        through=through,
        python=Component(ExecutorRef("python"), lists),
    )
    executor = Container("image", PythonFunction(function, source))
    return Plan(made.name, made.root, made.components, {**made.executors, "python": executor})


def test_a_loop_over_the_outputs_of_a_nested_loop_uses_the_flat_list() -> None:
    inner = group(dag(node("in", loop=raw(1, 2)), y=FromTask("in", "y")), NUMBER)
    again = node("again", loop=over("items"), items=FromTask("loop", "y"))
    first = node("if", when="size(inputs.parameter_values['l']) == 4", l=FromTask("loop", "y"))
    part = node("part", x=FromTask("loop", "y", parse("parseJson(string_value)[2]")))
    run = Run(plan(dag(node("loop", component="inner", loop=raw(1, 2)), again, first, part), inner=inner))
    for name in run.names:
        run.end(name, y=5)
    assert run.names == ["again/0", "again/1", "again/2", "again/3", "if", "part"]
    assert run.inputs("part") == {"x": 5}


# --- exit handlers ----------------------------------------------------------------------------------------------------


def handled(body: Component) -> Plan:
    """Return a Plan with an exit handler around `body`."""
    status = {"status": ParameterInput(ParameterType.TASK_FINAL_STATUS, optional=True)}
    tidy = node("tidy", "exit-handler-1", component="tidy", trigger=COMPLETED, status=FinalStatus("exit-handler-1"))
    return plan(dag(node("exit-handler-1", component="body"), tidy), body=body, tidy=leaf(status, {}))


def test_the_final_status_of_an_exit_task_names_the_failed_task_and_the_reason() -> None:
    run = Run(handled(group(dag(node("loop", loop=raw(1, 2)), node("never", "loop")))))
    run.end("exit-handler-1/loop/0", failure="boom")
    assert run.names == ["exit-handler-1/loop/1"]
    run.end("exit-handler-1/loop/1", y=1)
    assert run.inputs("tidy") == {
        "status": {
            "state": "FAILED",
            "pipelineJobResourceName": "run-1",
            "pipelineTaskName": "exit-handler-1",
            "error": {"code": 2, "message": "its task 'exit-handler-1/loop/0' failed: boom"},
        }
    }
    run.end("tidy")
    assert run.ended.state is FAILED


def test_exit_tasks_run_after_one_cancel_request_but_not_after_two() -> None:
    run = Run(handled(group(dag(node("a"), node("b", "a")))), max_parallel=1)
    run.send(CancelRequested())
    run.end("exit-handler-1/a", failure="killed")
    assert run.state("exit-handler-1/b") is TaskState.CANCELLED
    assert run.inputs("tidy")["status"]["state"] == "CANCELLED"
    assert StopAttempts((task("tidy"),)) not in run.commands
    run.send(CancelRequested())
    assert run.commands[-1] == StopAttempts((task("tidy"),), urgent=True)
    run.end("tidy", failure="killed")
    assert run.state("tidy") is TaskState.CANCELLED
    assert run.ended == RunEnded(TaskState.CANCELLED, {})


def test_cancelling_a_loop_cancels_the_iterations_that_have_not_begun() -> None:
    run = Run(looped(raw(1, 2, 3, parallelism=1)))
    run.send(CancelRequested())
    run.end("loop/0/a", failure="killed")
    assert [run.state(f"loop/{number}") for number in range(3)] == [TaskState.CANCELLED] * 3
    assert run.ended.state is TaskState.CANCELLED


def unprepared(*paths: str) -> CancelRequested:
    """Return the request to stop a run whose tasks cannot be set up."""
    failures = [TaskFailed(task(path), Failure(f"no image {path}", hint="build it")) for path in paths]
    return CancelRequested("its tasks cannot be set up", tuple(failures))


@pytest.mark.parametrize("max_parallel", [1, 2])
def test_a_task_that_cannot_be_set_up_fails_and_the_rest_is_cancelled(max_parallel: int) -> None:
    body = group(dag(node("a"), node("ready"), node("later", "a"), node("rest", "a"), node("after", "later")))
    run = Run(handled(body), max_parallel=max_parallel)
    assert run.names == ["exit-handler-1/a", "exit-handler-1/ready"][:max_parallel]
    run.send(unprepared("exit-handler-1/later", "exit-handler-1/ready"))
    run.end("exit-handler-1/a", failure="killed")
    if max_parallel == 2:
        run.end("exit-handler-1/ready", failure="killed")
    states = {name: run.state(f"exit-handler-1/{name}") for name in ("a", "ready", "later", "rest", "after")}
    cancelled = TaskState.CANCELLED
    assert states == {"a": cancelled, "ready": FAILED, "later": FAILED, "rest": cancelled, "after": cancelled}
    assert run.inputs("tidy")["status"] == {
        "state": "FAILED",
        "pipelineJobResourceName": RUN.id,
        "pipelineTaskName": "exit-handler-1",
        "error": {"code": 2, "message": "its task 'exit-handler-1/ready' failed: no image exit-handler-1/ready"},
    }
    run.end("tidy", y=1)
    assert run.ended.state is FAILED
    reasons = {str(fact.task): (fact.failure.message, fact.failure.hint) for fact in run.ended.failures}
    assert reasons == {
        path: (f"no image {path}", "build it") for path in ("exit-handler-1/ready", "exit-handler-1/later")
    }


def test_what_is_cancelled_for_a_task_outside_has_the_reason_in_its_final_status() -> None:
    status = {"status": ParameterInput(ParameterType.TASK_FINAL_STATUS, optional=True)}
    tidy = node("tidy", "exit-handler-1", component="tidy", trigger=COMPLETED, status=FinalStatus("exit-handler-1"))
    root = dag(node("exit-handler-1", component="body"), tidy, node("later", "exit-handler-1"))
    run = Run(plan(root, body=group(dag(node("a"))), tidy=leaf(status, {})))
    run.send(unprepared("later"))
    run.end("exit-handler-1/a", failure="killed")
    got = run.inputs("tidy")["status"]
    assert (got["state"], got["error"]["message"]) == ("CANCELLED", "The run was stopped: its tasks cannot be set up.")
    run.end("tidy")
    assert (run.ended.state, run.failures) == (FAILED, [("later", "no image later")])


def test_a_group_that_has_not_started_fails_for_a_task_in_it_that_cannot_be_set_up() -> None:
    inner = group(dag(node("b"), node("c")))
    run = Run(plan(dag(node("a"), node("inner", "a", component="inner"), node("last", "inner")), inner=inner))
    run.send(unprepared("inner/c"))
    run.end("a", failure="killed")
    assert run.state("last") is TaskState.CANCELLED
    assert (run.ended.state, run.failures) == (FAILED, [("inner", "its task 'inner/c' failed: no image inner/c")])


def test_iterations_fail_whose_task_cannot_be_set_up() -> None:
    body = group(dag(node("a"), node("b", "a")))
    run = Run(plan(dag(node("loop", component="body", loop=raw(1, 2, parallelism=1))), body=body))
    run.send(unprepared("loop/b"))
    run.end("loop/0/a", failure="killed")
    assert run.state("loop/0/a") is TaskState.CANCELLED
    assert run.failures == [
        ("loop/0/b", "no image loop/b"),
        ("loop/1", "its task 'loop/b' failed: no image loop/b"),
    ]
    assert (run.state("loop"), run.ended.state) == (FAILED, FAILED)


def test_the_facts_of_a_loop_hold_its_inputs_once() -> None:
    run = Run(looped(over("items"), items=FromInput("n")), n=[1, 2, 3])
    holding = [fact for fact in run.facts if "[1, 2, 3]" in str(fact) or "(1, 2, 3)" in str(fact)]
    assert [type(fact).__name__ for fact in holding] == ["RunStarted", "LoopStarted"]
    assert isinstance(holding[1], LoopStarted)
    assert holding[1].task == task("loop")
