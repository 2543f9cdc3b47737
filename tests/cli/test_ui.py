"""`standpipe ui`: its arguments. What the server does is in tests/ui/test_server.py."""

from __future__ import annotations

import socket
import sys
import threading
import webbrowser
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from standpipe.cli.main import main
from standpipe.ui import server


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STANDPIPE_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Return the calls of what serves, which returns at once."""
    calls: list[tuple[Any, ...]] = []
    monkeypatch.setattr(server, "_run", lambda *arguments: calls.append(arguments))
    return calls


def test_a_port_that_is_taken_is_an_error_that_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        assert main(["ui", "--root", str(tmp_path), "--port", str(port), "--no-browser"]) == 2
    error = capsys.readouterr().err
    assert f"--port {port}" in error
    assert "Choose another port" in error


@pytest.mark.parametrize("port", ["-1", "65536", "99999999999999999999"])
def test_a_port_that_does_not_exist_is_an_error(tmp_path: Path, port: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ui", "--root", str(tmp_path), f"--port={port}", "--no-browser"]) == 2
    assert "Choose another port" in capsys.readouterr().err


def test_an_unknown_run_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ui", "nothing", "--root", str(tmp_path), "--no-browser"]) == 2
    assert "There is no run 'nothing'" in capsys.readouterr().err


def test_ctrl_c_before_it_listens_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(server, "serve", interrupt)
    assert main(["ui", "--root", str(tmp_path), "--no-browser"]) == 0


def test_the_help_says_what_users_need(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["ui", "--help"])
    shown = capsys.readouterr().out
    assert "--no-browser" in shown
    assert "7717" in shown
    assert "--inherited" not in shown


def test_the_browser_gets_a_ticket_and_not_the_token(
    tmp_path: Path, served: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(server, "_open_browser", opened.append)
    assert main(["ui", "--root", str(tmp_path)]) == 0
    [(_, ui_server, _, ticket, *_)] = served
    assert opened == [f"http://127.0.0.1:{ui_server.port}/?token={ticket}"]
    assert ticket != ui_server.token
    assert ui_server.address() in capsys.readouterr().out


@pytest.mark.parametrize("variable", ["DISPLAY", "WAYLAND_DISPLAY", "BROWSER"])
def test_a_browser_is_opened_where_there_is_a_display(
    tmp_path: Path, served: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    monkeypatch.setattr(threading.Thread, "start", lambda thread: thread.run())
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    main(["ui", "--root", str(tmp_path)])
    assert opened == [], "it could be a browser in the terminal"
    monkeypatch.setenv(variable, "x")
    main(["ui", "--root", str(tmp_path), "--no-browser"])
    assert opened == []
    main(["ui", "--root", str(tmp_path)])
    assert len(opened) == 1
