"""The lower bound of this machine: a fork server that does only what every task needs.

    python fork_server.py TASKS FOLDER

A server in a Python of its own forks for each task; the task is in a session of its own, its log goes to a file that
the client opened, and its result comes back in a JSON file. Prints the seconds that the tasks took, one after
another.
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
    """Fork for each request, and answer with the exit code, until the client closes the connection."""
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
    """Run the task."""
    os.setsid()
    os.dup2(log, 1)
    os.dup2(log, 2)
    Path(str(request["result"])).write_text(json.dumps({"Output": int(request["x"]) + 1}))


def chain(connection: socket.socket, tasks: int, folder: Path) -> None:
    """Run tasks one after another, each with the result of the previous one."""
    value = 0
    for number in range(tasks):
        task_folder = folder / str(number)
        task_folder.mkdir()
        with open(task_folder / "log.txt", "wb") as log:
            request = json.dumps({"x": value, "result": str(task_folder / "result.json")}).encode()
            socket.send_fds(connection, [request], [log.fileno()])
        assert connection.recv(1) == b"\0"
        value = json.loads((task_folder / "result.json").read_text())["Output"]
    assert value == tasks


def main(tasks: int, folder: Path) -> None:
    """Measure the chain, after one task that waits until the server has started."""
    client, server = socket.socketpair()
    command = [sys.executable, "-I", __file__, "serve", str(server.fileno())]
    with subprocess.Popen(command, pass_fds=[server.fileno()]), client:
        server.close()
        (folder / "warm").mkdir()
        chain(client, 1, folder / "warm")
        (folder / "timed").mkdir()
        start = time.perf_counter()
        chain(client, tasks, folder / "timed")
        print(time.perf_counter() - start)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(socket.socket(fileno=int(sys.argv[2])))
    else:
        main(int(sys.argv[1]), Path(sys.argv[2]))
