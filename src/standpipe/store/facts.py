"""Facts as text: the kind and the body that the run store keeps of each.

The tables below give each class of facts its kind, and each field its name; `store.notation` has the rules. A new class
of facts needs a row in `RECORDS`, a new field one in the record of its class. A body is a JSON object of the fields. A
reference to a task is the list of its steps, each a name and the number of the iteration or null.

Large texts among inputs and outputs are stored apart from the bodies, once however many facts have them: a value of 100
MB is an output of one task, an input of several, and perhaps an output of pipelines around them.
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import accumulate

from standpipe.errors import StorageError
from standpipe.model import events as e
from standpipe.model.refs import TaskRef
from standpipe.model.resources import ResourceRequest
from standpipe.model.states import TaskState
from standpipe.model.types import Json
from standpipe.store.notation import VALUE, VALUES, Codec, Field, Record, by_name, optional, several

# --- what fields hold -------------------------------------------------------------------------------------------------

_new = tuple.__new__  # of a `TaskRef`, in half the time of a call of the class
TASK = Codec(lambda task: task.path, lambda steps: _new(TaskRef, (tuple(map(tuple, steps)),)))
STATES = {
    "PENDING": TaskState.PENDING,
    "READY": TaskState.READY,
    "RUNNING": TaskState.RUNNING,
    "SUCCEEDED": TaskState.SUCCEEDED,
    "FAILED": TaskState.FAILED,
    "SKIPPED": TaskState.SKIPPED,
    "CANCELLED": TaskState.CANCELLED,
}
CODE_LOCATION = Record(
    e.CodeLocation,
    "CodeLocation",
    {"file": Field("file"), "line": Field("line"), "function": Field("function"), "code": Field("code")},
)
FAILURE = Record(
    e.Failure,
    "Failure",
    {
        "message": Field("message"),
        "detail": Field("detail"),
        "hint": Field("hint"),
        "exit_code": Field("exit_code"),
        "signal": Field("signal"),
        "out_of_memory": Field("out_of_memory"),
        "cause_task": Field("cause_task", optional(TASK), former=("within",)),
        "attempts": Field("attempts"),
        "log_tail": Field("log_tail", former=("printed",)),
        "location": Field("location", optional(CODE_LOCATION.codec)),
    },
)
REPORT = Record(
    e.AttemptReport,
    "Report",
    {
        "seconds": Field("seconds"),
        "cpu_seconds": Field("cpu_seconds"),
        "peak_memory": Field("peak_memory"),
        "log_bytes": Field("log_bytes"),
        "log_lines": Field("log_lines"),
        "warm_imports": Field("warm_imports"),
    },
)
RESOURCES = Record(
    ResourceRequest,
    "Resources",
    {
        "cpu": Field("cpu"),
        "memory": Field("memory"),
        "gpus": Field("gpus"),
        "cpu_limit": Field("cpu_limit"),
        "memory_limit": Field("memory_limit"),
        "unavailable": Field("unavailable", former=("lacking",)),
        "accelerator": Field("accelerator"),
    },
)

# --- facts ------------------------------------------------------------------------------------------------------------

_TASK = Field("task", TASK)
_INPUTS = Field("inputs", VALUES)
_OUTPUTS = Field("outputs", VALUES)
_REPORT = Field("report", optional(REPORT.codec))

_TASK_FAILED = Record(
    e.TaskFailed, "TaskFailed", {"task": _TASK, "failure": Field("failure", FAILURE.codec), "report": _REPORT}
)
_RUN_ENDED = Record(
    e.RunEnded,
    "RunEnded",
    {
        "state": Field("state", by_name(STATES)),
        "outputs": _OUTPUTS,
        "failures": Field("failures", several(_TASK_FAILED.codec)),
    },
)

#: Each class of facts; the name of its record is its kind.
RECORDS = (
    Record(e.RunStarted, "RunStarted", {"inputs": _INPUTS}),
    Record(e.DagStarted, "DagStarted", {"task": _TASK, "inputs": _INPUTS}),
    Record(e.LoopStarted, "LoopStarted", {"task": _TASK, "inputs": _INPUTS, "items": Field("items", several(VALUE))}),
    Record(e.IterationStarted, "IterationStarted", {"task": _TASK, "item": Field("item", VALUE)}),
    Record(
        e.TaskReady,
        "TaskReady",
        {"task": _TASK, "inputs": _INPUTS, "resources": Field("resources", RESOURCES.codec, former=("needs",))},
    ),
    Record(
        e.AttemptStarted,
        "AttemptStarted",
        {
            "task": _TASK,
            "attempt": Field("attempt"),
            "at": Field("started_at", former=("at",)),
            "gpus": Field("gpus", several(Codec())),
        },
    ),
    Record(
        e.AttemptFailed,
        "AttemptFailed",
        {
            "task": _TASK,
            "attempt": Field("attempt"),
            "max_attempts": Field("max_attempts", former=("attempts",)),
            "failure": Field("failure", FAILURE.codec),
            "at": Field("failed_at", former=("at",)),
            "delay": Field("retry_delay", former=("delay",)),
            "report": _REPORT,
            "is_lost": Field("is_lost"),
        },
    ),
    Record(
        e.TaskSucceeded,
        "TaskSucceeded",
        {
            "task": _TASK,
            "outputs": _OUTPUTS,
            "report": _REPORT,
            "cached_from": Field("cached_from", former=("cached",)),
        },
    ),
    _TASK_FAILED,
    Record(e.TaskSkipped, "TaskSkipped", {"task": _TASK, "reason": Field("reason", former=("because",))}),
    Record(e.TaskCancelled, "TaskCancelled", {"task": _TASK, "report": _REPORT}),
    Record(
        e.RunCancelled,
        "RunCancelled",
        {"reason": Field("reason"), "failures": Field("failures", several(_TASK_FAILED.codec))},
    ),
    Record(
        e.RunResumed,
        "RunResumed",
        {
            "rerun_tasks": Field("rerun_tasks", several(TASK), former=("again",)),
            "plan": Field("plan"),
            "inputs": _INPUTS,
            "at": Field("resumed_at"),
        },
    ),
    _RUN_ENDED,
)

#: The fields of a body that have values by name, of which each kind has one at most, and the field that names the large
#: texts which are stored apart from it.
_VALUE_FIELDS = ("inputs", "outputs")
TEXTS = "texts"

#: From how many characters on a text is stored apart, and the number of characters in one row of it.
_LARGE_TEXT = 1024 * 1024
_PIECE = 1024 * 1024

#: How many characters of bodies are parsed together.
_BATCH = 100_000

_BY_CLASS = {
    record.cls: (record.name, record.encode, next((name for name in _VALUE_FIELDS if name in record.fields), ""))
    for record in RECORDS
}
_BY_KIND = {record.name: record for record in RECORDS}
_DECODERS = {record.name: record.decode for record in RECORDS}

#: What decoding a damaged body raises.
_DAMAGE = (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError)


def encode(fact: e.Fact, texts: dict[str, str] | None = None) -> tuple[str, str]:
    """Return the kind and the body of a fact.

    Args:
        fact: the fact.
        texts: gets the large texts among the fact's inputs and outputs, by their digests. The body has only the
            digests then. If it is None, the body has the texts.

    Raises:
        TypeError: if the fact holds what JSON cannot.
    """
    kind, encode_fields, value_field = _BY_CLASS[type(fact)]
    body = encode_fields(fact)
    if texts is not None and value_field in body and (parts := _split(body, value_field)):
        texts.update((digest, text) for _, text, digest in parts)
        body[TEXTS] = [[path, digest] for path, _, digest in parts]
    return kind, _dump(body)


def decode(kind: str, body: str, read_text: Callable[[str], str] | None = None) -> e.Fact:
    """Return the fact that was encoded.

    Args:
        kind: its kind.
        body: its body.
        read_text: returns a text by its digest; None if the body has all texts.

    Raises:
        StorageError: if the kind or a field is unknown, as in the store of a newer Standpipe, or the body is damaged.
    """
    return next(decode_all([(kind, body)], read_text))


def decode_all(encoded: Iterable[tuple[str, str]], read_text: Callable[[str], str] | None = None) -> Iterator[e.Fact]:
    """Yield facts that were encoded, each of a kind and a body; errors are those of `decode`."""
    for batch in _batches(list(encoded)):
        for (kind, body), content in zip(batch, _parse([body for _, body in batch]), strict=True):
            try:
                fact = _DECODERS[kind](content)
            except _DAMAGE:  # or it has texts that are stored apart
                fact = _decode(kind, body, content, read_text)
            yield fact


def _batches(encoded: list[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    """Yield facts in batches whose bodies are parsed together."""
    sizes = list(accumulate(len(body) for _, body in encoded))
    begin = 0
    while begin < len(encoded):
        end = bisect_left(sizes, (sizes[begin - 1] if begin else 0) + _BATCH, begin) + 1
        yield encoded[begin:end]
        begin = end


def _parse(bodies: list[str]) -> list[Json]:
    """Return the content of bodies, None for damaged ones. To parse many at once takes half the time."""
    with suppress(ValueError, RecursionError):
        contents: list[Json] = json.loads(f"[{','.join(bodies)}]")
        if len(contents) == len(bodies):
            return contents
    return [None] * len(bodies)  # each alone, for its error


def _decode(kind: str, body: str, content: Json, read_text: Callable[[str], str] | None) -> e.Fact:
    record = _BY_KIND.get(kind)
    if record is None:
        raise StorageError(
            f"The run store has a fact of the unknown kind {kind!r}: a newer Standpipe wrote it. Upgrade Standpipe to "
            "read this run."
        )
    try:
        content = json.loads(body) if content is None else content
        if read_text is not None and TEXTS in content:
            for path, digest in content.pop(TEXTS):
                at = content
                for step in path[:-1]:
                    at = at[step]
                at[path[-1]] = read_text(digest)
        fact: e.Fact = record.decode(content)
    except _DAMAGE as error:
        raise StorageError(
            f"The run store has a {kind} that cannot be read: {error}. Either a newer Standpipe wrote it, then upgrade "
            f"Standpipe, or the store is damaged. The body begins with {body[:80]!r}."
        ) from error
    return fact


def _split(body: dict[str, Json], field: str) -> list[tuple[list[str | int], str, str]]:
    """Replace large texts that are values in a body by null; return their paths, the texts and their digests."""
    values = body[field]
    large = [name for name, value in values.items() if type(value) is str and len(value) >= _LARGE_TEXT]
    parts: list[tuple[list[str | int], str, str]] = []
    for name in large:
        parts.append(([field, name], values[name], _digest_of(values[name])))
        values[name] = None
    return parts


def _digest_of(text: str) -> str:
    """Return the SHA-256 of a text, in hexadecimal digits."""
    digest = hashlib.sha256()
    for piece in pieces_of(text):
        digest.update(piece.encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def pieces_of(text: str) -> Iterator[str]:
    """Yield a large text in pieces, of which a copy costs little memory."""
    return (text[begin : begin + _PIECE] for begin in range(0, len(text), _PIECE))


def _refuse(value: object) -> Json:
    raise TypeError(f"a fact cannot hold {value!r}")


def _make_dump() -> Callable[[Json], str]:
    """Return the function that writes JSON in ASCII.

    In ASCII, as a lone surrogate, for one in the name of a file that is not UTF-8, is text to Python and not to SQLite.
    `JSONEncoder.encode` makes an encoder in C for each call, which takes longer than to write a small body with it.
    """
    make_encoder = getattr(json.encoder, "c_make_encoder", None)
    if make_encoder is None:  # an interpreter whose `json` has no part in C
        return json.JSONEncoder(separators=(",", ":"), default=_refuse).encode
    encode = make_encoder(None, _refuse, json.encoder.encode_basestring_ascii, None, ":", ",", False, False, True)
    return lambda body: "".join(encode(body, 0))


_dump = _make_dump()
