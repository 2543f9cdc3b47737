"""How the inputs of a task are resolved."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from standpipe.engine.inputs import InputError, fit_inputs, resolve_inputs
from standpipe.model.expressions import parse
from standpipe.model.plan import Binding, Constant, FromInput, FromTask
from standpipe.model.refs import TaskRef
from standpipe.model.templates import parse_value
from standpipe.model.types import ArtifactInput, ArtifactType, Input, Json, ParameterInput, ParameterType
from standpipe.model.values import ArtifactValue, Collected, Value
from tests.plans import INT, RUN

DATASET = ArtifactType("system.Dataset")
REF = TaskRef((("outer", None), ("train", None)))


class Everything:
    """A scope in which `number` is 3, `text` is text with a placeholder in it, and task `a` gives `y`."""

    def get_input(self, name: str) -> Value:
        return {"number": 3, "text": "{{$.pipeline_job_name}}", "null": {"a": None}}.get(name)

    def declares_input(self, name: str) -> bool:
        return name != "lost"

    def get_output(self, task: str, output: str) -> Value:
        return {("a", "y"): [1, 2], ("loop", "y"): Collected([Collected([1]), Collected([2, 3])])}.get((task, output))

    def get_final_status(self, task: str) -> Json:
        return {"state": "SUCCEEDED"}

    def describe_end(self, task: str) -> str:
        return "failed"


def get_field(name: str) -> str:
    return RUN.placeholder(REF, name)


def bound(bindings: Mapping[str, Binding], **declared: Input) -> dict[str, Value]:
    return resolve_inputs(bindings, declared, Everything(), get_field)


def test_values_come_from_constants_inputs_and_tasks() -> None:
    values = bound({"a": Constant(1.5), "b": FromInput("number"), "c": FromTask("a", "y")})
    assert values == {"a": 1.5, "b": 3, "c": [1, 2]}


def test_placeholders_in_a_constant_are_replaced_by_the_tasks_own_inputs() -> None:
    text = "n={{$.inputs.parameters['pipelinechannel--n']}} in {{$.pipeline_task_name}} of {{$.pipeline_job_name}}"
    values = bound({"pipelinechannel--n": FromInput("number"), "s": Constant(parse_value(text))})
    assert values["s"] == "n=3 in train of run-1"


def test_a_placeholder_alone_keeps_the_type_of_its_value() -> None:
    struct = parse_value({"n": ["{{$.inputs.parameters['pipelinechannel--n']}}", 3], "unknown": "{{$.foo}}"})
    values = bound({"pipelinechannel--n": FromInput("number"), "s": Constant(struct)})
    assert values["s"] == {"n": [3, 3], "unknown": "{{$.foo}}"}


def test_a_placeholder_of_an_unknown_input_is_text() -> None:
    alone, within = "{{$.inputs.parameters['text']}}", "a {{$.inputs.parameters['other']}}"
    bindings: dict[str, Binding] = {"text": Constant(parse_value(alone)), "within": Constant(parse_value(within))}
    assert bound(bindings) == {"text": alone, "within": within}


def test_a_value_that_looks_like_a_placeholder_is_data() -> None:
    text = parse_value("<{{$.inputs.parameters['t']}}>")
    assert bound({"t": FromInput("text"), "s": Constant(text)})["s"] == "<{{$.pipeline_job_name}}>"


def test_placeholders_in_a_default_are_replaced_and_those_in_a_value_are_not() -> None:
    text = ParameterInput(ParameterType.STRING, default="{{$.pipeline_task_name}} of {{$.pipeline_job_name}}")
    items = ParameterInput(ParameterType.LIST, default=["{{$.pipeline_job_name}}", {"k": "{{$.unknown}}"}])
    assert bound({}, s=text, items=items) == {"s": "train of run-1", "items": ["run-1", {"k": "{{$.unknown}}"}]}
    assert bound({"s": FromInput("text")}, s=text) == {"s": "{{$.pipeline_job_name}}"}


def test_a_placeholder_without_a_value_stays() -> None:
    assert RUN.workspace_path == ""
    assert bound({"s": Constant(parse_value("{{$.workspace_path}}/x"))}) == {"s": "{{$.workspace_path}}/x"}


def test_the_uuid_of_a_task_is_derived_from_its_path() -> None:
    first = bound({"s": Constant(parse_value("{{$.pipeline_task_uuid}}"))})["s"]
    assert first == RUN.placeholder(REF, "pipeline_task_uuid")
    assert first != RUN.placeholder(REF.child("other"), "pipeline_task_uuid")


def test_a_string_parameter_takes_anything_as_text() -> None:
    declared = ParameterInput(ParameterType.STRING)
    given: list[tuple[Value, str]] = [(5, "5"), (True, "true"), ({"k": [1, "é"]}, '{"k":[1,"é"]}'), (5.0, "5")]
    for value, text in given:
        assert fit_inputs({"s": value}, {"s": declared}, get_field) == {"s": text}


def test_whole_doubles_become_integers_where_integers_are_declared() -> None:
    fitted = fit_inputs({"n": 3.0}, {"n": ParameterInput(ParameterType.NUMBER_INTEGER)}, get_field)["n"]
    assert fitted == 3
    assert isinstance(fitted, int)


@pytest.mark.parametrize(
    ("declared", "value", "says"),
    [
        (ParameterInput(ParameterType.NUMBER_INTEGER), 2.5, r"expected int, got 2.5 \(float\)"),
        (ParameterInput(ParameterType.NUMBER_INTEGER), True, r"expected int, got True \(bool\)"),
        (ParameterInput(ParameterType.LIST), {}, r"expected list, got {} \(dict\)"),
        (ParameterInput(ParameterType.BOOLEAN), None, "has no value"),
        (ParameterInput(ParameterType.STRING, literals=("a", "b")), "c", "expected one of 'a', 'b'"),
        (
            ParameterInput(ParameterType.LIST),
            ArtifactValue("d", DATASET, "/d"),
            "expected a parameter of type list, got an artifact",
        ),
        (ArtifactInput(DATASET), "text", "expected Dataset, got str"),
        (ArtifactInput(DATASET, is_list=True), ArtifactValue("d", DATASET, "/d"), "a list of Dataset"),
    ],
)
def test_a_value_of_the_wrong_type_is_an_error_with_both_types(declared: Input, value: Value, says: str) -> None:
    with pytest.raises(InputError, match=f"'i'.*{says}"):
        fit_inputs({"i": value}, {"i": declared}, get_field)


def test_a_selector_takes_a_part_before_the_type_is_checked() -> None:
    declared = ParameterInput(INT)
    first = parse("parseJson(string_value)[1]")
    assert bound({"i": FromTask("a", "y", first)}, i=declared) == {"i": 2}


def test_a_selector_that_finds_nothing_names_the_input_itself_and_the_value() -> None:
    with pytest.raises(InputError, match=r"'i'.*\[1, 2\].*parseJson\(string_value\)\[5\].*index 5 is out of range"):
        bound({"i": FromTask("a", "y", parse("parseJson(string_value)[5]"))})


def test_a_selector_of_a_missing_value_gives_no_value() -> None:
    part = FromTask("a", "nothing", parse("parseJson(string_value)[0]"))
    assert bound({"i": part}, i=ParameterInput(INT, optional=True, default=4)) == {"i": 4}


@pytest.mark.parametrize(
    ("binding", "says"),
    [
        (FromTask("bad", "y"), "output 'y' of task 'bad', which failed"),
        (FromInput("nothing"), "input 'nothing' of the enclosing pipeline, which has no value"),
        (
            FromInput("lost"),
            "input 'lost' of the enclosing component, which does not declare it.*compile it with Standpipe",
        ),
        (FromInput("null", parse('parseJson(string_value)["a"]')), r"\[\"a\"\] of input 'null' is null"),
        (Constant(None), "null was passed"),
    ],
)
def test_the_error_about_a_missing_value_names_its_source(binding: Binding, says: str) -> None:
    with pytest.raises(InputError, match=f"'i' has no value: .*{says}"):
        bound({"i": binding}, i=ParameterInput(INT))


def test_null_is_not_passed_into_a_group() -> None:
    with pytest.raises(InputError, match="KFP passes no null into a condition, loop or exit handler"):
        bound({"pipelinechannel--a": FromInput("nothing")}, **{"pipelinechannel--a": ParameterInput(INT)})


def test_collected_values_are_one_flat_list_unless_they_are_passed_on_unchanged() -> None:
    constants = {"t": "<{{$.inputs.parameters['g']}}>", "l": ["{{$.inputs.parameters['g']}}"]}
    values = bound(
        {"g": FromTask("loop", "y"), **{name: Constant(parse_value(value)) for name, value in constants.items()}},
        g=ParameterInput(ParameterType.LIST),
        t=ParameterInput(ParameterType.STRING),
        s=ParameterInput(ParameterType.STRING, optional=True),
    )
    assert values["g"] == [[1], [2, 3]]
    assert isinstance(values["g"], Collected)
    assert values["t"] == "<[1,2,3]>"
    assert values["l"] == [[1, 2, 3]]
    assert bound({"s": FromTask("loop", "y")}, s=ParameterInput(ParameterType.STRING)) == {"s": "[1,2,3]"}


def test_null_is_the_default_where_there_is_one() -> None:
    declared: dict[str, Input] = {
        "a": ParameterInput(ParameterType.LIST, optional=True, default=[1]),
        "b": ParameterInput(ParameterType.LIST, optional=True),
        "c": ArtifactInput(DATASET, optional=True),
    }
    assert fit_inputs({"a": None}, declared, get_field) == {"a": [1], "b": None, "c": None}
