"""The floor of the machine: a fork server with nothing in it but what a task cannot do without.

    python fork_server.py TASKS FOLDER

A server in a Python of its own forks for each task; the task is in a session of its own, its log goes to a file that
the client opened, and its result comes back in a JSON file. Prints the seconds that the tasks took, one after another.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path


def serve(connection: socket.socket) -> None:
    """Forks for each request, and answers with the exit code, until the client hangs up."""
    while True:
        message, descriptors, _, _ = socket.recv_fds(connection, 65536, 1)
        if not message:
            return
        process = os.fork()
        if process == 0:
            run(json.loads(message), descriptors[0])
            os._exit(0)
        os.close(descriptors[0])
        _, status = os.waitpid(process, 0)
        connection.send(bytes([os.waitstatus_to_exitcode(status)]))


def run(request: dict[str, int | str], log: int) -> None:
    """The task."""
    os.setsid()
    os.dup2(log, 1)
    os.dup2(log, 2)
    Path(str(request["result"])).write_text(json.dumps({"Output": int(request["x"]) + 1}))


def chain(connection: socket.socket, tasks: int, folder: Path) -> None:
    """Runs tasks one after another, each with the result of the one before."""
    value = 0
    for number in range(tasks):
        own = folder / str(number)
        own.mkdir()
        with open(own / "log.txt", "wb") as log:
            request = json.dumps({"x": value, "result": str(own / "result.json")}).encode()
            socket.send_fds(connection, [request], [log.fileno()])
        assert connection.recv(1) == b"\0"
        value = json.loads((own / "result.json").read_text())["Output"]
    assert value == tasks


def main(tasks: int, folder: Path) -> None:
    """Times the chain, after a task that sees the server started."""
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-I", __file__, "serve", str(theirs.fileno())]
    with subprocess.Popen(command, pass_fds=[theirs.fileno()]), ours:
        theirs.close()
        (folder / "warm").mkdir()
        chain(ours, 1, folder / "warm")
        (folder / "timed").mkdir()
        start = time.perf_counter()
        chain(ours, tasks, folder / "timed")
        print(time.perf_counter() - start)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(socket.socket(fileno=int(sys.argv[2])))
    else:
        main(int(sys.argv[1]), Path(sys.argv[2]))
