"""`standpipe ui` in a process of its own, and a client of its pages."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

#: The command of the environment whose Python runs this.
STANDPIPE = str(Path(sys.executable).parent / "standpipe")


class Server(NamedTuple):
    """A server: the address that it printed, which has the token; its host with the port, and its process id."""

    address: str
    host: str
    pid: int
    cookie: str

    def get(self, path: str) -> bytes:
        """Return a page.

        Raises:
            ValueError: if the server answers with anything else.
        """
        with contextlib.closing(HTTPConnection(self.host)) as connection:
            connection.request("GET", path, headers={"Cookie": self.cookie})
            response = connection.getresponse()
            content = response.read()
        if response.status != 200:
            raise ValueError(f"{path}: {response.status} {content[:500]!r}")
        return content

    def time(self, path: str) -> float:
        """Return the seconds until a page has arrived."""
        start = time.perf_counter()
        self.get(path)
        return time.perf_counter() - start


@contextlib.contextmanager
def serve(root: Path) -> Iterator[Server]:
    """Start a server for a pipeline root, and stop it when the block ends."""
    command = [STANDPIPE, "ui", "--no-browser", "--root", str(root)]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        address = next(line.strip() for line in process.stdout if line.strip().startswith("http://"))
        host = urlsplit(address).netloc
        yield Server(address, host, process.pid, log_in(address))
    finally:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=10)
        process.kill()
        process.communicate()


def log_in(address: str) -> str:
    """Open the address with the token, and return the cookie that the server sets."""
    parts = urlsplit(address)
    with contextlib.closing(HTTPConnection(parts.netloc)) as connection:
        connection.request("GET", f"{parts.path}?{parts.query}")
        response = connection.getresponse()
        response.read()
        return (response.getheader("Set-Cookie") or "").partition(";")[0]
