"""Compiles every entry of CORPUS with whatever `kfp` is at hand: python compile_all.py <folder>."""

import sys
import warnings
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional

from kfp import compiler, components, dsl  # the SDK's, or ours by install_as_kfp
from kfp.dsl import (
    HTML,
    Artifact,
    ClassificationMetrics,
    Dataset,
    Input,
    InputPath,
    Markdown,
    Metrics,
    Model,
    Output,
    OutputPath,
)

warnings.simplefilter("ignore")
FOLDER = Path(sys.argv[1])
PIN = {"base_image": "python:3.11"}


class Shape(Artifact):
    schema_title = "google.Shape"
    schema_version = "1.2.0"


@dsl.component(**PIN)
def add(a: int, b: int) -> int:
    return a + b


@dsl.component(**PIN)
def every_type(
    a: int, b: float, c: str, d: bool, e: list, f: dict, g: List[str], h: Dict[str, int], i: Optional[str] = None
) -> str:
    """Takes one of each.

    And says so at length.
    """
    return f"{a}{b}{c}{d}{e}{f}{g}{h}{i}"


@dsl.component(**PIN)
def defaults(
    a: int = 3,
    b: float = 2.0,
    c: str = 'it\'s {{$.pipeline_job_name}} \\ "é"',
    d: bool = False,
    e: list = [1, 2.5, "x", {"k": [True, 0]}],
    f: dict = {"n": 1, "x": 1.5, "s": "t", "l": [1]},
    g: str = "",
    h: int = 0,
    i: bool = 1,
    j: int = True,
    k: List = [],
    m: Optional[Dict] = None,
) -> None:
    pass


@dsl.component(**PIN)
def split(x: int) -> NamedTuple("Split", [("low", int), ("high", float), ("name", str)]):
    """Splits.

    Parameters
    ----------
    x : int
        What to split.

    Returns
    -------
    low : int
        The lower half.
    """
    return (x, float(x), "n")


@dsl.component(packages_to_install=["pandas==2.2.0", "scikit-learn>=1.4,<2", 'x[extra]; python_version<"4"'], **PIN)
def train(
    data: Input[Dataset], model: Output[Model], metrics: Output[Metrics], shape: Output[Shape], rate: float = 0.1
):  # not all of it on one line
    model.metadata["rate"] = rate


@dsl.component(
    packages_to_install=["one", 'it\'s "two"'],
    pip_index_urls=["https://a.example/simple", "https://b.example/simple"],
    **PIN,
)
def two_indexes() -> None:
    pass


@dsl.component(pip_index_urls=["https://a.example/simple"], pip_trusted_hosts=[], **PIN)
def no_trusted_hosts() -> None:
    pass


@dsl.component(
    packages_to_install=["one"], pip_index_urls=["https://a.example/simple"], pip_trusted_hosts=["a.example"], **PIN
)
def trusted_host() -> None:
    pass


@dsl.component(install_kfp_package=False, **PIN)
def no_kfp(x: str) -> str:
    return x


@dsl.component(install_kfp_package=False, packages_to_install=["numpy"], **PIN)
def packages_without_kfp() -> None:
    pass


@dsl.component(packages_to_install=["kfp==2.17.0", "numpy"], **PIN)
def kfp_by_hand() -> None:
    pass


@dsl.component(use_venv=True, **PIN)
def in_venv() -> None:
    pass


@dsl.component(use_venv=True, packages_to_install=["numpy"], pip_index_urls=["https://a.example/simple"], **PIN)
def packages_in_venv() -> None:
    pass


@dsl.component(
    kfp_package_path="git+https://github.com/kubeflow/pipelines.git@refs/pull/1/merge#subdirectory=sdk", **PIN
)
def kfp_of_pull_request() -> None:
    pass


@dsl.component(kfp_package_path="git+https://github.com/kubeflow/pipelines.git@master#subdirectory=sdk/python", **PIN)
def kfp_of_branch() -> None:
    pass


@dsl.component(kfp_package_path=str(FOLDER), packages_to_install=["numpy"], **PIN)
def kfp_of_folder() -> None:
    pass


@dsl.component(
    base_image="python:3.12",
    target_image="registry.example/team/image:1",
    packages_to_install=["one", 'it\'s "two"'],
    pip_index_urls=["https://a.example/simple", "https://b.example/simple"],
)
def containerized(x: int) -> int:
    return x


@dsl.component(**PIN)
def visualize(
    html: Output[HTML], text: Output[Markdown], scores: Output[ClassificationMetrics], path: OutputPath("Dataset")
):
    pass


@dsl.component(**PIN)
def make(data: Output[Dataset], log: OutputPath(str)) -> Artifact:
    return Artifact(uri="x")


@dsl.component(**PIN)
def take(data: Input[Dataset], maybe: Optional[Input[Model]] = None, file: InputPath("Dataset") = None) -> str:
    return "taken"


@dsl.component(**PIN)
def take_many(data: Input[List[Artifact]], more: Input[List[Dataset]]) -> str:
    return "taken"


@dsl.component(**PIN)
def report(status: dsl.PipelineTaskFinalStatus, note: str = "n") -> None:
    print(status, note)


@dsl.component(
    task_config_passthroughs=[
        dsl.TaskConfigField.ENV,
        dsl.TaskConfigPassthrough(field=dsl.TaskConfigField.RESOURCES, apply_to_task=True),
    ],
    **PIN,
)
def configured(config: dsl.TaskConfig) -> None:
    print(config)


@dsl.container_component
def say_hello(name: str, text: OutputPath(str)):
    """Says hello."""
    return dsl.ContainerSpec(
        image="alpine", command=["sh", "-c", 'mkdir -p "$(dirname "$1")"; echo "Hello, $0!" > "$1"'], args=[name, text]
    )


@dsl.container_component
def placeholders(
    a: str,
    b: int,
    data: Input[Dataset],
    model: Output[Model],
    n: OutputPath(int),
    opt: Optional[str] = None,
    many: Optional[Input[List[Dataset]]] = None,
):
    return dsl.ContainerSpec(
        image="alpine:3",
        command=["tool", dsl.ConcatPlaceholder(["--a=", a, ";", dsl.ConcatPlaceholder([b, "é"])])],
        args=[
            dsl.IfPresentPlaceholder(input_name="opt", then=["--opt", opt], else_=["--no-opt"]),
            dsl.IfPresentPlaceholder(input_name="opt", then="x"),
            data.uri,
            data.path,
            data.metadata["k"],
            model.uri,
            model.path,
            n,
            "{{$.unknown}} {{$}}",
            dsl.IfPresentPlaceholder(input_name="many", then=["--many", many, f"--all={many}"]),
        ],
    )


@dsl.container_component
def bare():
    return dsl.ContainerSpec(image="alpine")


@dsl.pipeline(name="math-pipeline")
def math_pipeline(x: int, y: int, z: int) -> int:
    t1 = add(a=x, b=y)
    t2 = add(a=t1.output, b=z)
    return t2.output


@dsl.pipeline(
    name="described",
    description="What it does.\n\n  And how: # 'well'.",
    display_name="Described pipeline",
    pipeline_root="gs://bucket/root",
    pipeline_config=dsl.PipelineConfig(workspace=dsl.WorkspaceConfig(size="1Gi"), active_deadline_seconds=3600),
)
def described(n: int = 3, text: str = "é'\"", flag: bool = True, items: list = [1, "a"], table: dict = {"k": 1}):
    add(a=n, b=1)


@dsl.pipeline(name="constants")
def constants(name: str, n: int = 1):
    every_type(
        a=1,
        b=2.0,
        c=f"{dsl.PIPELINE_JOB_NAME_PLACEHOLDER} for {name} #{n}",
        d=True,
        e=[1, 2.5, {"k": None or "v"}, f"{name}"],
        f={"n": 1, "deep": {"x": [1.0, name]}},
        g=["a", name],
        h={"n": n},
    )
    total = add(a=n, b=1).output
    every_type(
        a=total,
        b=1.5,
        c="{} of {}, %s".format(name, n) % total + f"{n}",
        d=False,
        e=[[{"deep": [total, n]}], f"{n}/{total}"],
        f={"a": {"b": [name]}},
        g=[" ".join([str(n), str(n)])],
        h={},
    )
    every_type(a=0, b=0.5, c="", d=False, e=[], f={}, g=[], h={}, i="{{$.not.a.placeholder}}")


@dsl.pipeline(name="artifacts")
def artifacts(given: Input[Dataset]) -> Dataset:
    made = make()
    take(data=made.outputs["data"])
    take(data=given, maybe=train(data=given).outputs["model"])
    return made.outputs["data"]


@dsl.pipeline(name="settings")
def settings(cpu: str = "1", gpu: str = "nvidia.com/gpu", image: str = "python:3.12"):
    first = add(a=1, b=2).set_display_name("First of all").set_caching_options(True, cache_key="k")
    first.set_retry(3, backoff_duration="1m", backoff_factor=1.5, backoff_max_duration="2h")
    first.set_env_variable("B", "1").set_env_variable("A", "")
    first.set_cpu_request("500m").set_cpu_limit("2").set_memory_request("512Mi").set_memory_limit("2G")
    second = add(a=1, b=2).after(first).set_caching_options(False).set_retry(0)
    second.set_cpu_limit(cpu).set_accelerator_type(gpu).set_accelerator_limit(2).set_container_image(image)
    third = add(a=1, b=2).after(first, second).set_accelerator_type("NVIDIA_TESLA_K80").set_memory_limit("1024")
    add(a=1, b=2).after(third).set_accelerator_limit("0").set_cpu_limit("0")
    for number, duration in enumerate(("30s", "10 minutes", "2hours", "1d", "1 week"), start=1):
        add(a=1, b=2).set_retry(number, duration)
    chosen = every_type(a=0, b=0.5, c="", d=False, e=[], f={}, g=[], h={})
    add(a=1, b=2).set_container_image(f"registry.example/me:{image}").set_debug_pause(before=True, on_error=True)
    add(a=1, b=2).set_container_image(chosen.output).set_env_variable("ROOT", dsl.PIPELINE_ROOT_PLACEHOLDER)


@dsl.pipeline(name="inner")
def inner(x: int, data: Input[Dataset]) -> NamedTuple("Out", [("total", int), ("text", str)]):
    total = add(a=x, b=1)
    text = take(data=data)
    return NamedTuple("Out", [("total", int), ("text", str)])(total.output, text.output)


@dsl.pipeline(name="middle")
def middle(x: int, data: Input[Dataset]) -> int:
    return inner(x=x, data=data).outputs["total"]


@dsl.pipeline(name="nested")
def nested(x: int) -> int:
    data = make().outputs["data"]
    first = middle(x=x, data=data).set_caching_options(False).set_display_name("Nested")
    second = inner(x=first.output, data=data)
    return add(a=first.output, b=second.outputs["total"]).output


@dsl.pipeline(name="final-status")
def final_status():
    first = add(a=1, b=2)
    report(note="done").after(first).ignore_upstream_failure()


# .yml, because the tests look at all files that end with .yaml
compiler.Compiler().compile(add, str(FOLDER / "loaded.yml"))
loaded = components.load_component_from_file(str(FOLDER / "loaded.yml"))


@dsl.pipeline(name="task-config")
def task_config():
    first = loaded(a=1, b=2).set_memory_limit("1Gi")
    loaded(a=first.output, b=3)
    configured().set_cpu_limit("1").set_env_variable("A", "b")


@dsl.pipeline(name="mixed")
def mixed(name: str = "you", data: Optional[Input[Dataset]] = None) -> str:
    hello = say_hello(name=name)
    placeholders(a=hello.output, b=split(x=1).outputs["low"], data=make().outputs["data"])
    defaults(a=4, e=[{"n": 1}])
    containerized(x=1)
    return hello.output


CORPUS = [
    add, every_type, defaults, split, train, two_indexes, no_trusted_hosts, trusted_host, no_kfp,
    packages_without_kfp, kfp_by_hand, in_venv, packages_in_venv, kfp_of_pull_request, kfp_of_branch, kfp_of_folder,
    containerized, visualize, make, take, take_many, report, configured, say_hello, placeholders, bare,
    math_pipeline, described, constants, artifacts, settings, nested, final_status, task_config, mixed,
]  # fmt: skip

if __name__ == "__main__":
    for entry in CORPUS:
        compiler.Compiler().compile(entry, str(FOLDER / f"{entry.name}.yaml"))
