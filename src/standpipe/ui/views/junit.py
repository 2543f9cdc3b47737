"""A run as JUnit XML, which CI systems show as tests: a test suite for the run, and a test case for each task."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from xml.etree import ElementTree as ET

from standpipe.history import Run, Status, Task
from standpipe.ui.views.report import failed_tasks, show_failure
from standpipe.ui.views.tails import LogTail, read_tails
from standpipe.ui.views.task_rows import describe

#: Where the parser of a file says that it is such a report, also of another version.
MARK = "<!-- standpipe report -->"

#: How many logs there are, and how much of each and of all, in bytes.
_MAX_LOGS, _LOG_LINES, _LOG_SIZE, _LOGS_SIZE = 200, 50, 8_000, 500_000

#: The states of tasks that have not run to an end.
_NOT_RUN = {Status.SKIPPED: "skipped", Status.READY: "not started", Status.RUNNING: "in progress"}
_ERRORS = (Status.CANCELLED, Status.INTERRUPTED)

#: What XML 1.0 does not allow, not even as a reference.
_INVALID = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")


def make_junit(run: Run) -> str:
    """Return the file; the ends of its logs are read.

    Failed tasks are failures, cancelled and interrupted ones are errors. A task with tasks in it is a test case only
    if it fails by itself.

    Args:
        run: the run.

    Raises:
        StorageError: if its facts cannot be read.
    """
    tails = {
        tail.path: tail for tail in read_tails(run, most=_MAX_LOGS, lines=_LOG_LINES, size=_LOG_SIZE, total=_LOGS_SIZE)
    }
    failed = {task.path for task in failed_tasks(run)}
    cases = [
        _test_case(run, task, tails.get(task.path))
        for task in run.all_tasks()
        if not task.children or task.path in failed
    ]
    if run.status in _ERRORS and not any(case.find("error") is not None for case in cases):
        cases.append(_run_case(run))
    kinds = Counter(child.tag for case in cases for child in case)
    counts = {"tests": str(len(cases)), "failures": str(kinds["failure"]), "errors": str(kinds["error"])}
    time = {"time": _seconds(run.duration)}
    suites = ET.Element("testsuites", {"name": _text(run.pipeline), **counts, **time})
    suite = ET.SubElement(
        suites,
        "testsuite",
        {
            "name": _text(run.id),
            **counts,
            "skipped": str(kinds["skipped"]),
            **time,
            "timestamp": f"{run.started or run.created:%Y-%m-%dT%H:%M:%S}",
        },
    )
    _add_properties(suite, {"pipeline": run.pipeline, "status": run.status.value, "folder": str(run.folder)})
    suite.extend(cases)
    ET.indent(suites, " ")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{MARK}\n' + ET.tostring(suites, encoding="unicode") + "\n"


def _add_properties(suite: ET.Element, values: Mapping[str, str]) -> None:
    properties = ET.SubElement(suite, "properties")
    for name, value in values.items():
        ET.SubElement(properties, "property", {"name": name, "value": _text(value)})


def _test_case(run: Run, task: Task, tail: LogTail | None) -> ET.Element:
    name = task.name if task.iteration is None else f"{_steps(task)[-2]}/{task.name}"
    group = ".".join((run.pipeline, *_steps(task)[: -1 if task.iteration is None else -2]))
    case = ET.Element("testcase", {"name": _text(name), "classname": _text(group), "time": _seconds(task.duration)})
    case.extend(_results(run, task))
    if tail and tail.text:
        ET.SubElement(case, "system-out").text = _text(tail.text)
    return case


def _steps(task: Task) -> list[str]:
    return task.path.split("/")


def _results(run: Run, task: Task) -> Iterator[ET.Element]:
    if task.failure:
        failure = show_failure(task)
        element = ET.Element("failure", {"message": _text(failure.message), "type": _type(failure.traceback)})
        parts = (failure.message, failure.traceback or failure.log, failure.hint, failure.rerun_command)
        element.text = _text("\n\n".join(part for part in parts if part))
        yield element
    elif task.status in _ERRORS:
        state = task.status.value.lower()
        yield ET.Element(
            "error", {"message": _text(f"The task was {state}{_reason(run, task.status)}."), "type": state}
        )
    elif task.status in _NOT_RUN:
        yield ET.Element("skipped", {"message": _text(describe(task) or _NOT_RUN[task.status])})


def _type(traceback: str) -> str:
    """Return the name of the exception at the end of a traceback."""
    last = traceback.rpartition("\n")[2].partition(":")[0].strip()
    return _text(last) if last.replace(".", "").replace("_", "").isalnum() else "TaskFailed"


def _run_case(run: Run) -> ET.Element:
    """Return a test case for a run that did not end by itself, while none of its tasks ran."""
    case = ET.Element("testcase", {"name": "run", "classname": _text(run.pipeline), "time": _seconds(run.duration)})
    state = run.status.value.lower()
    message = _text(f"The run was {state}{_reason(run, run.status)}.")
    ET.SubElement(case, "error", {"message": message, "type": state})
    return case


def _reason(run: Run, status: Status) -> str:
    """Return what follows `cancelled` if Standpipe stopped the run: `, as the run was stopped: it had not ended …`."""
    is_stopped = status is Status.CANCELLED and run.stop_reason
    return f", as the run was stopped: {run.stop_reason}" if is_stopped else ""


def _seconds(duration: float | None) -> str:
    return f"{duration or 0.0:.3f}"


def _text(text: str) -> str:
    return _INVALID.sub("", text)
