"""The real server, in a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit


class Server:
    """`standpipe ui` for a pipeline root. `address` is what it prints, `base` the address without path and token."""

    def __init__(self, root: Path, *arguments: str) -> None:
        self.root = root
        command = [sys.executable, "-m", "standpipe", "ui", "--no-browser", "--root", str(root), *arguments]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        lines = map(str.strip, self._process.stdout)
        self.address = next((line for line in lines if line.startswith("http://")), "")
        assert self.address, "standpipe ui printed no address"
        self.base = "http://" + urlsplit(self.address).netloc

    @property
    def port(self) -> str:
        """Its port."""
        return self.base.rpartition(":")[2]

    def stop(self) -> int:
        """Stop it as Ctrl-C does, and return its exit code."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        try:
            return self._process.wait(timeout=20)
        finally:
            self._process.kill()
            assert self._process.stdout is not None
            self._process.stdout.close()
