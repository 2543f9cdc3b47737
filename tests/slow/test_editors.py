"""`standpipe rerun --debug=PORT`, with an editor that speaks the Debug Adapter Protocol."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from standpipe.cli.main import main
from standpipe.runners import attaching

pytest.importorskip("debugpy")

SCRIPT = """
import sys
from standpipe import dsl, local

def increase(total: int, number: int) -> int:
    raised = total + number
    return raised

@dsl.component(additional_funcs=[increase])
def train(n: int) -> int:
    total = 0
    for number in range(n):
        total = increase(total, number)
    print("the total is", total)
    return total

if __name__ == "__main__":
    local.init(runner=local.SubprocessRunner(), pipeline_root=sys.argv[1], quiet=True)
    train(n=3)
"""


class Editor:
    """A client of the Debug Adapter Protocol: messages of JSON after a header with their length."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._file = self._socket.makefile("rb")
        self._sent = 0
        self._waiting: list[dict[str, Any]] = []

    def close(self) -> None:
        self._file.close()
        self._socket.close()

    def send(self, command: str, **arguments: Any) -> int:
        self._sent += 1
        content = {"seq": self._sent, "type": "request", "command": command, "arguments": arguments}
        data = json.dumps(content).encode()
        self._socket.sendall(b"Content-Length: %d\r\n\r\n%s" % (len(data), data))
        return self._sent

    def request(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Send a request, and return the body of its response."""
        return self.response(self.send(command, **arguments))

    def response(self, number: int) -> dict[str, Any]:
        message = self._next(lambda each: each["type"] == "response" and each["request_seq"] == number)
        assert message["success"], message
        body: dict[str, Any] = message.get("body", {})
        return body

    def event(self, name: str) -> dict[str, Any]:
        """Wait for an event, and return its body."""
        body: dict[str, Any] = self._next(lambda each: each["type"] == "event" and each["event"] == name)["body"]
        return body

    def _next(self, is_wanted: Any) -> dict[str, Any]:
        for message in self._waiting:
            if is_wanted(message):
                self._waiting.remove(message)
                return message
        for message in self._read():
            if is_wanted(message):
                return message
            self._waiting.append(message)
        raise AssertionError(f"the debugger has closed the connection; it sent {self._waiting}")

    def _read(self) -> Iterator[dict[str, Any]]:
        while header := self._file.readline():
            while line := self._file.readline().strip():
                header += line
            yield json.loads(self._file.read(int(header.split(b":")[1])))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number


@pytest.mark.parametrize("runner", ["subprocess", "in-process"])
def test_breakpoints_of_an_editor_in_the_users_file_hold(tmp_path: Path, runner: str) -> None:
    script, root, port = tmp_path / "script.py", str(tmp_path / "root"), free_port()
    script.write_text(SCRIPT)
    subprocess.run([sys.executable, str(script), root], check=True)
    rerun = [sys.executable, "-m", "standpipe", "rerun", "latest", "train", f"--debug={port}", "--root", root]
    with subprocess.Popen(
        [*rerun, "--runner", runner], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        shown = ""
        while "Ctrl-C cancels" not in shown:
            line = process.stdout.readline()
            assert line, shown
            shown += line
        with closing(Editor(port)) as editor:
            editor.request("initialize", adapterID="test", pathFormat="path", linesStartAt1=True)
            attached = editor.send("attach", **_snippet(shown))
            editor._next(lambda each: each.get("event") == "initialized")
            source = {"path": str(script)}
            placed = editor.request("setBreakpoints", source=source, breakpoints=[{"line": 7}, {"line": 14}])
            assert [each["verified"] for each in placed["breakpoints"]] == [True, True]
            editor.request("configurationDone")
            editor.response(attached)
            stops = [_stop(editor) for _ in range(4)]
        rest = process.stdout.read()

    assert [frames[0] for frames, _ in stops] == [("increase", str(script), 7)] * 3 + [("train", str(script), 14)]
    assert stops[0][0][1] == ("train", str(script), 13)
    assert [variables.get("raised") for _, variables in stops] == ["0", "1", "3", None]
    assert "the total is 3" in rest
    assert json.loads(rest[rest.index("{") :]) == {"Output": 3}
    assert process.returncode == 0


def _snippet(shown: str) -> dict[str, Any]:
    """Return the configuration for the editor that a task prints while it waits."""
    configuration: dict[str, Any] = json.loads(shown[shown.index("{") : shown.rindex("}") + 1])
    assert (configuration["type"], configuration["request"]) == ("debugpy", "attach")
    return configuration


def _stop(editor: Editor) -> tuple[list[tuple[str, str, int]], dict[str, str]]:
    """Wait until the task has stopped, let it continue, and return where that was, with the local variables."""
    stopped = editor.event("stopped")
    assert stopped["reason"] == "breakpoint"
    frames = editor.request("stackTrace", threadId=stopped["threadId"])["stackFrames"]
    scope = editor.request("scopes", frameId=frames[0]["id"])["scopes"][0]
    variables = editor.request("variables", variablesReference=scope["variablesReference"])["variables"]
    editor.request("continue", threadId=stopped["threadId"])
    named = {each["name"]: each["value"] for each in variables}
    return [(each["name"], each["source"].get("path", ""), each["line"]) for each in frames], named


def test_without_debugpy_the_error_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(attaching, "find_spec", lambda name: None)

    assert main(["rerun", "latest", "train", "--debug=5678", "--root", str(tmp_path)]) == 4
    assert "pip install 'standpipe[debug]'" in capsys.readouterr().err


@pytest.mark.parametrize("port", ["0", "70000"])
def test_a_port_that_does_not_exist_is_an_error(tmp_path: Path, port: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rerun", "latest", "train", f"--debug={port}", "--root", str(tmp_path)]) == 2
    assert "expected True, False, or a port from 1 to 65535" in capsys.readouterr().err


def test_a_port_that_is_in_use_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert main(["rerun", "latest", "train", f"--debug={port}", "--root", str(tmp_path)]) == 5
    assert f"The debugger cannot listen on port {port}: Address already in use" in capsys.readouterr().err
