"""Pipelines: how they are traced, and the Plans of the traces."""

from __future__ import annotations

import functools
import threading
from typing import Any, NamedTuple

import pytest

from standpipe import dsl
from standpipe.errors import AuthoringError, AuthoringTypeError, InconsistentTypeException
from standpipe.model.plan import Caching, Constant, Dag, FinalStatus, FromInput, FromTask, Node, Plan, Retry
from standpipe.model.plan import TriggerStrategy as Strategy
from standpipe.model.templates import InputParameter, Template
from tests.plans import container


@dsl.component
def add(a: int, b: int = 1) -> int:
    return a + b


@dsl.component
def say(text: str, items: list | None = None) -> str:
    return text


@dsl.component
def make(data: dsl.Output[dsl.Dataset]) -> None:
    pass


@dsl.component
def use(data: dsl.Input[dsl.Dataset]) -> None:
    pass


@dsl.component
def fit(data: dsl.Input[dsl.Model]) -> None:
    pass


def nodes(pipeline: dsl.BaseComponent) -> dict[str, Node]:
    assert isinstance(pipeline.plan.root.body, Dag)
    return dict(pipeline.plan.root.body.nodes)


def test_calls_become_tasks_with_unique_names_and_bound_inputs() -> None:
    @dsl.pipeline
    def math(x: int) -> int:
        first = add(a=x)
        second = add(a=first.output, b=2)
        return second.output

    assert nodes(math) == {
        "add": Node("add", "comp-add", {"a": FromInput("x")}),
        "add-2": Node("add-2", "comp-add-2", {"a": FromTask("add", "Output"), "b": Constant(2)}, ("add",)),
    }
    assert math.plan.root.body.outputs == {"Output": (FromTask("add-2", "Output"),)}  # type: ignore[union-attr]
    assert math.plan.executors.keys() == {"exec-add", "exec-add-2"}


def test_values_in_text_have_inputs_of_their_own() -> None:
    @dsl.pipeline
    def talk(name: str) -> None:
        number = add(a=1)
        say(text=f"{name}: {number.output}", items=[number.output, {"n": [name]}, 3])

    node = nodes(talk)["say"]
    assert node.inputs["text"] == Constant(
        Template((InputParameter("pipelinechannel--name"), ": ", InputParameter("pipelinechannel--add-Output")))
    )
    assert node.inputs["pipelinechannel--add-Output"] == FromTask("add", "Output")
    assert node.inputs["pipelinechannel--name"] == FromInput("name")
    items = node.inputs["items"]
    assert isinstance(items, Constant)
    assert items.value[1:] == [{"n": [Template((InputParameter("pipelinechannel--name"),))]}, 3]
    assert node.after == ("add",)


def test_everything_that_is_set_on_a_task_is_in_the_plan() -> None:
    @dsl.pipeline
    def settings(image: str) -> None:
        first = add(a=1)
        task = add(a=2).after(first)
        task.set_display_name("Adder").set_caching_options(False, cache_key="k").set_env_variable("A", "b")
        task.set_retry(3, backoff_duration="2m", backoff_factor=1.5, backoff_max_duration="1 hour")
        task.set_cpu_request("500m").set_cpu_limit("2").set_memory_request("1G").set_memory_limit("2Gi")
        task.set_accelerator_type("nvidia.com/gpu").set_container_image(image)
        task.set_debug_pause(before=True)
        task.platform_config["kubernetes"] = {"podMetadata": {}}

    node = nodes(settings)["add-2"]
    assert (node.after, node.display_name, node.caching) == (("add",), "Adder", Caching(False, "k"))
    assert node.retry == Retry(3, 120.0, 1.5, 3600.0)
    adder = container(settings.plan.executors["exec-add-2"])
    assert adder.env == {"A": "b", "ARGO_DEBUG_PAUSE_BEFORE": "true", "ARGO_DEBUG_PAUSE_AFTER": "true"}
    resources = adder.resources
    assert (resources.cpu_request, resources.cpu_limit) == ("500m", "2")
    assert (resources.memory_request, resources.memory_limit) == ("1G", "2Gi")
    assert (resources.accelerator_type, resources.accelerator_count) == ("nvidia.com/gpu", "1")
    assert adder.image == Template((InputParameter("pipelinechannel--image"),))
    assert settings.plan.platforms["kubernetes"]["deploymentSpec"]["executors"] == {"exec-add-2": {"podMetadata": {}}}
    assert container(add.executor).env == {}, "the component itself must not change"


def test_components_of_a_nested_pipeline_have_unique_names() -> None:
    @dsl.pipeline
    def inner(x: int) -> int:
        return add(a=add(a=x).output).output

    @dsl.pipeline
    def outer(x: int) -> int:
        first = add(a=x)
        return inner(x=first.output).output

    plan: Plan = outer.plan
    assert plan.components.keys() == {"comp-add", "comp-add-2", "comp-add-2-2", "comp-inner"}
    assert plan.executors.keys() == {"exec-add", "exec-add-2", "exec-add-2-2"}
    body = plan.components["comp-inner"].body
    assert isinstance(body, Dag)
    used = [plan.components[node.component].body for node in body.nodes.values()]
    assert len(set(used)) == 2
    assert plan.components["comp-add"].body not in used


def test_named_outputs_and_pipeline_settings() -> None:
    @dsl.pipeline(
        name="My Pipeline",
        description="what it does",
        display_name="Mine",
        pipeline_root="gs://bucket",
        pipeline_config=dsl.PipelineConfig(workspace=dsl.WorkspaceConfig("1Gi"), active_deadline_seconds=60),
    )
    def settings() -> NamedTuple("Outputs", [("total", int), ("data", dsl.Dataset)]):  # type: ignore[valid-type]
        from collections import namedtuple

        say(text=f"{dsl.WORKSPACE_PATH_PLACEHOLDER}/file")
        Outputs = namedtuple("Outputs", ["total", "data"])
        return Outputs(add(a=1).output, make().output)

    plan = settings.plan
    assert (plan.name, plan.description, plan.display_name) == ("my-pipeline", "what it does", "Mine")
    assert plan.pipeline_root == "gs://bucket"
    assert plan.root.outputs.keys() == {"total", "data"}
    config = plan.platforms["kubernetes"]["pipelineConfig"]
    assert config == {"workspace": {"size": "1Gi", "kubernetes": {"pvcSpecPatch": {}}}, "activeDeadlineSeconds": 60}


def test_a_task_that_ignores_upstream_failure_can_take_the_final_status() -> None:
    @dsl.component
    def report(status: dsl.PipelineTaskFinalStatus, text: str = "none") -> None:
        pass

    @dsl.pipeline
    def watched() -> None:
        task = say(text="x")
        report(text=task.output).ignore_upstream_failure()

    node = nodes(watched)["report"]
    assert node.trigger.strategy is Strategy.ALL_UPSTREAM_TASKS_COMPLETED
    assert node.inputs["status"] == FinalStatus("say")


def test_threads_trace_independently() -> None:
    plans: dict[int, Plan] = {}
    together = threading.Barrier(4)

    def trace(count: int) -> None:
        @dsl.pipeline
        def pipeline() -> None:
            for number in range(count):
                together.wait(timeout=10)
                add(a=number)

        plans[count] = pipeline.plan

    threads = [threading.Thread(target=trace, args=(3,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(plans[3].root.body.nodes) == 3  # type: ignore[union-attr]


def _positional() -> None:
    add(1)


def _unknown() -> None:
    add(a=1, c=2)


@dsl.component
def report(status: dsl.PipelineTaskFinalStatus) -> None: ...


def _pass_status(status: dsl.PipelineTaskFinalStatus) -> None:
    report(status=status)


def _missing() -> None:
    add()


def _constant_type() -> None:
    add(a="one")


def _tuple() -> None:
    say(text="x", items=(1, 2))


def _channel_type() -> None:
    add(a=say(text="x").output)


def _artifact_type() -> None:
    fit(data=make().output)


def _artifact_for_parameter() -> None:
    say(text=make().output)


def _text_for_artifact() -> None:
    use(data="gs://data")


def _task() -> None:
    add(a=add(a=1))


def _channel_key() -> None:
    say(text="x", items=[{f"{add(a=1).output}": 1}])


def _not_json() -> None:
    say(text="x", items=[float("nan")])


def _channel_in_dict() -> None:
    add(a={"k": [add(a=1).output]})


def _long_and_circular() -> None:
    items: list[Any] = [*range(100_000)]
    items[0] = items
    add(a=items)


def _channel_in_text() -> None:
    add(a=f"n-{add(a=1).output}")


def _channel_as_items() -> None:
    dsl.ParallelFor({"k": add(a=1).output})


def _channel_as_retries() -> None:
    add(a=1).set_retry(add(a=1).output)


def _artifact_text() -> None:
    say(text=f"{make().output}")


def _artifact_object() -> None:
    use(data=dsl.Dataset(uri="/data"))


@pytest.mark.parametrize(
    ("body", "error", "says"),
    [
        (_positional, AuthoringTypeError, "the positional argument 1: KFP takes named arguments only"),
        (
            _channel_in_dict,
            InconsistentTypeException,
            r"got \{'k': \[the output 'Output' of task 'add'\]\} of type dict",
        ),
        (_long_and_circular, InconsistentTypeException, r"expected int, got \[\[\[.* 5, \.\.\.\] of type list"),
        (_channel_in_text, InconsistentTypeException, r"expected int, got 'n-\{Output\}' of type str"),
        (_channel_as_items, AuthoringError, r"got \{'k': the output 'Output' of task 'add'\}"),
        (_channel_as_retries, AuthoringTypeError, "whole number, got the output 'Output' of task 'add-2'"),
        (_unknown, AuthoringTypeError, "'add' has no input 'c'. Its inputs are: a, b"),
        (_pass_status, AuthoringTypeError, "'status' cannot be passed: KFP fills in a PipelineTaskFinalStatus"),
        (_missing, AuthoringTypeError, "'add' is missing 1 required input: a"),
        (
            _constant_type,
            InconsistentTypeException,
            "'add', input 'a': expected int, got 'one'.*str",
        ),
        (_tuple, AuthoringError, "'say', input 'items': expected list, got .* of type tuple.*Convert it"),
        (_task, AuthoringError, r"<PipelineTask 'add': traced>.*Pass one of the task's outputs: \.output"),
        (_channel_key, AuthoringError, "the key of a dict is a value that is known only"),
        (_not_json, AuthoringError, r"input 'items' cannot be passed: the value\[0\] is nan"),
        (_artifact_text, InconsistentTypeException, "Task 'say', input 'text': the output 'data' of task 'make' is an"),
        (_channel_type, InconsistentTypeException, "'a': expected int, got the .*task 'say' of type str"),
        (_artifact_type, InconsistentTypeException, "Model.*task 'make'.*Dataset"),
        (_artifact_for_parameter, InconsistentTypeException, "str.*Dataset"),
        (_artifact_object, AuthoringError, "comes from another task"),
        (
            _text_for_artifact,
            InconsistentTypeException,
            "'use', input 'data': expected Dataset, got 'gs://data'",
        ),
    ],
)
def test_mistakes_are_reported_while_tracing(body: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        dsl.pipeline(name="broken")(body)


def test_outputs_must_be_declared_returned_and_of_the_right_type() -> None:
    def undeclared():  # type: ignore[no-untyped-def]
        return add(a=1).output

    def unreturned() -> int:  # type: ignore[return]
        add(a=1)

    def wrong() -> str:
        return add(a=1).output

    def constant() -> int:
        add(a=1)
        return 3

    def own_input(x: int) -> int:
        add(a=x)
        return x

    def whole_task() -> int:
        return add(a=1)  # type: ignore[return-value]

    def output_argument(x: dsl.Output[dsl.Dataset]) -> None:
        make()

    def empty() -> None:
        pass

    for function, says in (
        (undeclared, "'Output' is returned but not declared"),
        (unreturned, "declares outputs that it does not return: Output"),
        (wrong, "expected str, got .*int"),
        (constant, "must return an output of a task.* It returned 3"),
        (own_input, "expected an output of a task of the pipeline, got the pipeline input 'x'"),
        (whole_task, "return an output of a task"),
        (output_argument, "the arguments of a pipeline are its inputs"),
        (empty, "has no tasks"),
    ):
        with pytest.raises((AuthoringError, AuthoringTypeError), match=says):
            dsl.pipeline(function)


def test_a_value_of_another_pipeline_is_refused() -> None:
    kept: list[Any] = []

    @dsl.pipeline
    def first() -> None:
        kept.append(say(text="x"))

    with pytest.raises(AuthoringError, match="output 'Output' of task 'say', which belongs to another pipeline"):

        @dsl.pipeline
        def second() -> None:
            add(a=1)
            use_text = f"{kept[0].output}"
            make()
            say.python_func  # noqa: B018
            dsl.component(_talker)(text=use_text)


def test_a_task_of_another_pipeline_is_refused_even_if_the_name_exists_here() -> None:
    kept: list[Any] = []

    @dsl.pipeline
    def first(x: int) -> None:
        kept.extend([x, add(a=1)])

    def takes_output() -> None:
        add(a=1)
        add(a=kept[1].output)

    def takes_input() -> None:
        add(a=kept[0])

    def takes_input_as_text() -> None:
        say(text=f"{kept[0]}")

    def waits() -> None:
        add(a=1)
        add(a=2).after(kept[1])

    def returns() -> int:
        add(a=1)
        return kept[1].output

    for function, says in (
        (takes_output, "output 'Output' of task 'add', which belongs to another pipeline"),
        (takes_input, "pipeline input 'x', which belongs to another pipeline"),
        (takes_input_as_text, "pipeline input 'x', which belongs to another pipeline"),
        (waits, r"Task 'add-2' of pipeline 'waits': \.after\(\) got 'add', which belongs to another"),
        (returns, "uses the output 'Output' of task 'add', which belongs to another pipeline"),
    ):
        with pytest.raises(AuthoringError, match=says):
            dsl.pipeline(function)
    with pytest.raises(AuthoringError, match=r"'add', input 'a': got the output 'Output' of.*outside of a pipeline"):
        add(a=kept[1].output)


def test_tasks_cannot_wait_for_each_other() -> None:
    def circle() -> None:
        first = add(a=1)
        second = add(a=first.output)
        first.after(second)

    with pytest.raises(
        AuthoringError, match="Pipeline 'circle': its tasks wait for each other.*add(-2)? -> add(-2)? -> add"
    ):
        dsl.pipeline(circle)


def test_arguments_are_passed_as_the_function_takes_them() -> None:
    @dsl.pipeline
    def by_position(a: int, /, b: int, *, c: int) -> None:
        add(a=a, b=c)
        add(a=b)

    @functools.wraps(by_position.pipeline_func)  # type: ignore[arg-type]
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return by_position.pipeline_func(*args, **kwargs)  # type: ignore[misc]

    assert nodes(by_position)["add"].inputs == {"a": FromInput("a"), "b": FromInput("c")}
    assert nodes(dsl.pipeline(wrapper)) == nodes(by_position)


def _talker(text: str) -> None:
    pass


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda task: task.set_cpu_limit("two"), r"set_cpu_limit\(\) expected a number of cores such as .*, got 'two'"),
        (lambda task: task.set_cpu_limit(f"{task.output}"), "but not inside text"),
        (lambda task: task.set_memory_limit("2 GB"), "set_memory_limit.*whole number with a unit"),
        (lambda task: task.set_accelerator_limit(-1), "set_accelerator_limit.*a whole number, at least 0, .*got '-1'"),
        (lambda task: task.set_retry(1, backoff_duration="soon"), "Invalid duration"),
        (lambda task: task.set_retry(1, backoff_duration="100ms"), "Invalid duration"),
        (lambda task: task.set_debug_pause(after=False), "never pause"),
        (lambda task: task.set_debug_pause(after=False, on_error=True), "on_error"),
        (lambda task: task.after("add"), r"\.after\(\) expected tasks"),
    ],
)
def test_invalid_settings_are_refused(change: Any, says: str) -> None:
    def body() -> None:
        change(add(a=1))

    with pytest.raises(AuthoringError, match=says):
        dsl.pipeline(name="broken")(body)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda task: task.set_env_variable("A", 1), r"set_env_variable\(\) expected value to be a string, got 1"),
        (
            lambda task: task.set_env_variable("A", task.output),
            "expected value to be a string .*, got the output 'Output' of task 'add'.*set it in os.environ",
        ),
        (
            lambda task: task.set_env_variable("A", f"x{task.output}"),
            "a string that is known while the pipeline is traced, got 'x{Output}'",
        ),
        (lambda task: task.set_display_name(3), "set_display_name.* to be a string"),
        (lambda task: task.set_container_image(None), "set_container_image.* to be the name of an image"),
        (lambda task: task.set_caching_options("yes"), "enable_caching to be True or False, got 'yes'"),
        (lambda task: task.set_caching_options(True, task.output), "cache_key to be a string"),
        (lambda task: task.set_retry(1.5), r"set_retry\(\) expected num_retries to be a whole number, got 1\.5"),
        (lambda task: task.set_retry("often"), "num_retries to be a whole number, got 'often'"),
    ],
)
def test_settings_of_the_wrong_type_are_refused(change: Any, says: str) -> None:
    def body() -> None:
        change(add(a=1))

    with pytest.raises(AuthoringTypeError, match=says):
        dsl.pipeline(name="broken")(body)


def test_durations_and_counts_are_read_as_kfp_reads_them() -> None:
    @dsl.pipeline
    def retries() -> None:
        add(a=1).set_retry("3", "90", 0, "2 hours")  # type: ignore[arg-type]
        add(a=1).set_retry(2.0, "1w")  # type: ignore[arg-type]
        add(a=1).set_retry(None)  # type: ignore[arg-type]

    assert [node.retry for node in nodes(retries).values()] == [
        Retry(3, 90.0, 2.0, 7200.0),
        Retry(2, 604_800.0),
        Retry(0),
    ]


def test_attributes_that_kfp_extensions_use_exist() -> None:
    @dsl.pipeline
    def extended(secret: str) -> None:
        first = add(a=1)
        task = add(a=2).after(first)
        task.register_pipeline_channels([secret])  # type: ignore[list-item]
        task.register_pipeline_channels([first.output, secret])  # type: ignore[list-item]
        assert [channel.name for channel in task.channel_inputs] == ["secret", "Output"]
        assert task.dependent_tasks == ["add"]

    assert nodes(extended)["add-2"].inputs == {"a": Constant(2)}


def test_a_missing_default_or_workspace_is_an_error() -> None:
    def ignoring() -> None:
        add(a=add(a=1).output).ignore_upstream_failure()

    def no_workspace() -> None:
        say(text=dsl.WORKSPACE_PATH_PLACEHOLDER)

    @dsl.pipeline
    def inner() -> None:
        add(a=1)

    def container_settings() -> None:
        inner().set_cpu_limit("1")

    def defined_within() -> None:
        dsl.pipeline(ignoring)

    for function, says in (
        (ignoring, "has no default value"),
        (no_workspace, "uses the workspace, and pipeline 'no-workspace' has none"),
        (container_settings, "This one is a pipeline or an importer"),
        (defined_within, "'ignoring' is defined inside the function of pipeline 'defined-within'"),
    ):
        with pytest.raises(AuthoringError, match=says):
            dsl.pipeline(function)


def test_configuration_is_checked() -> None:
    with pytest.raises(AuthoringError, match="Invalid workspace size 'big'"):
        dsl.WorkspaceConfig("big")
    workspace = dsl.WorkspaceConfig(" 1Gi ", dsl.KubernetesWorkspaceConfig({"storageClassName": "fast"}))
    with pytest.raises(AuthoringError, match="Invalid workspace size 'huge'"):
        workspace.size = "huge"
    patch = {"pvcSpecPatch": {"storageClassName": "fast"}}
    assert workspace.get_workspace() == {"size": "1Gi", "kubernetes": patch}
    with pytest.raises(AuthoringTypeError, match="expected an int, got '60'"):
        dsl.PipelineConfig(active_deadline_seconds="60")  # type: ignore[arg-type]
    with pytest.raises(AuthoringError, match="between 0 and"):
        dsl.PipelineConfig(ttl_seconds_after_failure=-1)


def test_a_resource_from_a_task_is_an_input_and_not_a_listed_dependency() -> None:
    @dsl.pipeline
    def limited() -> None:
        first = say(text="2")
        say(text="x").set_cpu_limit(first.output)

    limits = nodes(limited)["say-2"]

    assert limits.inputs["pipelinechannel--say-Output"] == FromTask("say", "Output")
    assert limits.after == (), "as the KFP SDK compiles it"
    assert limits.upstream == ("say",)
