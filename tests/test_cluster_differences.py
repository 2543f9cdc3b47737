"""The rules of `model.cluster_differences`: each has its decision in the code, a test of what happens here, and a row.

The tests `test_sp<number>_…` show what the column *here* of the table says.
"""

from __future__ import annotations

import ast
import json
import pkgutil
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

import standpipe
from standpipe import compiler, dsl, local
from standpipe.errors import TaskFailed
from standpipe.execution.contract import OutputError, read_outputs
from standpipe.execution.failures import describe_read_only_inputs
from standpipe.history import Run
from standpipe.model.attempts import CommandLine, Mount, TaskRequest
from standpipe.model.cluster_differences import DECISIONS, RULES, VERSION
from standpipe.model.events import Failure
from standpipe.model.plan import Component, ExecutorRef
from standpipe.model.refs import TaskRef
from standpipe.model.resources import Capacity
from standpipe.model.types import Json, ParameterOutput, ParameterType
from standpipe.runners.api import LocalRunner
from standpipe.runners.docker.create_arguments import task_mounts
from standpipe.support import machine_capacity

SOURCES = Path(standpipe.__file__).parent
ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "reference" / "where-a-cluster-differs.md").read_text()

#: The packages that decide how a pipeline runs.
DECIDING = ("engine", "execution", "model", "runs", "runners", "kubernetes")


# --- the rules --------------------------------------------------------------------------------------------------------


def decision_points() -> set[tuple[str, str]]:
    """Return the rules and functions of all decorators `decides`, read from the sources."""
    points = set()
    for file in SOURCES.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            for decorator in getattr(node, "decorator_list", ()):
                if isinstance(decorator, ast.Call) and getattr(decorator.func, "id", "") == "decides":
                    points |= {(argument.id, node.name) for argument in decorator.args}  # type: ignore[attr-defined]
    return points


def test_every_rule_has_a_decision_and_every_decision_a_rule() -> None:
    for package in DECIDING:
        for module in pkgutil.walk_packages([str(SOURCES / package)], f"standpipe.{package}."):
            if not module.name.endswith("_program"):
                import_module(module.name)
    points = decision_points()
    assert {rule for rule, _ in points} == RULES.keys()
    assert {(rule, name.rpartition(".")[2]) for rule, names in DECISIONS.items() for name in names} == points


def test_every_rule_has_a_test_of_what_happens_here() -> None:
    tested = {match[1].upper() for name in globals() if (match := re.match(r"test_(sp\d+)_", name))}
    assert tested == RULES.keys()


def test_the_rules_are_numbered_without_gaps_and_complete() -> None:
    assert list(RULES) == [f"SP{number}" for number in range(101, 101 + len(RULES))]
    for rule in RULES.values():
        assert all((rule.title, rule.on_cluster, rule.here, rule.since, rule.source, rule.fix))
        assert not rule.title.endswith(".")
        assert all(text.endswith(".") for text in (rule.on_cluster, rule.here, rule.fix))
        assert re.fullmatch(r"\d+\.\d+\.\d+", rule.since)
        assert re.match(r"[\w/]+\.go\b", rule.source)


def test_a_rule_makes_a_finding_as_other_checks_do() -> None:
    finding = RULES["SP117"].finding("root.dag.tasks.train.inputs.parameters.rate")
    assert (finding.rule, finding.path) == ("SP117", "root.dag.tasks.train.inputs.parameters.rate")
    assert str(finding).startswith("root.dag.tasks.train.inputs.parameters.rate: a fractional number")
    assert finding.fix == "Declare the input as `float`, or round the number."


def test_the_page_is_up_to_date() -> None:
    script = ROOT / "scripts" / "document-differences"
    assert subprocess.run([sys.executable, str(script), "--check"], check=False).returncode == 0, f"run {script.name}"
    assert VERSION in PAGE


# --- what happens here ------------------------------------------------------------------------------------------------


@dsl.component
def say(text: str) -> str:
    return text


@dsl.component
def read(values: list) -> str:
    import json

    return json.dumps(values)


@dsl.component
def fail(x: int = 0) -> int:
    raise ValueError(x)


@dsl.component
def make(data: dsl.Output[dsl.Dataset], text: str = "a") -> None:
    with open(data.path, "w") as file:
        file.write(text)
    data.metadata["key"] = f"key of {text}"


@dsl.component
def read_data(data: dsl.Input[dsl.Dataset]) -> str:
    with open(data.path) as file:
        return file.read()


@dsl.component
def read_state(status: dsl.PipelineTaskFinalStatus) -> str:
    return status.state


@dsl.container_component
def echo(text: str, out: dsl.OutputPath(str)):  # type: ignore[no-untyped-def,valid-type]
    return dsl.ContainerSpec("unused", ["sh", "-c", 'printf %s "$0" > "$1"', text, out])


@pytest.fixture(scope="module")
def runner() -> Any:
    runner = local.SubprocessRunner(use_venv=False)
    yield runner
    runner.task_runner.close()


@pytest.fixture
def run(runner: LocalRunner, tmp_path: Path) -> Callable[..., Any]:
    """Run a pipeline, and return its output."""

    def run(target: Any, **options: Any) -> Any:
        options = {"runner": runner, "pipeline_root": tmp_path, "quiet": True, **options}
        return local.run(target, **options).outputs.get("Output")

    return run


@pytest.fixture
def failed(run: Callable[..., Any], tmp_path: Path) -> Callable[..., Run]:
    """Run a pipeline that fails, and return its record."""

    def failed(target: Any) -> Run:
        with pytest.raises(TaskFailed):
            run(target)
        return local.get_run("latest", tmp_path)

    return failed


def statuses(run: Run) -> dict[str, str]:
    return {task.path: task.status.value for task in run.all_tasks()}


def test_sp101_an_empty_loop_collects_nothing(run: Callable[..., Any]) -> None:
    @dsl.pipeline
    def collect(items: list = []) -> str:  # noqa: B006
        with dsl.ParallelFor(items) as item:
            said = say(text=item)
        return read(values=dsl.Collected(said.output)).output

    assert run(collect) == "[]"


def test_sp102_skipped_iterations_are_left_out(run: Callable[..., Any]) -> None:
    @dsl.pipeline
    def collect() -> str:
        with dsl.ParallelFor(["a", "b", "c"]) as item, dsl.If(item != "b"):
            said = say(text=item)
        return read(values=dsl.Collected(said.output)).output

    assert json.loads(run(collect)) == ["a", "c"]


def test_sp103_a_failed_exit_task_fails_the_run(failed: Callable[..., Run]) -> None:
    @dsl.pipeline
    def tidy() -> None:
        with dsl.ExitHandler(fail()):
            say(text="a")

    assert statuses(failed(tidy)) == {
        "exit-handler-1": "SUCCEEDED",
        "exit-handler-1/say": "SUCCEEDED",
        "fail": "FAILED",
    }


def test_sp104_the_final_status_has_a_state_and_a_message(run: Callable[..., Any], failed: Callable[..., Run]) -> None:
    @dsl.component
    def describe(status: dsl.PipelineTaskFinalStatus) -> str:
        return f"{status.state}: {status.error_message}"

    @dsl.pipeline
    def succeeds() -> None:
        with dsl.ExitHandler(describe()):
            say(text="a")

    @dsl.pipeline
    def fails() -> None:
        with dsl.ExitHandler(describe()):
            fail()

    run(succeeds)
    assert local.get_run("latest", failed(fails).folder.parent).task("describe").outputs["Output"] == (
        "FAILED: its task 'exit-handler-1/fail' failed: ValueError: 0"
    )
    succeeded = local.runs(local.get_run("latest", failed(fails).folder.parent).folder.parent)[-1]
    assert str(succeeded.task("describe").outputs["Output"]).startswith("SUCCEEDED: ")


def test_sp105_each_task_has_an_id_of_its_own(run: Callable[..., Any], tmp_path: Path) -> None:
    @dsl.pipeline
    def two() -> None:
        say(text=dsl.PIPELINE_TASK_ID_PLACEHOLDER)
        say(text=dsl.PIPELINE_TASK_ID_PLACEHOLDER)

    run(two)
    ids = {task.outputs["Output"] for task in local.get_run("latest", tmp_path).tasks}
    assert len(ids) == 2


def test_sp106_placeholders_within_text_and_commands_are_replaced(run: Callable[..., Any]) -> None:
    @dsl.pipeline(name="job")
    def within_text() -> str:
        return say(text=f"run of {dsl.PIPELINE_JOB_NAME_PLACEHOLDER}!").output

    @dsl.container_component
    def in_command(out: dsl.OutputPath(str)):  # type: ignore[no-untyped-def,valid-type]
        command = ["sh", "-c", 'printf %s "$0" > "$1"', dsl.PIPELINE_TASK_NAME_PLACEHOLDER, out]
        return dsl.ContainerSpec("unused", command)

    assert re.fullmatch(r"run of job-\d{4}-[\d-]+!", run(within_text))
    assert rendered(in_command)[3] == "in-command"


@pytest.mark.parametrize("items", ['{"a": 1}', "5", "null"])
def test_sp107_items_that_are_no_list_fail_the_loop(failed: Callable[..., Run], tmp_path: Path, items: str) -> None:
    """The SDK declares items as a list, but files of other programs may declare them as text."""

    @dsl.pipeline
    def loop(items: list) -> None:
        with dsl.ParallelFor(items) as item:
            say(text=item)

    file = tmp_path / "loop.yaml"
    compiler.Compiler().compile(loop, str(file), pipeline_parameters={"items": []})
    text = file.read_text().replace("defaultValue: []", f"defaultValue: {json.dumps(items)}")
    file.write_text(text.replace("parameterType: LIST", "parameterType: STRING"))
    (message,) = failed(file).failures
    assert "its loop items are invalid: expected a list, got" in message
    assert items in message


def rendered(component: Any, **arguments: Any) -> list[str]:
    """Return the command that a container component runs."""
    from standpipe.model.attempts import CommandLine, Outcome
    from standpipe.model.cancellation import Cancellation
    from standpipe.model.ports import Log

    commands: list[list[str]] = []

    class Recording(local.FakeRunner):
        def open(self) -> Any:
            opened: Any = super().open()

            def record(request: TaskRequest, *, log: Log, cancel: Cancellation) -> Outcome:
                if isinstance(request.program, CommandLine):
                    commands.append([*request.program.command, *request.program.args])
                    for parameter in request.executor_input["outputs"]["parameters"].values():
                        Path(parameter["outputFile"]).write_text("x")
                    return Outcome(exit_code=0)
                return original(request, log=log, cancel=cancel)

            original = opened.run
            opened.run = record
            return opened

    runner = Recording(make=lambda data: Path(data.path).touch() or data.metadata.update(key="value"))
    local.run(component, arguments, runner=runner, quiet=True)
    return commands[-1]


@pytest.fixture(autouse=True)
def _own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def test_sp108_a_placeholder_as_the_first_word_of_a_command_is_replaced() -> None:
    @dsl.container_component
    def start(program: str):  # type: ignore[no-untyped-def]
        return dsl.ContainerSpec("unused", [program, "a"])

    assert rendered(start, program="printf") == ["printf", "a"]


def test_sp109_quotes_in_an_f_string_are_data(run: Callable[..., Any]) -> None:
    text = 'a "quoted"\n\\text'

    @dsl.pipeline
    def joined() -> str:
        return say(text=f"<{say(text=text).output}>").output

    assert run(joined) == f"<{text}>"


def test_sp110_a_task_that_ignores_the_failure_of_two_tasks_starts_once(failed: Callable[..., Run]) -> None:
    @dsl.pipeline
    def ignoring() -> None:
        say(text="a").after(fail(), say(text="b")).ignore_upstream_failure()

    run = failed(ignoring)
    assert statuses(run) == {"fail": "FAILED", "say": "SUCCEEDED", "say-2": "SUCCEEDED"}
    assert [len(task.attempts) for task in run.tasks] == [1, 1, 1]


def test_sp111_two_tasks_that_ignore_the_same_failure_both_run(failed: Callable[..., Run]) -> None:
    @dsl.pipeline
    def ignoring() -> None:
        first = fail()
        say(text="a").after(first).ignore_upstream_failure()
        say(text="b").after(first).ignore_upstream_failure()

    assert statuses(failed(ignoring)) == {"fail": "FAILED", "say": "SUCCEEDED", "say-2": "SUCCEEDED"}


def test_sp112_a_task_after_one_that_ignores_a_failure_runs(failed: Callable[..., Run]) -> None:
    @dsl.pipeline
    def chain() -> None:
        say(text=say(text="a").after(fail()).ignore_upstream_failure().output)

    assert statuses(failed(chain)) == {"fail": "FAILED", "say": "SUCCEEDED", "say-2": "SUCCEEDED"}


def test_sp113_loops_take_artifacts(run: Callable[..., Any]) -> None:
    @dsl.pipeline
    def loop(listed: list[dsl.Dataset]) -> str:
        with dsl.ParallelFor(listed) as data:
            content = read_data(data=data)
        return read(values=dsl.Collected(content.output)).output

    @dsl.pipeline
    def job() -> str:
        with dsl.ParallelFor(["a", "b"]) as text:
            made = make(text=text)
        return loop(listed=dsl.Collected(made.outputs["data"])).output

    assert json.loads(run(job)) == ["a", "b"]


def test_sp114_an_input_from_a_failed_or_skipped_task_has_its_default(failed: Callable[..., Run]) -> None:
    @dsl.component
    def show(x: int = -1, text: str = "default") -> str:
        return f"{x} {text}"

    @dsl.pipeline
    def ignoring() -> None:
        show(x=fail().output).ignore_upstream_failure()
        show(text=say(text="a").after(fail()).output).ignore_upstream_failure()

    run = failed(ignoring)
    assert [run.task(name).outputs["Output"] for name in ("show", "show-2")] == ["-1 default", "-1 default"]


def test_sp115_an_output_of_a_skipped_task_fails_the_run(failed: Callable[..., Run], tmp_path: Path) -> None:
    """The SDK refuses to compile such a pipeline, but files of other programs may have it."""

    @dsl.pipeline
    def skipping() -> str:
        return say(text=say(text="a").output).output

    file = tmp_path / "skipping.yaml"
    compiler.Compiler().compile(skipping, str(file))
    spec = yaml.safe_load(file.read_text())
    spec["root"]["dag"]["tasks"]["say"]["triggerPolicy"] = {"condition": "inputs.parameter_values['text'] == 'b'"}
    file.write_text(yaml.safe_dump(spec))
    (message,) = failed(file).failures
    assert "its output 'Output' has no value" in message


def test_sp116_the_cache_knows_variables_and_contents(run: Callable[..., Any], tmp_path: Path) -> None:
    def pipeline(value: str) -> Any:
        @dsl.pipeline(name="job")
        def job() -> None:
            read_data(data=make(text=value).outputs["data"])
            say(text="a").set_env_variable("VALUE", value)

        return job

    def cached(value: str) -> list[bool]:
        run(pipeline(value), enable_caching=True)
        return [bool(task.cached_from) for task in local.get_run("latest", tmp_path).tasks]

    assert cached("a") == [False, False, False]
    assert cached("a") == [True, True, True]
    assert cached("b") == [False, False, False]


def test_sp117_a_fractional_number_is_not_an_int(failed: Callable[..., Run]) -> None:
    @dsl.component
    def give() -> list:
        return [2.7]

    @dsl.pipeline
    def pass_on() -> None:
        with dsl.ParallelFor(give().output) as number:
            fail(x=number)

    (message,) = failed(pass_on).failures
    assert "its input 'x' is invalid: expected" in message
    assert "2.7" in message


def test_sp118_metadata_in_a_command_is_replaced() -> None:
    @dsl.container_component
    def show(data: dsl.Input[dsl.Dataset]):  # type: ignore[no-untyped-def]
        return dsl.ContainerSpec("unused", ["echo", data.metadata["key"]])

    @dsl.pipeline
    def job() -> None:
        show(data=make().outputs["data"])

    assert rendered(job) == ["echo", "value"]


def test_sp119_a_value_that_looks_like_a_placeholder_is_data() -> None:
    @dsl.container_component
    def show(a: str, b: str):  # type: ignore[no-untyped-def]
        return dsl.ContainerSpec("unused", ["echo", a, b])

    placeholders = ("{{$.inputs.parameters['b']}}", "{{$.inputs.parameters['a']}}")
    assert rendered(show, a=placeholders[0], b=placeholders[1]) == ["echo", *placeholders]


def test_sp120_nested_lists_are_as_deep_as_the_annotation(run: Callable[..., Any]) -> None:
    @dsl.component
    def read_nested(values: list[list[str]]) -> str:
        import json

        return json.dumps(values)

    @dsl.pipeline
    def nested() -> str:
        with dsl.ParallelFor(["a", "b"]) as outer, dsl.ParallelFor(["c", "d"]) as inner:
            said = say(text=f"{outer}{inner}")
        return read_nested(values=dsl.Collected(said.output)).output

    assert json.loads(run(nested)) == [["ac", "ad"], ["bc", "bd"]]


@pytest.mark.parametrize("text", ["it's", 'a "quoted" text', "C:\\new"])
def test_sp121_the_text_in_a_condition_is_compared_as_it_was_written(run: Callable[..., Any], text: str) -> None:
    @dsl.pipeline
    def branch() -> str:
        with dsl.If(say(text=text).output == text):
            same = say(text="same")
        with dsl.Else():
            other = say(text="other")
        return dsl.OneOf(same.output, other.output)

    assert run(branch) == "same"


def test_sp122_the_pipeline_root_is_replaced(run: Callable[..., Any], tmp_path: Path) -> None:
    @dsl.pipeline
    def show() -> str:
        return say(text=dsl.PIPELINE_ROOT_PLACEHOLDER).output

    assert run(show) == str(tmp_path)


def test_sp123_a_container_cannot_output_what_is_not_json(tmp_path: Path) -> None:
    component = Component(ExecutorRef("exec"), {}, {"rate": ParameterOutput(ParameterType.NUMBER_DOUBLE)})
    (tmp_path / "rate").write_text("inf\n")
    executor_input: dict[str, Json] = {
        "outputs": {"parameters": {"rate": {"outputFile": str(tmp_path / "rate")}}, "outputFile": str(tmp_path / "out")}
    }
    with pytest.raises(OutputError, match="its output 'rate' does not fit.*inf"):
        read_outputs(component, executor_input, tmp_path)


def test_sp124_placeholders_in_defaults_and_items_are_replaced(run: Callable[..., Any]) -> None:
    @dsl.component
    def named(text: str = dsl.PIPELINE_TASK_NAME_PLACEHOLDER) -> str:
        return text

    @dsl.pipeline
    def names() -> str:
        with dsl.ParallelFor([dsl.PIPELINE_TASK_NAME_PLACEHOLDER, "b"]) as item:
            said = say(text=item)
        return read(values=dsl.Collected(said.output)).output

    assert run(named) == "named"
    assert json.loads(run(names)) == ["for-loop-2", "b"]


def test_sp125_whole_numbers_keep_their_digits(run: Callable[..., Any]) -> None:
    @dsl.component
    def add_one(number: int) -> int:
        return number + 1

    @dsl.pipeline
    def large() -> int:
        return add_one(number=add_one(number=2**53).output).output

    assert run(large) == 2**53 + 2


def test_sp127_containers_read_their_inputs(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    payload = Mount(tmp_path / "data", str(tmp_path / "data"), read_only=True)
    ref = TaskRef((("task", None),))
    request = TaskRequest("run", ref, 0, "image", CommandLine((), ()), {}, tmp_path / "task", tmp_path)
    assert task_mounts(replace(request, input_mounts=(payload,)))[1] == payload
    failure = Failure("it exited with code 1", log_tail=f"sh: 1: cannot create {payload.path}: Read-only file system")
    hint = describe_read_only_inputs(failure, replace(request, input_mounts=(payload,)))
    assert "Copy the input first" in hint
    assert describe_read_only_inputs(failure, request) == ""


def test_sp128_tasks_that_run_at_once_share_the_cores(run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    @dsl.component
    def count_threads(item: int) -> str:
        import os

        return os.environ.get("OMP_NUM_THREADS", "all")

    @dsl.pipeline
    def loop(items: list = [1, 2]) -> str:  # noqa: B006
        with dsl.ParallelFor(items) as item:
            threads = count_threads(item=item)
        return read(values=dsl.Collected(threads.output)).output

    @dsl.pipeline
    def short() -> str:
        return loop(items=[1]).output

    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(machine_capacity, "read_capacity", lambda: Capacity(4, 2**40))
    monkeypatch.setattr(machine_capacity, "count_cores", lambda: 4)
    runner = local.SubprocessRunner(use_venv=False)
    assert json.loads(run(short, runner=runner)) == ["all"]
    assert json.loads(run(loop, runner=runner)) == ["2", "2"]
    runner.task_runner.close()


@pytest.mark.parametrize(
    ("compare", "expected"),
    [
        (lambda flag, text: flag == 1, "same"),
        (lambda flag, text: flag != 0, "same"),
        (lambda flag, text: flag == 0, "other"),
        (lambda flag, text: text == 5.0, "same"),
        (lambda flag, text: text == 1e21, "other"),
    ],
)
def test_sp126_numbers_in_conditions_mean_what_they_do_in_python(
    run: Callable[..., Any], compare: Callable[..., Any], expected: str
) -> None:
    @dsl.pipeline
    def branch(flag: bool = True, text: str = "5") -> str:
        with dsl.If(compare(flag, text)):
            same = say(text="same")
        with dsl.Else():
            other = say(text="other")
        return dsl.OneOf(same.output, other.output)

    assert run(branch) == expected
