"""The first process of a task's container in a pod: it starts the task as its child, and reports how that ended.

The kernel gives the first process of a container no signal that it does not handle, and leaves it the children of
others. So the task is never that one. What a failed task leaves is lost with its pod, except for the termination
message.
"""

from __future__ import annotations

import json
import os
import signal
from contextlib import suppress
from typing import Any, Callable, Dict

from .task import read
from .usage import count_memory_kills

#: Where Kubernetes reads the termination message of a container, and the most bytes of one.
_MESSAGE_FILE = "/dev/termination-log"
_MAX_MESSAGE = 4096

#: The bytes by which the traceback in a message becomes shorter until it fits.
_STEP = 128

#: The signals that end programs, which are for the task.
_FORWARDED = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)

#: The texts of an error that a message has, with the most bytes of each but the traceback, which gets the rest.
_TEXTS = {"kind": 100, "summary": 700, "name": 100}


def run_as_child(path: str, run: Callable[[str], int]) -> int:
    """Execute the request in a file in a child process; return its exit code, as a shell does.

    Args:
        path: the file of the request.
        run: executes it in the child, and returns the exit code.
    """
    problem = _find_problem(path)
    if problem:
        print(problem, flush=True)
        _write_message({"error": {"kind": "PermissionError", "summary": problem}})
        return 1
    former = signal.pthread_sigmask(signal.SIG_BLOCK, _FORWARDED)  # or one that comes now would be lost
    child = os.fork()
    if not child:
        signal.pthread_sigmask(signal.SIG_SETMASK, former)
        return run(path)
    for number in _FORWARDED:
        signal.signal(number, lambda number, _: _forward(child, number))
    signal.pthread_sigmask(signal.SIG_SETMASK, former)
    code = _wait(child)
    with suppress(OSError, ValueError, KeyError):  # then the log and the exit code have to do
        _write_message(_make_message(read(path)))
    return code


def _find_problem(path: str) -> str:
    """Return why the user of this container, which only its image may name, cannot reach a file; empty if they can."""
    folders = [path[:end] or "/" for end, character in enumerate(path) if character == "/"]
    closed = [folder for folder in folders if not os.access(folder, os.X_OK)]
    if not closed:
        return ""
    return (
        f"User {os.geteuid()} of the container cannot enter the folder {closed[0]}, in which state_root is. Set "
        "state_root to a folder that every user can enter, such as one below /tmp: local.init(state_root=...), or "
        "--state-root."
    )


def _forward(child: int, number: int) -> None:
    """Send a signal to the task. Kubernetes stops pods with SIGTERM; other runners stop tasks with SIGINT."""
    with suppress(ProcessLookupError):
        os.kill(child, signal.SIGINT if number == signal.SIGTERM else number)


def _wait(child: int) -> int:
    """Wait until the task ends, and meanwhile for what others have left behind."""
    while True:
        pid, status = os.wait()
        if pid == child:
            return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)


def _make_message(request: Dict[str, Any]) -> Dict[str, Any]:
    """Return what is known of a task that has ended: its usage, and the error that it has reported."""
    usage, error = _load(request["usage_file"] or ""), _load(request["error_file"])
    message = {"usage": usage, "memory_kills": count_memory_kills()}
    if error:
        short = {name: _shorten(str(error[name]), size) for name, size in _TEXTS.items() if error.get(name)}
        location = error.get("location")
        if isinstance(location, dict):
            short["location"] = {**location, "code": _shorten(str(location.get("code", "")), 300)}  # type: ignore[assignment]
        message["error"] = {**short, "traceback": str(error.get("traceback", ""))}
    return message


def _load(path: str) -> Dict[str, Any]:
    with suppress(OSError, ValueError), open(path, encoding="utf-8") as file:
        content = json.load(file)
        if isinstance(content, dict):
            return content
    return {}


def _write_message(message: Dict[str, Any]) -> None:
    """Write the message, with as much of the ends of the traceback as fits."""
    error = message.get("error", {})
    traceback, size = error.get("traceback", ""), _MAX_MESSAGE
    while len(_encode(message)) > _MAX_MESSAGE and size > 0:
        size -= _STEP
        error["traceback"] = _shorten(traceback, size)
    with open(_MESSAGE_FILE, "r+b") as file:  # it is there, and empty
        file.write(_encode(message))


def _encode(message: Dict[str, Any]) -> bytes:
    return json.dumps(message, ensure_ascii=False).encode("utf-8", "replace")


def _shorten(text: str, size: int) -> str:
    """Return a text of at most so many bytes, without its middle if it is longer."""
    data, gap = text.encode("utf-8", "replace"), "\n[…]\n"
    if len(data) <= size:
        return text
    half = max(0, (size - len(gap.encode())) // 2)
    return data[:half].decode("utf-8", "ignore") + gap + data[len(data) - half :].decode("utf-8", "ignore")
