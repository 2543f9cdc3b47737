"""Components of every kind alone, and pipelines without control flow."""

from typing import Dict, List, NamedTuple, Optional

from corpus.entries import PIN, components, entry, pipeline
from kfp import compiler, dsl
from kfp import components as kfp_components
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
    pip_index_urls=["http://a.example/simple", "http://b.example/simple"],
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


@dsl.component(
    packages_to_install=["one"],
    pip_index_urls=["https://a.example/simple"],
    pip_trusted_hosts=["https://a.example/simple"],  # what the SDK adds by itself for such an index
    **PIN,
)
def https_index() -> None:
    pass


@dsl.component(install_kfp_package=False, **PIN)
def no_kfp(x: str) -> str:
    return x


@dsl.component(install_kfp_package=False, packages_to_install=["numpy"], **PIN)
def packages_without_kfp() -> None:
    pass


@dsl.component(packages_to_install=["kfp==2.17.3", "numpy"], **PIN)
def kfp_by_hand() -> None:
    pass


@dsl.component(use_venv=True, **PIN)
def in_venv() -> None:
    pass


@dsl.component(use_venv=True, packages_to_install=["numpy"], pip_index_urls=["http://a.example/simple"], **PIN)
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


@dsl.component(kfp_package_path=".", packages_to_install=["numpy"], **PIN)
def kfp_of_folder() -> None:
    pass


@dsl.component(
    base_image="python:3.12",
    target_image="registry.example/team/image:1",
    packages_to_install=["one", 'it\'s "two"'],
    pip_index_urls=["http://a.example/simple", "http://b.example/simple"],
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


@pipeline(name="math-pipeline")
def math_pipeline(x: int, y: int, z: int) -> int:
    t1 = add(a=x, b=y)
    t2 = add(a=t1.output, b=z)
    return t2.output


@pipeline(
    name="described",
    description="What it does.\n\n  And how: # 'well'.",
    display_name="Described pipeline",
    pipeline_root="gs://bucket/root",
    pipeline_config=dsl.PipelineConfig(workspace=dsl.WorkspaceConfig(size="1Gi"), active_deadline_seconds=3600),
)
def described(n: int = 3, text: str = "é'\"", flag: bool = True, items: list = [1, "a"], table: dict = {"k": 1}):
    add(a=n, b=1)


@pipeline(name="constants")
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


@pipeline(name="artifacts")
def artifacts(given: Input[Dataset]) -> Dataset:
    made = make()
    take(data=made.outputs["data"])
    take(data=given, maybe=train(data=given).outputs["model"])
    return made.outputs["data"]


@pipeline(name="settings")
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


@pipeline(name="nested")
def nested(x: int) -> int:
    data = make().outputs["data"]
    first = middle(x=x, data=data).set_caching_options(False).set_display_name("Nested")
    second = inner(x=first.output, data=data)
    return add(a=first.output, b=second.outputs["total"]).output


@pipeline(name="mixed")
def mixed(name: str = "you", data: Optional[Input[Dataset]] = None) -> str:
    hello = say_hello(name=name)
    placeholders(a=hello.output, b=split(x=1).outputs["low"], data=make().outputs["data"])
    defaults(a=4, e=[{"n": 1}])
    containerized(x=1)
    return hello.output


components(
    add, every_type, defaults, split, train, two_indexes, no_trusted_hosts, trusted_host, https_index, no_kfp,
    packages_without_kfp, kfp_by_hand, in_venv, packages_in_venv, kfp_of_pull_request, kfp_of_branch, kfp_of_folder,
    containerized, visualize, make, take, take_many, report, configured, say_hello, placeholders, bare,
)  # fmt: skip


def helper(x: int) -> int:
    return x + 1


def other_helper() -> str:
    return "é"


@dsl.component(additional_funcs=[helper, other_helper], packages_to_install=["numpy"], **PIN)
def with_helpers(x: int) -> int:
    return helper(x)


@dsl.component(**PIN)
def optional_inputs(
    a: Optional[int] = None,
    b: Optional[str] = "b",
    c: Optional[List[int]] = None,
    d: Optional[Dict[str, float]] = None,
    e: Optional[bool] = True,
    f: Optional[float] = 1,
    data: Optional[Input[Dataset]] = None,
    parts: Optional[Input[List[Artifact]]] = None,
    path: InputPath("Model") = None,
) -> None:
    pass


@dsl.component(**PIN)
def plain_annotations(data: Dataset, parts: List[Artifact], model: Model = None) -> Dataset:
    """Artifacts without Input and Output.

    Args:
        data: What comes in.
        parts: More of it.

    Returns:
        What goes out.
    """
    return Dataset(uri=dsl.get_uri())


@dsl.component(**PIN)
def returns_artifacts(x: int) -> NamedTuple("Out", [("data", Dataset), ("model", Model), ("n", int), ("d", dict)]):
    pass


@dsl.component(**PIN)
def builtin_generics(a: list[int], b: dict[str, list[float]], c: list = [], d: dict = {}) -> list[dict[str, int]]:
    return []


@dsl.component(**PIN)
def paths_of_every_type(
    i: OutputPath(int),
    f: OutputPath(float),
    s: OutputPath("String"),
    b: OutputPath(bool),
    d: OutputPath(dict),
    g: OutputPath(list),
    m: OutputPath("Model"),
    text: InputPath("Markdown"),
    j: OutputPath(List[str]),
) -> None:
    pass


@dsl.component(**PIN)
def own_artifact_types(shape: Input[Shape], more: Output[Shape]) -> Shape:
    return shape


@dsl.component(
    task_config_passthroughs=[
        dsl.TaskConfigField.RESOURCES,
        dsl.TaskConfigField.ENV,
        dsl.TaskConfigField.KUBERNETES_AFFINITY,
        dsl.TaskConfigField.KUBERNETES_TOLERATIONS,
        dsl.TaskConfigField.KUBERNETES_NODE_SELECTOR,
        dsl.TaskConfigPassthrough(field=dsl.TaskConfigField.KUBERNETES_VOLUMES, apply_to_task=True),
    ],
    **PIN,
)
def configured_in_full(x: int, config: dsl.TaskConfig, status: dsl.PipelineTaskFinalStatus) -> None:
    print(x, config)


@dsl.component(target_image="registry.example/two:2", **PIN)
def containerized_with_artifacts(data: Input[Dataset], model: Output[Model], rate: float = 0.5) -> str:
    """In an image of its own."""
    return data.uri


@dsl.component(base_image=None)
def default_image() -> None:
    pass


@dsl.component(**PIN)
def name_with_digits_2_and__underscores_(x_y: int, Upper: str = "U") -> str:
    return Upper


@entry
def decorated_by_hand():
    def plus_one(x: int) -> int:
        # a comment
        return x + 1

    return dsl.component(plus_one, base_image="python:3.12", install_kfp_package=False)


@entry
def decorated_without_arguments():
    @dsl.component
    def bare_component(x: int) -> int:
        return x

    return bare_component


@entry
def named_tuple_by_class():
    class Answer(NamedTuple):
        n: int
        text: str
        items: List[str]

    @dsl.component(**PIN)
    def answer() -> Answer:
        return Answer(1, "t", [])

    return answer


components(
    with_helpers, optional_inputs, plain_annotations, returns_artifacts, builtin_generics, paths_of_every_type,
    own_artifact_types, configured_in_full, containerized_with_artifacts, default_image,
    name_with_digits_2_and__underscores_,
)  # fmt: skip


def in_a_pipeline(component, **arguments):
    def only():
        component(**arguments)

    return dsl.pipeline(only, name=f"only-{component.name}")


@entry
def defaults_in_a_pipeline():
    return in_a_pipeline(defaults)


@entry
def optional_inputs_in_a_pipeline():
    return in_a_pipeline(optional_inputs)


@entry
def optional_inputs_given_in_a_pipeline():
    return in_a_pipeline(optional_inputs, a=1, b="c", c=[], d={}, e=False, f=2.5)


@entry
def integers_for_floats():
    return in_a_pipeline(optional_inputs, f=1.0, d={"x": 1})


@pipeline
def optional_pipeline_inputs(
    a: Optional[int] = None,
    b: Optional[str] = "b",
    c: Optional[list] = None,
    d: Optional[Dict[str, float]] = {"x": 1.0},
    e: Optional[bool] = None,
    f: Optional[float] = None,
    data: Optional[Input[Dataset]] = None,
    parts: Optional[Input[List[Artifact]]] = None,
):
    optional_inputs(a=a, b=b, c=c, d=d, e=e, f=f, data=data, parts=parts)
    optional_inputs(a=a, data=data)


@pipeline
def pipeline_inputs_of_every_type(
    a: int,
    b: float,
    c: str,
    d: bool,
    e: list,
    f: dict,
    g: List[str],
    h: Dict[str, int],
    i: Input[Dataset],
    j: Input[List[Dataset]],
    k: Dataset,
    m: List[Artifact],
    n: Input[Shape],
) -> NamedTuple("Out", [("data", Dataset), ("shape", Shape), ("text", str)]):
    text = every_type(a=a, b=b, c=c, d=d, e=e, f=f, g=g, h=h)
    take(data=i)
    take_many(data=m, more=j)
    owned = own_artifact_types(shape=n)
    made = plain_annotations(data=k, parts=m)
    return NamedTuple("Out", [("data", Dataset), ("shape", Shape), ("text", str)])(
        made.output, owned.outputs["more"], text.output
    )


@pipeline
def defaults_of_pipeline_inputs(
    a: int = -1,
    b: float = 3,
    c: str = "",
    d: bool = False,
    e: list = [],
    f: dict = {},
    g: List[Dict[str, int]] = [{"a": 1}],
    h: Dict[str, list] = {"a": [None or 1, "x", 2.5, True]},
    i: float = 1e-300,
    j: int = 2**53,
    k: str = "{{$.pipeline_root}} '\"é",
):
    every_type(a=a, b=b, c=c, d=d, e=e, f=f, g=["x"], h={})


@pipeline
def subtypes_of_artifacts(anything: Input[Artifact]):
    take(data=anything)
    take(data=make().outputs["Output"])
    trained = train(data=anything)
    take(data=make().outputs["data"], maybe=trained.outputs["model"])
    take(data=make().outputs["data"], maybe=anything)


@pipeline
def outputs_returned_by_name() -> NamedTuple("Out", [("low", int), ("high", float), ("model", Model)]):
    parts = split(x=3)
    trained = train(data=make().outputs["data"])
    out = NamedTuple("Out", [("low", int), ("high", float), ("model", Model)])
    return out(low=parts.outputs["low"], high=parts.outputs["high"], model=trained.outputs["model"])


@pipeline(name="Name with CAPITALS and_more 1")
def named_freely():
    add(a=1, b=2)


@pipeline
def documented(a: int = 1, data: Optional[Input[Dataset]] = None) -> int:
    """Adds one to a number.

    And does so at some length,
    over two lines.

    Args:
        a: The number.
        data: Nothing that matters.

    Returns:
        Output: The sum.
    """
    return add(a=a, b=1).output


@pipeline(pipeline_root="minio://bucket/x/", display_name="Shown")
def with_a_root():
    """Only one line."""
    add(a=1, b=2)


@pipeline(description="From the decorator")
def described_twice():
    """From the docstring."""
    add(a=1, b=2)


@pipeline
def embeds_pipeline_values(text: str, n: int):
    every_type(
        a=n, b=1.0, c=f"{text}{text}-{n}", d=True, e=[text, [n], {"k": text}], f={"t": text, "n": [n, f"{n}"]},
        g=[text, f"a{text}"], h={"a": n}, i=f"{{{text}}}",
    )  # fmt: skip


@pipeline
def task_names_repeat(x: int):
    add(a=x, b=1)
    second = add(a=x, b=2)
    third = add(a=second.output, b=3)
    split(x=third.output)
    add(a=third.output, b=second.output)


@pipeline
def every_pipeline_placeholder():
    for text in (
        dsl.PIPELINE_JOB_NAME_PLACEHOLDER,
        dsl.PIPELINE_JOB_RESOURCE_NAME_PLACEHOLDER,
        dsl.PIPELINE_JOB_ID_PLACEHOLDER,
        dsl.PIPELINE_TASK_NAME_PLACEHOLDER,
        dsl.PIPELINE_TASK_ID_PLACEHOLDER,
        dsl.PIPELINE_TASK_EXECUTOR_OUTPUT_PATH_PLACEHOLDER,
        dsl.PIPELINE_TASK_EXECUTOR_INPUT_PLACEHOLDER,
        dsl.PIPELINE_ROOT_PLACEHOLDER,
        dsl.PIPELINE_JOB_CREATE_TIME_UTC_PLACEHOLDER,
        dsl.PIPELINE_JOB_SCHEDULE_TIME_UTC_PLACEHOLDER,
    ):
        no_kfp(x=text)
        no_kfp(x=f"[{text}]")


@pipeline
def placeholders_in_lists_and_dicts(name: str = dsl.PIPELINE_JOB_NAME_PLACEHOLDER):
    root = dsl.PIPELINE_ROOT_PLACEHOLDER
    every_type(a=1, b=1.0, c=root + "/x", d=True, e=[root, {"r": root}], f={"r": f"{root}/{name}"}, g=[root], h={})


@pipeline(pipeline_config=dsl.PipelineConfig(workspace=dsl.WorkspaceConfig(size="10Gi")))
def workspace():
    no_kfp(x=dsl.WORKSPACE_PATH_PLACEHOLDER)
    no_kfp(x=f"{dsl.WORKSPACE_PATH_PLACEHOLDER}/data")
    no_kfp(x="/kfp-workspace/x")


@pipeline(
    pipeline_config=dsl.PipelineConfig(
        workspace=dsl.WorkspaceConfig(
            size="1.5Ti",
            kubernetes=dsl.KubernetesWorkspaceConfig(
                pvcSpecPatch={"storageClassName": "fast", "accessModes": ["ReadWriteMany"]}
            ),
        ),
        ttl_seconds_after_finished=10,
        ttl_seconds_after_success=20,
        ttl_seconds_after_failure=30,
        active_deadline_seconds=40,
    )
)
def every_pipeline_config():
    add(a=1, b=2)


@pipeline(pipeline_config=dsl.PipelineConfig(ttl_seconds_after_success=3600))
def one_pipeline_config():
    add(a=1, b=2)


@pipeline(pipeline_config=dsl.PipelineConfig(ttl_seconds_after_finished=0, active_deadline_seconds=0))
def pipeline_config_of_zeros():
    add(a=1, b=2)


@pipeline(pipeline_config=dsl.PipelineConfig())
def empty_pipeline_config():
    add(a=1, b=2)


@entry
def workspace_changed_later():
    config = dsl.PipelineConfig(workspace=dsl.WorkspaceConfig("1Gi"))
    config.workspace.set_size("2Gi")
    config.workspace.kubernetes.set_pvcSpecPatch({"storageClassName": "slow"})
    return dsl.pipeline(lambda: add(a=1, b=2) and None, name="changed", pipeline_config=config)


# .yml, because the tests look at all files that end with .yaml
@pipeline(name="task-config")
def task_config():
    compiler.Compiler().compile(add, "loaded.yml")
    loaded = kfp_components.load_component_from_file("loaded.yml")
    first = loaded(a=1, b=2).set_memory_limit("1Gi")
    loaded(a=first.output, b=3)
    configured().set_cpu_limit("1").set_env_variable("A", "b")
