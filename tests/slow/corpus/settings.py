"""What can be set on a task, and where: in groups, from channels, on pipelines and importers."""

from typing import List

from corpus.entries import SMALL, pipeline
from corpus.shared import add, coin, dice, echo, nothing, say
from kfp import dsl
from kfp.dsl import Dataset


@pipeline
def caching():
    nothing().set_caching_options(True)
    nothing().set_caching_options(False)
    nothing().set_caching_options(enable_caching=True, cache_key="a key")
    nothing().set_caching_options(False, cache_key="unused")
    nothing().set_caching_options(True, "k").set_caching_options(True)


@pipeline
def retries():
    nothing().set_retry(1)
    nothing().set_retry(num_retries=2, backoff_duration="30s")
    nothing().set_retry(3, "0s", 1.0, "1 day")
    nothing().set_retry(4, backoff_factor=1.5, backoff_max_duration="90m")
    nothing().set_retry(0)
    nothing().set_retry(5).set_retry(6)


@pipeline
def display_names():
    nothing().set_display_name("A name")
    nothing().set_display_name("é 'q' \"d\"")
    first = dice().set_display_name("same")
    echo(x=first.output).set_display_name("same")


@pipeline
def environment():
    nothing().set_env_variable("A", "1").set_env_variable("B", "2").set_env_variable("A", "3")
    nothing().set_env_variable(name="EMPTY", value="")
    nothing().set_env_variable("P", dsl.PIPELINE_JOB_ID_PLACEHOLDER)


@pipeline
def resources_of_every_unit():
    for unit in ("", "E", "Ei", "P", "Pi", "T", "Ti", "G", "Gi", "M", "Mi", "K", "Ki"):
        nothing().set_memory_request(f"1{unit}").set_memory_limit(f"20{unit}")
    for cpu in ("1", "0.5", ".5", "100m", "1500m", "0"):
        nothing().set_cpu_request(cpu).set_cpu_limit(cpu)


@pipeline
def resources_one_by_one():
    nothing().set_cpu_request("1")
    nothing().set_cpu_limit("1")
    nothing().set_memory_request("1G")
    nothing().set_memory_limit("1G")
    nothing().set_memory_limit("1G").set_memory_limit("2G")


@pipeline
def accelerators():
    nothing().set_accelerator_type("nvidia.com/gpu")
    nothing().set_accelerator_type("TPU_V3").set_accelerator_limit(8)
    nothing().set_accelerator_limit(2).set_accelerator_type("nvidia.com/gpu")
    nothing().set_accelerator_type("nvidia.com/gpu").set_accelerator_limit("4")
    nothing().set_accelerator_type("nvidia.com/gpu").set_accelerator_limit(0)
    nothing().set_cpu_limit("1").set_accelerator_type("nvidia.com/gpu")


@pipeline
def deprecated_accelerators():
    nothing().add_node_selector_constraint("NVIDIA_TESLA_K80")
    nothing().add_node_selector_constraint("nvidia.com/gpu").set_gpu_limit("2")


@pipeline
def resources_of_parameters(cpu: str, memory: str = "1Gi", gpu: str = "nvidia.com/gpu", count: str = "1"):
    task = nothing().set_cpu_request(cpu).set_cpu_limit(cpu).set_memory_request(memory).set_memory_limit(memory)
    task.set_accelerator_type(gpu).set_accelerator_limit(count)
    echo(x=1).set_cpu_limit(cpu)
    echo(x=1).set_memory_limit("1Gi").set_cpu_request(cpu)


@pipeline
def image_of_parameters(image: str, tag: str = "1"):
    nothing().set_container_image("registry.example/fixed:1")
    nothing().set_container_image(image)
    nothing().set_container_image(f"registry.example/x:{tag}")
    echo(x=1).set_container_image(image).set_cpu_limit("1")


@pipeline
def image_of_outputs():
    image = coin()
    nothing().set_container_image(image.output)
    say(text=image.output).set_container_image(f"registry.example/{image.output}:1")


@pipeline
def image_of_a_parameter_in_a_group(image: str, x: int):
    say(text=image).set_container_image(image)
    with dsl.If(x == 1):
        say(text=image).set_container_image(image)
    with dsl.ParallelFor(["a", "b"]) as item:
        say(text=item).set_container_image(item)


@pipeline
def settings_in_groups(texts: List[str], x: int):
    with dsl.ParallelFor(texts) as text:
        task = say(text=text).set_cpu_limit("1").set_retry(2).set_display_name("Say").set_env_variable("A", "b")
        nothing().after(task).set_caching_options(False).set_accelerator_type("nvidia.com/gpu")
        with dsl.If(x == 1):
            echo(x=x).set_memory_limit("1Gi").set_caching_options(True, "k")


@pipeline
def debug_pauses():
    nothing().set_debug_pause()
    nothing().set_debug_pause(before=True)
    nothing().set_debug_pause(before=True, after=False)
    nothing().set_debug_pause(on_error=True)
    nothing().set_debug_pause(True, True, True).set_env_variable("A", "1")


@dsl.pipeline
def small(x: int = 1) -> int:
    return add(a=x, b=1).set_cpu_limit("1").set_caching_options(False).output


@pipeline
def settings_of_pipelines():
    first = small().set_display_name("Small one").set_caching_options(False).set_retry(2)
    small(x=first.output).after(first).set_caching_options(True, cache_key="k")


@dsl.component(task_config_passthroughs=[dsl.TaskConfigField.RESOURCES, dsl.TaskConfigField.ENV], **SMALL)
def launches(config: dsl.TaskConfig, x: int = 1) -> None:
    print(config, x)


@dsl.component(
    task_config_passthroughs=[dsl.TaskConfigPassthrough(dsl.TaskConfigField.ENV, True), dsl.TaskConfigField.RESOURCES],
    **SMALL,
)
def launches_with_its_own() -> None:
    pass


@pipeline
def task_configs(cpu: str = "1"):
    task = launches(x=2).set_cpu_limit("2").set_memory_request("1Gi").set_env_variable("A", "b")
    task.set_accelerator_type("nvidia.com/gpu").set_accelerator_limit(2)
    launches().set_cpu_limit(cpu)
    launches_with_its_own().set_env_variable("A", "b").after(task)
    with dsl.ParallelFor([1, 2]) as n:
        launches(x=n).set_memory_limit("1Gi")


@pipeline
def settings_in_any_order():
    second = dice()
    first = dice().set_retry(1).after(second).set_cpu_limit("1").set_display_name("f").set_caching_options(False)
    dsl.importer("gs://x", Dataset).after(first)
