"""`If`, `ParallelFor`, `ExitHandler`, `OneOf` and `Collected` as Plans."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from standpipe import dsl
from standpipe.errors import (
    AuthoringError,
    AuthoringTypeError,
    InconsistentTypeException,
    InvalidControlFlowException,
    InvalidTopologyException,
    StandpipeError,
)
from standpipe.model.expressions import parse
from standpipe.model.plan import (
    Component,
    Constant,
    Dag,
    FinalStatus,
    FromInput,
    FromTask,
    InputItems,
    Loop,
    Node,
    RawItems,
    Trigger,
    TriggerStrategy,
)
from standpipe.model.templates import InputParameter, Template
from standpipe.model.types import ArtifactInput, ArtifactOutput, ParameterInput, ParameterOutput, ParameterType


@dsl.component
def echo(x: int = 1) -> int:
    return x


@dsl.component
def say(text: str) -> str:
    return text


@dsl.component
def many() -> NamedTuple("Many", [("numbers", list[int]), ("rows", list[dict[str, int]]), ("anything", list)]):  # type: ignore[valid-type]
    return ([], [], [])


@dsl.component
def total(values: list[int]) -> int:
    return sum(values)


@dsl.component
def make(data: dsl.Output[dsl.Dataset]) -> None:
    pass


@dsl.component
def merge(data: dsl.Input[list[dsl.Dataset]]) -> None:
    pass


@dsl.component
def report(status: dsl.PipelineTaskFinalStatus, note: str = "") -> None:
    pass


def component(pipeline: Any, name: str = "") -> Component:
    return pipeline.plan.components[f"comp-{name}"] if name else pipeline.plan.root


def node(pipeline: Any, name: str, group: str = "") -> Node:
    body = component(pipeline, group).body
    assert isinstance(body, Dag)
    return body.nodes[name]


def condition(pipeline: Any, name: str, group: str = "") -> str:
    found = node(pipeline, name, group).trigger.condition
    assert found
    return found.text


def test_a_branch_is_a_component_that_sees_its_inputs_only() -> None:
    @dsl.pipeline
    def chooses(n: int) -> None:
        first = echo(x=n)
        with dsl.If(first.output > n, name="bigger"):
            second = echo(x=n)
            echo(x=second.output)

    branch = node(chooses, "condition-1")
    assert branch == Node(
        "condition-1",
        "comp-condition-1",
        {"pipelinechannel--echo-Output": FromTask("echo", "Output"), "pipelinechannel--n": FromInput("n")},
        ("echo",),
        display_name="bigger",
        trigger=Trigger(
            condition=parse(
                "int(inputs.parameter_values['pipelinechannel--echo-Output']) > "
                "int(inputs.parameter_values['pipelinechannel--n'])"
            )
        ),
        caching=None,
    )
    assert component(chooses, "condition-1").inputs == {
        "pipelinechannel--echo-Output": ParameterInput(ParameterType.NUMBER_INTEGER),
        "pipelinechannel--n": ParameterInput(ParameterType.NUMBER_INTEGER),
    }
    assert node(chooses, "echo-2", "condition-1").inputs == {"x": FromInput("pipelinechannel--n")}
    assert node(chooses, "echo-3", "condition-1").inputs == {"x": FromTask("echo-2", "Output")}


@pytest.mark.parametrize(
    ("given", "compiled"),
    [
        (lambda n, s, b, f: s == "it's", "S == 'it's'"),
        (lambda n, s, b, f: s == r"C:\new", r"S == 'C:\new'"),
        (lambda n, s, b, f: s != "a", "S != 'a'"),
        (lambda n, s, b, f: n <= 3, "int(N) <= 3"),
        (lambda n, s, b, f: n == 3.5, "double(int(N)) == 3.5"),
        (lambda n, s, b, f: f >= 3, "F >= double(3)"),
        (lambda n, s, b, f: f < n, "F < double(int(N))"),
        (lambda n, s, b, f: b == True, "B == true"),  # noqa: E712 - a channel is no bool
        (lambda n, s, b, f: b == 0, "B == true"),
        (lambda n, s, b, f: s == 3, "S == '3'"),
        (lambda n, s, b, f: s == n, "S == 'int(N)'"),
    ],
)
def test_comparisons_become_cel_as_the_sdk_writes_it(given: Any, compiled: str) -> None:
    @dsl.pipeline
    def compares(n: int, s: str, b: bool, f: float) -> None:
        with dsl.If(given(n, s, b, f)):
            echo()

    for letter in "nsbf":
        reference = f"inputs.parameter_values['pipelinechannel--{letter}']"
        compiled = compiled.replace(letter.upper(), reference)
    assert condition(compares, "condition-1") == compiled


@pytest.mark.parametrize(
    ("compare", "problem"),
    [
        (lambda s, items: s > 5, "orders text and the number 5"),
        (lambda s, items: items <= 0.5, "orders text and the number 0.5: .* as list"),
        (lambda s, items: s == dsl.PIPELINE_JOB_NAME_PLACEHOLDER, "placeholders are not replaced in conditions"),
    ],
)
def test_a_condition_that_hardly_means_what_its_author_expects_is_warned_of(compare: Any, problem: str) -> None:
    def compares(s: str, items: list) -> None:
        with dsl.ParallelFor(items) as item, dsl.If(compare(s, item)):
            echo(x=1)

    with pytest.warns(UserWarning, match=problem) as warned:
        dsl.pipeline(compares)

    (warning,) = warned
    assert warning.filename == __file__


def test_a_comparison_of_one_type_is_not_warned_of() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")

        @dsl.pipeline
        def compares(n: int, s: str, sizes: list[int]) -> None:
            with dsl.If(n > 5), dsl.If(s > "5"), dsl.If(s == "5"), dsl.ParallelFor(sizes) as size, dsl.If(size > 5):
                echo(x=n)


@pytest.mark.parametrize("name", ["name", "full_name", "task", "task_name"])
def test_an_attribute_that_hides_a_field_of_items_is_warned_of(name: str) -> None:
    @dsl.pipeline
    def loops(rows: list) -> None:
        with dsl.ParallelFor(rows) as row:
            with pytest.warns(UserWarning, match=rf"write item\['{name}'\]") as warned:
                value = getattr(row, name)
            assert value == ("rows-loop-item" if name.endswith("name") and name != "task_name" else None)
            assert [Path(warning.filename) for warning in warned] == [Path(__file__)]
            echo(x=row[name])
            echo(x=row.size)

    body = "for-loop-1"
    selectors = [node(loops, task, body).inputs["x"].selector.text for task in ("echo", "echo-2")]  # type: ignore[union-attr]
    assert selectors == [f'parseJson(string_value)["{name}"]', 'parseJson(string_value)["size"]']


def test_names_that_only_our_own_loop_variables_have_are_fields() -> None:
    names = ["added_input", "is_artifact_list", "loop_items", "type_annotation", "item", "key", "value", "pipeline"]

    @dsl.pipeline
    def loops(rows: list) -> None:
        with dsl.ParallelFor(rows) as row:
            for name in names:
                echo(x=getattr(row, name))

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plan = loops.plan
    nodes = plan.components["comp-for-loop-1"].body.nodes.values()  # type: ignore[union-attr]
    assert [node.inputs["x"].selector.text for node in nodes] == [f'parseJson(string_value)["{n}"]' for n in names]  # type: ignore[union-attr]


@pytest.mark.parametrize("key", ["a b", 'a"b', "", 0, None])
def test_a_field_that_no_selector_can_read_is_refused(key: Any) -> None:
    with pytest.raises(AuthoringError, match=r"Expected the key of a field.*Pass the whole item to a component"):

        @dsl.pipeline
        def loops(rows: list) -> None:
            with dsl.ParallelFor(rows) as row:
                echo(x=row[key])


def test_the_name_of_an_artifact_in_a_loop_is_warned_of() -> None:
    @dsl.pipeline
    def loops(models: dsl.Input[list[dsl.Model]]) -> None:
        with dsl.ParallelFor(models) as model:
            with pytest.warns(UserWarning, match=r"\.name of the item.*read 'name' there"):
                assert model.name == "models-loop-item"
            with pytest.raises(AttributeError, match=r"has no attribute 'uri'. Pass the whole value to a component"):
                model.uri  # noqa: B018 - the access is the test
            echo()


@dsl.component
def take_list(x: list) -> None: ...


@pytest.mark.parametrize("use", [str, lambda one_of: f"x{one_of}", lambda one_of: take_list(x=[one_of])])
def test_a_one_of_in_text_is_an_error_of_the_sdks_class(use: Any) -> None:
    with pytest.raises(NotImplementedError, match=r"A dsl\.OneOf cannot be used inside text") as caught:

        @dsl.pipeline
        def joins(n: int) -> None:
            with dsl.If(n == 1):
                one = echo()
            with dsl.Else():
                two = echo()
            use(dsl.OneOf(one.output, two.output))

    assert isinstance(caught.value, AuthoringError)


def test_a_one_of_of_an_inner_condition_cannot_be_returned() -> None:
    with pytest.raises(InvalidTopologyException, match=r"the dsl\.OneOf of .* is in the dsl\.If 'condition-\d'"):

        @dsl.pipeline
        def joins(n: int):  # type: ignore[no-untyped-def]
            with dsl.If(n > 0):
                with dsl.If(n == 1):
                    one = echo()
                with dsl.Else():
                    two = echo()
                return dsl.OneOf(one.output, two.output)


@pytest.mark.parametrize("items", ["abc", 5, {1, 2}, range(3), {"a": 1}])
def test_items_that_are_no_list_are_an_error_of_the_sdks_class(items: Any) -> None:
    with pytest.raises(TypeError, match=r"dsl\.ParallelFor expected a list"):

        @dsl.pipeline
        def loops() -> None:
            with dsl.ParallelFor(items):
                echo()


def test_a_message_about_a_pipeline_says_so() -> None:
    @dsl.pipeline
    def inner(n: int) -> None:
        echo(x=n)

    with pytest.raises(
        InconsistentTypeException, match=r"^Pipeline 'inner', input 'n': expected int, got 'a' of type str"
    ):

        @dsl.pipeline
        def outer() -> None:
            inner(n="a")


def test_the_name_of_a_group_is_known_while_the_pipeline_is_traced() -> None:
    with pytest.raises(TypeError, match=r"^dsl\.If expected name to be a string, got the pipeline input 'text'"):

        @dsl.pipeline
        def names(text: str) -> None:
            with dsl.If(text == "a", name=text):
                echo()


def test_branches_exclude_each_other_and_are_numbered_as_the_sdk_does() -> None:
    @dsl.pipeline
    def chooses(n: int) -> int:
        with dsl.If(n == 1):
            one = echo(x=1)
        with dsl.Elif(n == 2):
            two = echo(x=2)
        with dsl.Else():
            three = echo(x=3)
        found = dsl.OneOf(one.output, two.output, three.output)
        say(text="after")
        echo(x=found)
        return found

    equal = "int(inputs.parameter_values['pipelinechannel--n']) == "
    assert condition(chooses, "condition-2", "condition-branches-1") == f"{equal}1"
    assert condition(chooses, "condition-3", "condition-branches-1") == f"!({equal}1) && {equal}2"
    assert condition(chooses, "condition-4", "condition-branches-1") == f"!({equal}1) && !({equal}2)"
    joined = "pipelinechannel--condition-branches-1-oneof-1"
    branches = component(chooses, "condition-branches-1")
    assert branches.outputs == {joined: ParameterOutput(ParameterType.NUMBER_INTEGER)}
    assert isinstance(branches.body, Dag)
    assert branches.body.outputs == {
        joined: (
            FromTask("condition-2", "pipelinechannel--echo-Output"),
            FromTask("condition-3", "pipelinechannel--echo-2-Output"),
            FromTask("condition-4", "pipelinechannel--echo-3-Output"),
        )
    }
    assert node(chooses, "echo-4") == Node(
        "echo-4", "comp-echo-4", {"x": FromTask("condition-branches-1", joined)}, ("condition-branches-1",)
    )
    assert component(chooses).body.outputs == {"Output": (FromTask("condition-branches-1", joined),)}  # type: ignore[union-attr]


def test_tasks_after_an_elif_without_an_else_belong_to_it_as_in_the_sdk() -> None:
    def chooses(n: int) -> None:
        with dsl.ParallelFor([1, 2]):
            with dsl.If(n == 1):
                echo()
            with dsl.Elif(n == 2):
                echo()
            say(text="in the branches")
        say(text="in the loop")

    with pytest.warns(UserWarning, match=r"A dsl\.Elif in the dsl\.ParallelFor has no dsl\.Else"):
        made = dsl.pipeline(chooses)
    assert node(made, "say", "condition-branches-3")
    assert node(made, "say-2", "for-loop-2")


def test_a_loop_over_a_constant_list() -> None:
    @dsl.pipeline
    def loops() -> int:
        with dsl.ParallelFor([{"a": 1, "b": 2}], name="rows", parallelism=2) as row:
            made = echo(x=row.a)
            say(text=f"{row.b} and {row}")
        return total(values=dsl.Collected(made.output)).output

    item = "pipelinechannel--loop-item-param-1"
    loop = node(loops, "for-loop-2")
    assert loop.loop == Loop(RawItems(({"a": 1, "b": 2},)), item, 2)
    assert (loop.inputs, loop.display_name) == ({}, "rows")
    inner = component(loops, "for-loop-2")
    assert inner.inputs == {item: ParameterInput(ParameterType.STRUCT)}
    assert inner.outputs == {"pipelinechannel--echo-Output": ParameterOutput(ParameterType.LIST)}
    assert node(loops, "echo", "for-loop-2").inputs == {"x": FromInput(item, parse('parseJson(string_value)["a"]'))}
    assert node(loops, "say", "for-loop-2").inputs == {
        "text": Constant(Template((InputParameter(f"{item}-subvar-b"), " and ", InputParameter(item)))),
        f"{item}-subvar-b": FromInput(item, parse('parseJson(string_value)["b"]')),
        item: FromInput(item),
    }
    assert node(loops, "total").inputs == {"values": FromTask("for-loop-2", "pipelinechannel--echo-Output")}
    assert node(loops, "total").after == ("for-loop-2",)


def test_a_loop_over_an_output_has_it_as_input_and_waits_for_it() -> None:
    @dsl.pipeline
    def loops() -> None:
        made = many()
        with dsl.ParallelFor(made.outputs["rows"]) as row, dsl.If(row.size == 3):
            echo(x=row.size)
        with dsl.ParallelFor(made.outputs["anything"]) as item:
            echo(x=item)

    source, item = "pipelinechannel--many-rows", "pipelinechannel--many-rows-loop-item"
    loop = node(loops, "for-loop-1")
    assert (loop.loop, loop.inputs, loop.after) == (
        Loop(InputItems(source), item),
        {source: FromTask("many", "rows")},
        ("many",),
    )
    assert component(loops, "for-loop-1").inputs == {
        source: ParameterInput(ParameterType.LIST),
        item: ParameterInput(ParameterType.STRUCT),
    }
    size = parse('parseJson(string_value)["size"]')
    assert node(loops, "condition-2", "for-loop-1").inputs == {
        f"{item}-subvar-size": FromInput(item, size),
        item: FromInput(item),
    }
    assert node(loops, "echo", "condition-2").inputs == {"x": FromInput(item, size)}


def test_items_of_outer_loops_reach_inner_ones_also_in_text() -> None:
    @dsl.pipeline
    def loops(rows: list[dict[str, list[int]]]) -> None:
        with dsl.ParallelFor(["a", "b"]) as letter, dsl.ParallelFor(rows) as row, dsl.ParallelFor(row.cells) as cell:
            say(text=f"{letter}{cell}")

    plan = loops.plan
    letter, cell = "pipelinechannel--loop-item-param-1", "pipelinechannel--rows-loop-item-subvar-cells-loop-item"
    innermost = component(loops, "for-loop-4")
    assert innermost.inputs[letter] == ParameterInput(ParameterType.STRING)
    assert innermost.inputs[cell] == ParameterInput(ParameterType.NUMBER_INTEGER)
    assert node(loops, "for-loop-4", "for-loop-3").inputs[letter] == FromInput(letter)
    assert node(loops, "for-loop-3", "for-loop-2").inputs[letter] == FromInput(letter)
    assert plan.root.body.nodes["for-loop-2"].inputs == {"pipelinechannel--rows": FromInput("rows")}  # type: ignore[union-attr]


def test_artifacts_are_collected_and_looped_over() -> None:
    @dsl.pipeline
    def inner() -> list[dsl.Dataset]:
        with dsl.ParallelFor([1, 2]), dsl.ParallelFor([3]):
            made = make()
        return dsl.Collected(made.outputs["data"])  # type: ignore[return-value]

    @dsl.pipeline
    def outer() -> None:
        made = inner()
        merge(data=made.output)
        with dsl.ParallelFor(made.output) as data:
            make()
            assert data.is_artifact_list is False

    name = "pipelinechannel--make-data"
    dataset = dsl.Dataset.schema_title
    loop = component(inner, "for-loop-2")
    gathered = loop.outputs[name]
    assert isinstance(gathered, ArtifactOutput)
    assert gathered.is_list
    assert isinstance(loop.body, Dag)
    assert loop.body.outputs == {name: (FromTask("for-loop-4", name),)}
    looped = component(outer, "for-loop-1").inputs["pipelinechannel--inner-Output"]
    assert isinstance(looped, ArtifactInput)
    assert (looped.is_list, looped.type.schema_title) == (True, dataset)
    assert node(outer, "for-loop-1").loop == Loop(
        InputItems("pipelinechannel--inner-Output"), "pipelinechannel--inner-Output-loop-item"
    )


def test_an_exit_task_waits_for_its_group_to_complete() -> None:
    @dsl.pipeline
    def handles(note: str) -> None:
        with dsl.ExitHandler(report(note=note), name="all of it") as handler:
            say(text=note)
        echo().after(handler)

    assert node(handles, "report") == Node(
        "report",
        "comp-report",
        {"note": FromInput("note"), "status": FinalStatus("exit-handler-1")},
        ("exit-handler-1",),
        trigger=Trigger(TriggerStrategy.ALL_UPSTREAM_TASKS_COMPLETED),
    )
    assert node(handles, "exit-handler-1").inputs == {"pipelinechannel--note": FromInput("note")}
    assert node(handles, "exit-handler-1").display_name == "all of it"
    assert node(handles, "echo").after == ("exit-handler-1",)


def _else_alone(n: Any) -> None:
    with dsl.Else():
        echo()


def _else_after_else(n: Any) -> None:
    with dsl.If(n == 1):
        echo()
    with dsl.Else():
        echo()
    with dsl.Else():
        echo()


def _elif_after_loop(n: Any) -> None:
    with dsl.ParallelFor([1]):
        echo()
    with dsl.Elif(n == 1):
        echo()


def _constant(n: Any) -> None:
    with dsl.If(True):
        echo()


def _compared_list(n: Any) -> None:
    with dsl.If(many().outputs["numbers"] == "x"):
        echo()


def _bool_with_number(n: Any) -> None:
    with dsl.If(n == True):  # noqa: E712 - a channel is no bool
        echo()


def _out_of_condition(n: Any) -> None:
    with dsl.If(n == 1):
        made = echo()
    echo(x=made.output)


def _after_condition(n: Any) -> None:
    with dsl.If(n == 1):
        made = echo()
    echo().after(made)


def _out_of_branches(n: Any) -> None:
    with dsl.If(n == 1):
        made = echo()
    with dsl.Else():
        echo()
    echo(x=made.output)


def _out_of_loop(n: Any) -> None:
    with dsl.ParallelFor([1]):
        made = echo()
    echo(x=made.output)


def _out_of_exit_handler(n: Any) -> None:
    with dsl.ExitHandler(say(text="bye")):
        made = echo()
    echo(x=made.output)


def _collected_outside_of_loops(n: Any) -> None:
    total(values=dsl.Collected(echo().output))


def _collected_in_its_loop(n: Any) -> None:
    with dsl.ParallelFor([1]):
        total(values=dsl.Collected(echo().output))


def _collected_from_a_loop_in_a_condition(n: Any) -> None:
    with dsl.If(n == 1), dsl.ParallelFor([1]):
        made = echo()
    total(values=dsl.Collected(made.output))


def _collected_one_of(n: Any) -> None:
    with dsl.ParallelFor([1]) as x:
        with dsl.If(x == 1):
            one = echo()
        with dsl.Else():
            two = echo()
        either = dsl.OneOf(one.output, two.output)
    total(values=dsl.Collected(either))


def _collected_in_text(n: Any) -> None:
    with dsl.ParallelFor([1]):
        made = echo()
    say(text=f"{dsl.Collected(made.output)}")


def _one_of_without_else(n: Any) -> None:
    with dsl.If(n == 1):
        one = echo()
    with dsl.Elif(n == 2):
        two = echo()
    echo(x=dsl.OneOf(one.output, two.output))


def _one_of_anything(n: Any) -> None:
    echo(x=dsl.OneOf(echo().output, echo().output))


def _one_of_two_types(n: Any) -> None:
    with dsl.If(n == 1):
        one = echo()
    with dsl.Else():
        two = say(text="")
    echo(x=dsl.OneOf(one.output, two.output))


def _one_of_a_loop(n: Any) -> None:
    with dsl.If(n == 1), dsl.ParallelFor([1]):
        one = echo()
    with dsl.Else():
        two = echo()
    echo(x=dsl.OneOf(one.output, two.output))


def _item_outside(n: Any) -> None:
    with dsl.ParallelFor([1]) as x:
        echo()
    echo(x=x)


def _loop_over_number(n: Any) -> None:
    with dsl.ParallelFor(n):
        echo()


def _loop_over_nothing(n: Any) -> None:
    with dsl.ParallelFor([]):
        echo()


def _loop_over_text(n: Any) -> None:
    with dsl.ParallelFor("abc"):
        echo()


def _loop_over_an_artifact(n: Any) -> None:
    with dsl.ParallelFor(make().outputs["data"]):
        echo()


def _loop_over_channels(n: Any) -> None:
    with dsl.ParallelFor([n]):
        echo()


def _negative_parallelism(n: Any) -> None:
    with dsl.ParallelFor([1], parallelism=-1):
        echo()


def _exit_task_that_waits(n: Any) -> None:
    with dsl.ExitHandler(echo(x=echo().output)):
        echo()


def _exit_handler_in_a_loop(n: Any) -> None:
    bye = echo()
    with dsl.ParallelFor([1]), dsl.ExitHandler(bye):
        echo()


def _exit_task_twice(n: Any) -> None:
    bye = echo()
    with dsl.ExitHandler(bye):
        echo()
    with dsl.ExitHandler(bye):
        echo()


def _status_of_nothing(n: Any) -> None:
    report()


def _after_a_loop_group(n: Any) -> None:
    loop = dsl.ParallelFor([1])
    with loop:
        echo()
    echo().after(loop)


@dsl.component
def condition_1(x: int = 1) -> int:
    return x


def _named_like_a_group(n: Any) -> None:
    made = condition_1()
    with dsl.If(made.output == 1):
        echo()


def _loop_over_what_is_collected(n: Any) -> None:
    with dsl.ParallelFor([1]):
        made = echo()
    with dsl.ParallelFor(dsl.Collected(made.output)) as x:
        echo(x=x)


def _returned_from_a_condition(n: Any) -> Any:
    with dsl.If(n == 1):
        made = echo()
    return made.output


@pytest.mark.filterwarnings("ignore:A dsl.Elif")
@pytest.mark.parametrize(
    ("mistake", "error", "says"),
    [
        (_else_alone, InvalidControlFlowException, r"dsl\.Else has no dsl\.If before it"),
        (_else_after_else, InvalidControlFlowException, r"dsl\.Else follows a dsl\.Else, .* one dsl\.Else"),
        (_elif_after_loop, InvalidControlFlowException, r"dsl\.Elif has no dsl\.If before it"),
        (_constant, AuthoringError, r"dsl\.If expected a comparison .*, got True of type bool"),
        (_compared_list, AuthoringError, "output 'numbers' of task 'many' is of type list"),
        (_bool_with_number, AuthoringError, "Compare it with True or False"),
        (_out_of_condition, InvalidTopologyException, r"in the dsl\.If 'condition-1'.*dsl\.OneOf"),
        (_after_condition, InvalidTopologyException, r"in the dsl\.If 'condition-1' and may not run"),
        (_out_of_branches, InvalidTopologyException, r"dsl\.ConditionBranches 'condition-branches-1'.*dsl\.OneOf"),
        (_out_of_loop, InvalidTopologyException, r"has several values: it is in the loop 'for-loop-2'.*dsl\.Collected"),
        (_out_of_exit_handler, InvalidTopologyException, r"dsl\.ExitHandler 'exit-handler-1'"),
        (_collected_outside_of_loops, InvalidTopologyException, "Use the output itself"),
        (_collected_in_its_loop, InvalidTopologyException, "Use the output itself"),
        (_collected_from_a_loop_in_a_condition, InvalidTopologyException, r"dsl\.If 'condition-1' and may not run"),
        (_collected_one_of, AuthoringError, r"got the dsl\.OneOf of the output .Output. of task .echo."),
        (_collected_in_text, AuthoringError, "cannot be used inside text"),
        (_one_of_without_else, AuthoringError, r"ends with a dsl\.Else"),
        (_one_of_anything, AuthoringError, "branches of one condition"),
        (_one_of_two_types, AuthoringTypeError, "is int.*is str"),
        (_one_of_a_loop, InvalidTopologyException, "has several values: it is in the loop 'for-loop-3'"),
        (_item_outside, InvalidTopologyException, "used outside of that loop"),
        (_loop_over_number, AuthoringError, "pipeline input 'n' is of type int"),
        (_loop_over_nothing, AuthoringError, r"expected a list with at least one item.*, got \[\]"),
        (_loop_over_text, AuthoringError, "expected a list .*, got 'abc'"),
        (_loop_over_an_artifact, AuthoringError, "output 'data' of task 'make' is a single artifact"),
        (_loop_over_channels, AuthoringError, "the list of items contains the pipeline input 'n'"),
        (_loop_over_what_is_collected, AuthoringError, r"cannot loop over a dsl\.Collected"),
        (_named_like_a_group, AuthoringError, "a task and a group with the same name 'condition-1'"),
        (_negative_parallelism, AuthoringError, "parallelism to be a whole number, at least 0, got -1"),
        (_exit_task_that_waits, AuthoringError, "it waits for another task"),
        (_exit_handler_in_a_loop, AuthoringError, "must be at the outermost level"),
        (_exit_task_twice, AuthoringError, r"exit task of another dsl\.ExitHandler"),
        (_status_of_nothing, AuthoringError, r"dsl\.ExitHandler, or call \.ignore_upstream_failure"),
        (_after_a_loop_group, AuthoringError, r"expected tasks or dsl\.ExitHandler groups"),
    ],
)
def test_mistakes_are_reported_while_tracing(mistake: Any, error: type[StandpipeError], says: str) -> None:
    def pipeline(n: int) -> None:
        mistake(n)

    with pytest.raises(error, match=says):
        dsl.pipeline(pipeline)


def test_a_returned_value_must_come_from_the_outermost_level() -> None:
    def pipeline(n: int) -> int:
        return _returned_from_a_condition(n)

    with pytest.raises(InvalidTopologyException, match=r"is in the dsl\.If 'condition-1'"):
        dsl.pipeline(pipeline)


def test_returning_a_plain_tuple_is_an_error() -> None:
    def pipeline(n: int) -> int:
        with dsl.If(n == 1):
            one = echo()
        with dsl.Else():
            two = echo()
        return one.output, dsl.OneOf(one.output, two.output)  # type: ignore[return-value]

    with pytest.raises(
        AuthoringError, match="must return an output.*, or a NamedTuple of outputs. It returned \\(the output"
    ):
        dsl.pipeline(pipeline)


def test_control_flow_outside_of_a_pipeline_is_an_error() -> None:
    for use in (lambda: dsl.ParallelFor([1]), lambda: dsl.OneOf(), lambda: dsl.ExitHandler(None), lambda: dsl.Else()):  # type: ignore[arg-type]
        with pytest.raises(AuthoringError, match="is used outside of a pipeline"):
            use()


def test_condition_is_an_alias_of_if() -> None:
    def chooses(n: int) -> None:
        with dsl.Condition(n == 1):
            echo()

    with pytest.warns(DeprecationWarning, match=r"use dsl\.If"):
        assert node(dsl.pipeline(chooses), "condition-1")


def test_deep_nesting_and_long_chains_hit_no_limit() -> None:
    def deep(n: int) -> None:
        def nest(levels: int) -> None:
            if levels:
                with dsl.ParallelFor([1, 2]) as item, dsl.If(item == 1):
                    nest(levels - 1)
            else:
                echo(x=n)

        nest(50)

    def long() -> None:
        last = echo()
        for _ in range(1_000):
            last = echo(x=last.output)

    assert len(dsl.pipeline(deep).plan.components) == 101
    assert len(dsl.pipeline(long).plan.components) == 1_001
