"""KFP's executor contract, in every Python that images have."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.worker.tasks import Tasks, runtime_artifact


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on another file system than that of the task."""
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no other file system")
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)


# --- what a function is given


def test_parameters_keep_their_kind(tasks: Tasks) -> None:
    source = """
        def f(i: int, x: float, s: str, b: bool, l: List[int], d: Dict[str, int], n: list, m: dict) -> str:
            return repr([i, x, s, b, l, d, n, m])
    """
    values = {"i": 3, "x": 1.5, "s": "é\ud800", "b": True, "l": [1, 2], "d": {"k": 3}, "n": [], "m": {"a": [None]}}

    assert tasks.value_of(source, parameters=values) == repr(list(values.values()))


def test_a_whole_number_that_came_as_a_double_is_an_integer_again(tasks: Tasks) -> None:
    assert tasks.value_of("def f(i: int, x: float) -> str: return repr([i, x])", parameters={"i": 3.0, "x": 3.0}) == (
        "[3, 3.0]"
    )


def test_what_nobody_gives_is_the_default_or_none(tasks: Tasks) -> None:
    source = """
        def f(a: int = 5, b: Optional[str] = 'x', c: Optional[str] = None, d: Optional[int] = 7, *, e: int = 8) -> str:
            return repr([a, b, c, d, e])
    """
    assert tasks.value_of(source, parameters={"d": None}) == "[5, 'x', None, 7, 8]"


def test_what_nobody_gives_and_has_no_default_is_none(tasks: Tasks) -> None:
    assert tasks.value_of("def f(a: Optional[int], b: Optional[Input[Dataset]]) -> str: return repr([a, b])") == (
        "[None, None]"
    )


def test_large_and_unusual_text(tasks: Tasks) -> None:
    text = "𝄞{{$.foo}}'\"\\\n\0" * 100_000

    assert tasks.value_of("def f(s: str) -> str: return s[::-1]", parameters={"s": text}) == text[::-1]


def test_parameter_types_by_their_old_names(tasks: Tasks) -> None:
    source = "def f(a: 'Integer', b: 'JsonObject') -> 'String': return repr([a, b])"

    assert tasks.value_of(source, parameters={"a": 2.0, "b": {}}) == "[2, {}]"


def test_literals_are_parameters_of_their_type(tasks: Tasks) -> None:
    source = "def f(a: Literal[1, 2], b: Optional[Literal['x']] = None) -> Literal['[1, None]']: return repr([a, b])"

    assert tasks.value_of(source, parameters={"a": 1.0}) == "[1, None]"


def test_annotations_as_text(tasks: Tasks) -> None:
    source = """
        def f(a: 'Input[Dataset]', b: "OutputPath('Model')", c: 'List[int]') -> 'int':
            open(b, 'w').write(a.path)
            return len(c)
    """
    result = tasks.run(
        source,
        parameters={"c": [1, 2]},
        artifacts={"a": [runtime_artifact("/data", "system.Dataset")]},
        output_artifacts={"b": "system.Model"},
    )

    assert result.values == {"Output": 2}
    assert (result.folder / "b").read_text() == "/data"


def test_annotations_that_were_never_evaluated(tasks: Tasks) -> None:
    source = "from __future__ import annotations\ndef f(a: int) -> str: return str(a)"

    assert tasks.value_of(source, parameters={"a": 3.0}, preamble="") == "3"


def test_input_artifacts(tasks: Tasks) -> None:
    source = """
        def f(a: Input[Artifact], b: Dataset, c: InputPath('Model'), d: Optional[Input[Model]] = None) -> str:
            assert d is None
            return repr([type(a).__name__, a.name, a.uri, a.metadata, type(b).__name__, b.path, c])
    """
    artifacts = {
        "a": [runtime_artifact("gs://b/a", "system.Model", metadata={"framework": "x"})],
        "b": [runtime_artifact("/data", "system.Dataset")],
        "c": [runtime_artifact("s3://b/m", "system.Model")],
    }

    assert tasks.value_of(source, artifacts=artifacts) == repr(
        ["Model", "a", "gs://b/a", {"framework": "x"}, "Dataset", "/data", "/s3/b/m"]
    )


def test_lists_of_artifacts(tasks: Tasks) -> None:
    source = """
        def f(a: Input[List[Dataset]], b: List[Artifact], c: List[Model], d: Optional[List[Model]] = None) -> str:
            return repr([[x.path for x in a], [type(x).__name__ for x in b], c, d])
    """
    artifacts = {
        "a": [runtime_artifact("/1", "system.Dataset"), runtime_artifact("/2", "system.Dataset")],
        "b": [runtime_artifact("/3", "system.HTML")],
        "c": [],
    }

    assert tasks.value_of(source, artifacts=artifacts) == "[['/1', '/2'], ['HTML'], [], None]"


def test_a_path_to_a_parameter_is_refused(tasks: Tasks) -> None:
    message = tasks.failure_of("def f(a: InputPath(str)): pass", parameters={"a": "x"})

    assert "input 'a' as a path, but it is a parameter" in message


def test_final_status(tasks: Tasks) -> None:
    source = "def f(s: PipelineTaskFinalStatus) -> str: return repr(s)"
    status = {
        "state": "FAILED",
        "pipelineJobResourceName": "job",
        "pipelineTaskName": "task",
        "error": {"code": 9, "message": "no"},
    }

    assert tasks.value_of(source, parameters={"s": status}) == (
        "PipelineTaskFinalStatus(state='FAILED', pipeline_job_resource_name='job', pipeline_task_name='task', "
        "error_code=9, error_message='no')"
    )


def test_final_status_in_the_older_spelling(tasks: Tasks) -> None:
    source = "def f(s: dsl.PipelineTaskFinalStatus) -> str: return s.pipeline_task_name + str(s.error_code)"
    status = {"state": "SUCCEEDED", "pipeline_job_resource_name": "job", "pipeline_task_name": "task"}

    assert tasks.value_of(source, parameters={"s": status}) == "taskNone"


def test_task_config(tasks: Tasks) -> None:
    source = "def f(c: dsl.TaskConfig) -> str: return repr([c.node_selector, c.volume_mounts, c.env])"

    assert tasks.value_of(source, parameters={"c": {"nodeSelector": {"a": "b"}, "volumeMounts": []}}) == (
        "[{'a': 'b'}, [], None]"
    )
    assert tasks.value_of(source) == "[None, None, None]"


def test_embedded_input(tasks: Tasks) -> None:
    source = """
        {name} = '/unpacked'
        def f(a: dsl.EmbeddedInput[dsl.Dataset]) -> str:
            return type(a).__name__ + a.path
    """
    assert tasks.value_of(source.replace("{name}", "__KFP_EMBEDDED_ASSET_DIR")) == "Dataset/unpacked"
    assert tasks.value_of(source.replace("{name}", "__KFP_EMBEDDED_ASSET_FILE")) == "Dataset/unpacked"
    assert "no embedded asset was found" in tasks.failure_of(source.replace("{name}", "x"))


# --- what it gives


def test_output_artifacts(tasks: Tasks) -> None:
    source = """
        def f(a: Output[Metrics], b: OutputPath('Dataset'), c: OutputPath(int)):
            a.log_metric('accuracy', 0.5)
            with open(a.path, 'w') as file: file.write('é')
            with open(b, 'w') as file: file.write('data')
            with open(c, 'w') as file: file.write('3')
    """
    result = tasks.run(
        source, output_artifacts={"a": "system.Metrics", "b": "system.Dataset"}, output_parameters=("c",)
    )

    assert result.code == 0, result.printed
    assert [(result.folder / name).read_text() for name in "abc"] == ["é", "data", "3"]
    assert result.artifact("a") == {"name": "a", "uri": str(result.folder / "a"), "metadata": {"accuracy": 0.5}}
    assert "parameterValues" not in result.output


def test_the_folders_of_outputs_are_made(tasks: Tasks) -> None:
    result = tasks.run("def f(a: Output[Dataset]): open(a.path, 'w')", output_artifacts={"a/b": "x", "a": "x"})

    assert (result.folder / "a").is_dir()


def test_what_lies_at_a_custom_path_is_brought_to_the_uri(tasks: Tasks, tmp_path: Path) -> None:
    source = f"""
        def f(file: Output[Dataset], folder: Output[Model], remote: Output[Model]):
            import os
            for name, artifact in (('file', file), ('folder', folder), ('remote', remote)):
                artifact.custom_path = os.path.join({str(tmp_path)!r}, 'elsewhere', name)
            remote.uri = 'gs://bucket/remote'
            os.makedirs(folder.path)
            for path in (file.path, os.path.join(folder.path, 'part'), remote.path):
                open(path, 'w').write('content')
    """
    outputs = {"file": "system.Dataset", "folder": "system.Model", "remote": "system.Model"}
    result = tasks.run(source, output_artifacts=outputs)

    assert Path(result.artifact("file")["uri"]).read_text() == "content"
    assert (Path(result.artifact("folder")["uri"]) / "part").read_text() == "content"
    assert result.artifact("remote")["uri"] == "gs://bucket/remote"


@pytest.mark.parametrize(
    "body",
    [
        "global file; file = open(path, 'w'); file.write('rows')",
        "import atexit; atexit.register(lambda: open(path, 'w').write('rows'))",
        "with open(path, 'w') as file: file.write('rows')",
    ],
)
def test_a_payload_on_another_disk_is_copied_when_it_is_complete(tasks: Tasks, other_disk: Path, body: str) -> None:
    source = f"""
        def f(a: Output[Dataset]):
            a.custom_path = path = {str(other_disk / "payload")!r}
            {body}
    """
    result = tasks.run(source, output_artifacts={"a": "system.Dataset"})

    assert Path(result.artifact("a")["uri"]).read_text() == "rows"


def test_a_payload_that_cannot_be_copied_fails_the_task(tasks: Tasks, other_disk: Path) -> None:
    source = f"""
        def f(a: Output[Dataset]):
            import os
            a.custom_path = {str(other_disk / "payload")!r}
            os.mkfifo(a.custom_path)
            a.uri = '/proc/missing/a'
    """
    result = tasks.run(source, output_artifacts={"a": "system.Dataset"})

    assert result.code == 1
    assert result.error["kind"] == "FileNotFoundError"


def test_a_custom_path_is_told(tasks: Tasks) -> None:
    result = tasks.run("def f(a: Output[Dataset]): a.set_path('/custom')", output_artifacts={"a": "system.Dataset"})

    assert result.artifact("a")["custom_path"] == "/custom"


def test_a_returned_artifact(tasks: Tasks) -> None:
    source = """
        def f() -> Dataset:
            made = Dataset(uri=dsl.get_uri('mine'), metadata={'rows': 2})
            with open(made.path, 'w') as file: file.write('x')
            return made
    """
    result = tasks.run(source, output_artifacts={"Output": "system.Dataset"})

    assert result.artifact() == {"name": "", "uri": str(result.folder / "mine"), "metadata": {"rows": 2}}
    assert (result.folder / "mine").read_text() == "x"


def test_returned_data_is_the_payload_of_an_artifact(tasks: Tasks) -> None:
    result = tasks.run("def f() -> Dataset: return 'é' * 3", output_artifacts={"Output": "system.Dataset"})

    assert (result.folder / "Output").read_text(encoding="utf-8") == "ééé"


def test_an_artifact_need_not_be_returned(tasks: Tasks) -> None:
    result = tasks.run("def f() -> Dataset: pass", output_artifacts={"Output": "system.Dataset"})

    assert result.code == 0
    assert result.artifact()["uri"] == str(result.folder / "Output")


@pytest.mark.parametrize(
    "returned", ["(1, 'a', 'data')", "Made(1, 'a', 'data')", "collections.namedtuple('O', 's n d')('a', 1, 'data')"]
)
def test_named_tuples(tasks: Tasks, returned: str) -> None:
    source = f"""
        import collections
        Made = NamedTuple('Made', [('n', int), ('s', str), ('d', Dataset)])
        def f() -> NamedTuple('Outputs', [('n', int), ('s', 'str'), ('d', Dataset)]): return {returned}
    """
    result = tasks.run(source, output_artifacts={"d": "system.Dataset"})

    assert result.code == 0, result.printed
    assert result.values == {"n": 1, "s": "a"}
    assert (result.folder / "d").read_text() == "data"


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ("(1,)", "the function 'f' returned 1 values: expected the outputs n, s"),
        ("3", "returned a value of type int: expected a tuple of the outputs n, s"),
        ("collections.namedtuple('O', 'n x')(1, 2)", "returned no 's': expected the outputs n, s"),
        ("(1, 2)", "returned a value of type int for its output 's': expected str"),
    ],
)
def test_wrong_tuples(tasks: Tasks, returned: str, message: str) -> None:
    source = f"""
        import collections
        def f() -> NamedTuple('Outputs', n=int, s=str): return {returned}
    """
    assert message in tasks.failure_of(source)


@pytest.mark.parametrize(
    ("annotation", "returned", "told"),
    [
        ("float", "3", 3.0),
        ("float", "True", 1.0),
        ("int", "True", 1),
        ("bool", "False", False),
        ("List[int]", "[1, (2, 3)]", [1, [2, 3]]),
        ("Dict[str, int]", "collections.OrderedDict(a=1)", {"a": 1}),
        ("dict", "{'a': [None, {'b': 1.5}]}", {"a": [None, {"b": 1.5}]}),
        ("list[int]", "[10 ** 30]", [10**30]),
    ],
)
def test_returned_values(tasks: Tasks, annotation: str, returned: str, told: object) -> None:
    value = tasks.value_of(f"import collections\ndef f() -> {annotation}: return {returned}")

    assert (value, type(value)) == (told, type(told))


@pytest.mark.parametrize(
    ("annotation", "returned", "message"),
    [
        ("int", "'3'", "the function 'f' returned a value of type str for its output 'Output': expected int"),
        ("int", "3.0", "returned a value of type float for its output 'Output': expected int"),
        ("str", "3", "returned a value of type int for its output 'Output': expected str"),
        ("list", "(1, 2)", "returned a value of type tuple for its output 'Output': expected list"),
        ("int", "None", "returned None for its output 'Output': expected int"),
        ("bool", "1", "returned a value of type int for its output 'Output': expected bool"),
        ("int", "fractions.Fraction(1)", "returned a value of type fractions.Fraction for its output 'Output'"),
        ("float", "math.nan", "the output 'Output' of the function 'f' is nan, and JSON has no such number"),
        ("dict", "{'a': [1, math.inf]}", "of the function 'f', at ['a'][1], is inf, and JSON has no such number"),
        (
            "dict",
            "{'a': {(1, 2): 3}}",
            "at ['a'], has the key (1, 2), a value of type tuple: the keys of a JSON object",
        ),
        ("dict", "{fractions.Fraction(1): 3}", "has the key Fraction(1, 1), a value of type fractions.Fraction"),
        ("dict", "{0: 'a', '0': 'b'}", "has the keys 0 and '0', which are the same text in JSON: '0'"),
        ("list", "[{None: 1, 'null': 2}]", "at [0], has the keys None and 'null', which are the same text in JSON"),
        ("list", "[{1, 2}]", "at [0], is a value of type set, which JSON cannot hold"),
        ("set", "{1}", "declares its output 'Output' as <class 'set'>, which is neither an artifact class nor one of"),
    ],
)
def test_values_that_do_not_fit(tasks: Tasks, annotation: str, returned: str, message: str) -> None:
    assert message in tasks.failure_of(f"import fractions, math\ndef f() -> {annotation}: return {returned}")


@pytest.mark.parametrize(
    ("annotation", "returned", "value"),
    [
        ("dict", "{0: 0.9, 1: 0.1}", {"0": 0.9, "1": 0.1}),
        ("dict", "{True: 1, None: 2, 1.5: 3, 2.0: 4, -1: 5}", {"true": 1, "null": 2, "1.5": 3, "2.0": 4, "-1": 5}),
        ("dict", "{'a': {0: [{1: {2: 3}}]}}", {"a": {"0": [{"1": {"2": 3}}]}}),
        ("list", "[{0: 1}]", [{"0": 1}]),
        ("dict", "{math.nan: 1}", {"NaN": 1}),
    ],
)
def test_keys_are_text_as_in_json(tasks: Tasks, annotation: str, returned: str, value: object) -> None:
    assert tasks.value_of(f"import math\ndef f() -> {annotation}: return {returned}") == value


def test_keys_of_a_named_tuple_are_text_as_in_json(tasks: Tasks) -> None:
    source = "def f() -> NamedTuple('Outputs', [('a', dict), ('b', list)]): return {0: 1}, [{1: 2}]"

    assert tasks.run(source).values == {"a": {"0": 1}, "b": [{"1": 2}]}


def test_keys_of_metadata_are_text_as_in_json(tasks: Tasks) -> None:
    source = "def f(a: Output[Metrics]):\n    a.log_metric(1, 0.5)\n    a.metadata['classes'] = {0: 'cat'}"

    result = tasks.run(source, output_artifacts={"a": "system.Metrics"})
    assert result.artifact("a")["metadata"] == {"1": 0.5, "classes": {"0": "cat"}}


def test_a_value_of_another_package_comes_with_its_conversion(tasks: Tasks) -> None:
    source = "import array\ndef f() -> dict: return {'a': array.array('i', [1])}"

    assert tasks.failure_of(source) == (
        "the output 'Output' of the function 'f', at ['a'], is a value of type array.array, which JSON cannot hold: "
        "convert it with .tolist()"
    )


def test_a_value_that_no_output_waits_for(tasks: Tasks) -> None:
    assert tasks.failure_of("def f(): return 'x'") == (
        "the function 'f' returned a value of type str, but declares no output: "
        "annotate it with `-> str`, or return nothing"
    )


@pytest.mark.parametrize("annotation", ["", " -> None"])
def test_a_function_without_outputs(tasks: Tasks, annotation: str) -> None:
    assert tasks.run(f"def f(){annotation}: pass").output == {}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("float('inf')", "the metadata of the output artifact 'a', at ['m'], is inf"),
        ("{1}", "the metadata of the output artifact 'a', at ['m'], is a value of type set"),
    ],
)
def test_metadata_that_is_no_json(tasks: Tasks, value: str, message: str) -> None:
    source = f"def f(a: Output[Metrics]): a.metadata['m'] = {value}"

    assert message in tasks.failure_of(source, output_artifacts={"a": "system.Metrics"})


@pytest.mark.parametrize(("role", "writes"), [("chief", True), ("workerpool0", True), ("worker", False)])
def test_only_the_chief_of_a_cluster_writes(tasks: Tasks, role: str, writes: bool) -> None:
    result = tasks.run("def f() -> int: return 1", env={"CLUSTER_SPEC": f'{{"task": {{"type": "{role}"}}}}'})

    assert result.code == 0
    assert (result.folder / "executor_output.json").exists() is writes


def test_optional_with_a_bar_even_where_python_has_none(tasks: Tasks) -> None:
    source = "from __future__ import annotations\ndef f(a: int | None, b: str | None = 'x') -> str: return repr([a, b])"

    assert tasks.value_of(source, parameters={"a": 3}, preamble="") == "[3, 'x']"
