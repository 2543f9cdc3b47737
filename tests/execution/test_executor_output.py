"""What tasks say about their outputs: any bytes are either outputs that can be used everywhere, or one short error."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from standpipe.artifact_stores.local import LocalArtifactStore
from standpipe.execution.contract import OutputError, build_executor_input, read_outputs
from standpipe.execution.rendering import Renderer
from standpipe.model.events import TaskSucceeded
from standpipe.model.plan import Component, ExecutorRef
from standpipe.model.refs import TaskRef
from standpipe.model.templates import parse_text
from standpipe.model.types import ArtifactInput, ArtifactOutput, ArtifactType, ParameterInput, ParameterOutput
from standpipe.model.types import ParameterType as Type
from standpipe.model.values import ArtifactValue, preview
from standpipe.runs.arguments import from_values
from standpipe.store.facts import decode, encode
from standpipe.support.redaction import Redactor

#: How many documents each test with random ones tries.
EXAMPLES = int(os.environ.get("STANDPIPE_FUZZ_EXAMPLES", "300"))

#: The longest message, for a file with a path of at most 200 characters.
LONGEST_MESSAGE = 1000

STORE = LocalArtifactStore([])
MODEL = ArtifactType("system.Model")
TYPES = {
    "text": Type.STRING,
    "whole": Type.NUMBER_INTEGER,
    "number": Type.NUMBER_DOUBLE,
    "flag": Type.BOOLEAN,
    "items": Type.LIST,
    "fields": Type.STRUCT,
}
PRODUCER = Component(
    ExecutorRef("exec"),
    {},
    {**{name: ParameterOutput(type_) for name, type_ in TYPES.items()}, "model": ArtifactOutput(MODEL)},
)
CONSUMER = Component(
    ExecutorRef("exec"),
    {**{name: ParameterInput(type_) for name, type_ in TYPES.items()}, "model": ArtifactInput(MODEL)},
    {},
)
REDACTOR = Redactor(["secret", "123456", "0.5"])
PARAMETERS = {"text": "secret", "whole": 123456, "number": 0.5, "flag": True, "items": [1, {"a": [None]}], "fields": {}}
ARTIFACT = {
    "name": "m",
    "uri": "/m",
    "metadata": {"k": [1, "secret"]},
    "custom_path": "/c",
    "type": {"schemaTitle": "x"},
}
VALID = {"parameterValues": PARAMETERS, "artifacts": {"model": {"artifacts": [ARTIFACT]}}}
VALID_TEXT = json.dumps(VALID)


def read(folder: Path, content: bytes) -> dict[str, Any]:
    (folder / "executor_output.json").write_bytes(content)
    return read_outputs(PRODUCER, build_executor_input(PRODUCER, {}, folder, STORE), folder)


def check(folder: Path, content: bytes) -> None:
    """Check that a document is either refused, or can be used wherever outputs are."""
    try:
        outputs = read(folder, content)
    except OutputError as error:
        message = str(error)
    else:
        check_outputs(folder, outputs)
        return
    assert len(message) <= LONGEST_MESSAGE
    assert "\n" not in message
    message.encode()


def check_outputs(folder: Path, outputs: dict[str, Any]) -> None:
    fact = TaskSucceeded(TaskRef((("t", None),)), outputs)
    assert decode(*encode(fact)) == fact
    redacted = REDACTOR.redact(fact)
    assert decode(*encode(redacted)) == redacted
    assert "secret" not in encode(redacted)[1]
    message = build_executor_input(CONSUMER, outputs, folder, STORE)
    assert json.loads(json.dumps(message)) == message
    renderer = Renderer(message, lambda _: "")
    for name in outputs:
        side = "artifacts" if name == "model" else "parameters"
        renderer.render(parse_text(f"{{{{$.inputs.{side}['{name}']}}}}")).encode()
        preview(outputs[name]).encode()
    from_values(outputs)


# --- documents by hand ------------------------------------------------------------------------------------------------


def changed(path: str, value: Any) -> bytes:
    """Return a valid document in which the part at a path, such as `artifacts.model`, is another value."""
    document = json.loads(json.dumps(VALID))
    at = document
    *steps, last = path.split(".")
    for step in steps:
        at = at[int(step) if isinstance(at, list) else step]
    at[int(last) if isinstance(at, list) else last] = value
    return json.dumps(document).encode()


ENTRY = "artifacts.model.artifacts.0"
DEEP: Any = []
for _ in range(99):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", r"^its executor output is not JSON: Expecting value: line 1 column 1 \(char 0\)\. The file is /"),
        (b"\xff\xfe{}", "is not UTF-8: invalid start byte at byte 0"),
        (b"\xef\xbb\xbf{}", "is not JSON: it begins with a byte order mark"),
        (b'{"parameterValues": {"text": "a\0b"}}', "is not JSON: Invalid control character"),
        (b"\0" * 100, "is not JSON"),
        (b"[" * 100_000, "is invalid: nested too deeply: expected at most 100 levels"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b"[" * 100_000 + b"]" * 100_000, "nested too deeply"),
        (b'["\\"", "\\\\", "[[", ' + b"[" * 1000, "nested too deeply"),
        (b'{"artifacts": {}, "artifacts": {}}', r"is invalid: duplicate key 'artifacts'"),
        (b'{"parameterValues": {"text": "a", "text": "b"}}', r"duplicate key 'text'"),
        (
            b'{"parameterValues": {"whole": %s}}' % (b"9" * 5000),
            "a number that is too large: expected one that a double",
        ),
        (b'{"parameterValues": {"whole": %s}}' % (b"9" * 310), r"\['parameterValues'\]\['whole'\] is a number that is"),
        (b'{"parameterValues": {"number": 1e999}}', r"\['parameterValues'\]\['number'\] is inf: expected a finite"),
        (b'{"parameterValues": {"number": NaN}}', r"\['parameterValues'\]\['number'\] is nan: expected a finite"),
        (b'{"parameterValues": {"text": "\\ud800"}}', r"\['text'\] is '\\ud800': expected text without half of a"),
        (b'{"parameterValues": {"fields": {"\\udfff": 1}}}', r"has the key '\\udfff': expected text without half"),
        (b"null", "is not a JSON object: got None"),
        (b'"%s"' % (b"x" * 10_000_000), "is not a JSON object: got 'xxx"),
        (changed("parameterValues", []), r"\['parameterValues'\] is \[\] \(list\): expected an object"),
        (changed("artifacts", 3), r"\['artifacts'\] is 3 \(int\): expected an object"),
        (changed("artifacts.model", 3), r"artifact 'model': artifacts\['model'\] is 3 \(int\): expected an object"),
        (
            changed("artifacts.model.artifacts", {}),
            r"artifacts\['model'\]\['artifacts'\] is \{\} \(dict\): expected a l",
        ),
        (changed("artifacts.model.artifacts", []), r"\['artifacts'\] has 0 items: expected one"),
        (changed("artifacts.model.artifacts", [ARTIFACT] * 2), r"\['artifacts'\] has 2 items: expected one"),
        (changed(ENTRY, [1]), r"\['artifacts'\]\[0\] is \[1\] \(list\): expected an object"),
        (changed(f"{ENTRY}.uri", 3), r"\[0\]\['uri'\] is 3 \(int\): expected text"),
        (changed(f"{ENTRY}.uri", "/a\0b"), r"\[0\]\['uri'\] is '/a\\x00b': expected text without a null character"),
        (changed(f"{ENTRY}.uri", "/" * 5000), r"\[0\]\['uri'\] has 5000 characters: expected at most 4096"),
        (changed(f"{ENTRY}.name", {}), r"\[0\]\['name'\] is \{\} \(dict\): expected text"),
        (changed(f"{ENTRY}.custom_path", {"a": 1}), r"\[0\]\['custom_path'\] is \{'a': 1\} \(dict\): expected text"),
        (
            changed(f"{ENTRY}.metadata", [["a", 1]]),
            r"\[0\]\['metadata'\] is \[\['a', 1\]\] \(list\): expected an object",
        ),
        (
            changed(f"{ENTRY}.metadata", {"_kfp_model_registry_request": [1]}),
            r"\['_kfp_model_registry_request'\] is \[1\] \(list\): expected text",
        ),
        (
            changed(f"{ENTRY}.metadata", {"_kfp_model_registry_request": "[" * 100_000}),
            r"\['_kfp_model_registry_request'\] is invalid: nested too deeply",
        ),
        (
            changed(f"{ENTRY}.metadata", {"_kfp_model_registry_request": "[1]"}),
            r"\['_kfp_model_registry_request'\] is \[1\] \(list\): expected an object",
        ),
        (changed("parameterValues.whole", "x" * 10_000_000), "output 'whole' does not fit: expected int, got 'xxx"),
        (changed("parameterValues.flag", list(range(100_000))), r"'flag' does not fit: expected bool, got \[0, 1, 2"),
        (changed("parameterValues.items", {"k" * 100_000: float("inf")}), r"'\] is inf: expected a finite number"),
    ],
)
def test_a_document_that_is_not_an_executor_output_is_one_sentence(tmp_path: Path, content: bytes, says: str) -> None:
    with pytest.raises(OutputError, match=says):
        read(tmp_path, content)
    check(tmp_path, content)


@pytest.mark.parametrize(
    "content",
    [
        json.dumps(VALID).encode(),
        changed("parameterValues.items", DEEP),
        changed(f"{ENTRY}.metadata", {"k": DEEP[0]}),
        changed("parameterValues.whole", int(1.7e308)),
        changed("parameterValues.text", "\0\ufeff\U0010ffff\u2028"),
        changed("parameterValues.text", DEEP),
        changed("parameterValues.fields", {"k" * 100_000: {"$value": {"$collected": [{}]}}}),
        changed("parameterValues.undeclared", {"artifacts": 1}),
        changed("artifacts.undeclared", 3),
        changed(ENTRY, {"name": None, "uri": None, "metadata": None, "custom_path": None, "more": [1]}),
        changed(f"{ENTRY}.custom_path", "/" + "x" * 4000),
    ],
)
def test_a_document_that_is_an_executor_output_can_be_used_everywhere(tmp_path: Path, content: bytes) -> None:
    assert list(read(tmp_path, content)) == [*TYPES, "model"]
    check(tmp_path, content)


def test_fields_that_are_null_are_left_out(tmp_path: Path) -> None:
    content = changed("artifacts", {"model": {"artifacts": [dict.fromkeys(ARTIFACT)]}})
    assert read(tmp_path, content)["model"] == ArtifactValue("model", MODEL, str(tmp_path / "model"))


# --- random documents -------------------------------------------------------------------------------------------------

WORDS = ["secret", "\ud800", "\0", "$value", "$collected", "x" * 5000, "[{", '"', "LONG", "DEEP"]
TEXT = st.text(max_size=4) | st.sampled_from(WORDS)
NUMBERS = (
    st.integers(-3, 3) | st.floats() | st.sampled_from([123456, 2**53 + 1, 2**64, 10**308, 10**309, 1.5e308, -0.0])
)
LEAVES = st.none() | st.booleans() | NUMBERS | TEXT
TREES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*ARTIFACT, "model"]) | TEXT, inner),
    max_leaves=6,
)
JSON_TEXTS = [b"{", b"}", b"[", b"]", b'"', b"\\", b",", b":", b"null", b"NaN", b"-1", b"1e999", b"\\ud800", b"\xff"]


def paths(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(path for key, item in items for path in paths(item, (*at, key)))]


PATHS = paths(VALID)[1:]


@st.composite
def documents(draw: st.DrawFn) -> bytes:
    """Return a valid document with some parts replaced, written in some way, with some bytes replaced."""
    document = json.loads(json.dumps(VALID))
    for path in draw(st.lists(st.sampled_from(PATHS), min_size=1, max_size=3)):
        at: Any = document
        try:
            for step in path[:-1]:
                at = at[step]
            at[path[-1]] = draw(TREES)
        except (KeyError, IndexError, TypeError):
            pass  # the part was replaced by something else
    content = write(document, draw(st.booleans()), draw(st.sampled_from([50, 100, 101, 3000])))
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 3]))):
        begin, length = draw(st.integers(0, len(content))), draw(st.integers(0, 8))
        content = (
            content[:begin] + draw(st.sampled_from(JSON_TEXTS) | st.binary(max_size=3)) + content[begin + length :]
        )
    return content


def write(value: Any, is_ascii: bool = True, levels: int = 101) -> bytes:
    """Return a value as JSON, with what Python would not write in place of the texts LONG and DEEP."""
    text = json.dumps(value, ensure_ascii=is_ascii)
    text = text.replace('"LONG"', "1" * 5000).replace('"DEEP"', "[" * levels + "]" * levels)
    return text.encode("utf-8", "surrogatepass")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("attempt")


@pytest.mark.timeout(0 if EXAMPLES > 10_000 else 300)
@settings(max_examples=EXAMPLES)
@given(content=documents())
@example(content=json.dumps(VALID).encode())
def test_changed_documents_are_refused_or_can_be_used_everywhere(folder: Path, content: bytes) -> None:
    check(folder, content)


@pytest.mark.timeout(0 if EXAMPLES > 10_000 else 300)
@settings(max_examples=EXAMPLES)
@given(content=st.binary(max_size=200) | TREES.map(write))
def test_random_bytes_and_trees_are_refused_or_can_be_used_everywhere(folder: Path, content: bytes) -> None:
    check(folder, content)


# Hypothesis makes some hundred documents per second. For a million, it chooses seeds, and `random` makes the documents.

SEEDS = max(10, EXAMPLES // 100)
LEAF_VALUES: list[Any] = [
    None,
    True,
    0,
    -1,
    123456,
    2**53 + 1,
    10**308,
    10**309,
    0.5,
    -0.0,
    1e308,
    float("nan"),
    float("inf"),
]
LEAF_VALUES += [*WORDS, "", "é", "𝄞"]
KEYS: list[str] = [
    *ARTIFACT,
    *TYPES,
    "model",
    "artifacts",
    "_kfp_model_registry_request",
    "$value",
    "\ud800",
    "k" * 200,
]


def random_tree(random: Random, depth: int = 3) -> Any:
    kind = random.random() if depth else 0
    if kind < 0.6:
        return random.choice(LEAF_VALUES)
    items = [random_tree(random, depth - 1) for _ in range(random.randrange(4))]
    return items if kind < 0.8 else dict(zip(random.choices(KEYS, k=4), items, strict=False))


def random_document(random: Random) -> bytes:
    document = json.loads(VALID_TEXT)
    for path in random.choices(PATHS, k=random.randrange(1, 4)):
        at: Any = document
        with suppress(KeyError, IndexError, TypeError):  # the part was replaced by something else
            for step in path[:-1]:
                at = at[step]
            at[path[-1]] = random_tree(random)
    content = write(document, random.random() < 0.5, random.choice([50, 100, 101, 3000]))
    for _ in range(random.choice([0, 0, 0, 1, 3])):
        begin, length = random.randrange(len(content) + 1), random.randrange(8)
        inserted = random.choice(JSON_TEXTS) if random.random() < 0.5 else random.randbytes(3)
        content = content[:begin] + inserted + content[begin + length :]
    return content


@pytest.mark.timeout(0 if EXAMPLES > 10_000 else 300)
@settings(max_examples=SEEDS)
@given(seed=st.integers(0, 2**64))
def test_a_hundred_documents_of_each_seed_are_refused_or_can_be_used_everywhere(folder: Path, seed: int) -> None:
    random = Random(seed)
    for _ in range(100):
        check(folder, random_document(random))
