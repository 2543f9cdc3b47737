"""Fork many times while pipelines run in other threads, and check what the children have.

    python -m tests.forks.stress ROOT FORKS

A thread opens and closes files and pipes of its own all the time, so that numbers of descriptors are reused at once.
Each child checks that it has all of them, and none of Standpipe's. Some children live long, some run a pipeline.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import threading
import time
import traceback
import warnings
from pathlib import Path
from typing import NoReturn

from standpipe import local
from standpipe.store.locks import is_active
from tests.forks.pipelines import run

LONG_LIVED = 5
PIPELINES_IN_CHILDREN = 6


class Files:
    """Files and pipes of the user's, which a thread opens and closes as fast as it can."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.opened: dict[int, tuple[int, int]] = {}
        self.inherited = os.listdir("/proc/self/fd")

    def churn(self, ended: threading.Event) -> None:
        while not ended.is_set():
            with self.lock:
                for number in (*os.pipe(), os.open(__file__, os.O_RDONLY)):
                    status = os.fstat(number)
                    self.opened[number] = status.st_dev, status.st_ino
                for number in list(self.opened)[:-30]:
                    del self.opened[number]
                    os.close(number)
            time.sleep(0.0002)  # the thread that forks needs the lock, too

    def check(self) -> None:
        """Check in a child that it has these files, and nothing of Standpipe that is shared with the parent."""
        for number, identity in self.opened.items():
            status = os.fstat(number)
            assert (status.st_dev, status.st_ino) == identity, f"{number} is another file"
        for name in os.listdir("/proc/self/fd"):
            number = int(name)
            if name not in self.inherited and number not in self.opened:
                target = os.readlink(f"/proc/self/fd/{name}") if os.path.exists(f"/proc/self/fd/{name}") else ""
                assert not target.startswith(("socket:", "pipe:")), f"{name} is {target}"
                assert not target.endswith((".running", ".running (deleted)", ".lock", ".sqlite")), target


def become_child(root: str, number: int, files: Files) -> NoReturn:
    code = 1
    try:
        faulthandler.register(signal.SIGALRM, chain=True)  # shows where it hangs
        signal.alarm(60)
        files.check()
        if number % 100 == 7 and number < 100 * PIPELINES_IN_CHILDREN:
            run(f"{root}-{number}", number)
        if number < LONG_LIVED:
            time.sleep(50)
        code = 0
    except Exception:  # noqa: BLE001 - the outermost edge of this process
        traceback.print_exc()
    finally:
        os._exit(code)


def main(root: str, forks: int) -> None:
    warnings.simplefilter("ignore", DeprecationWarning)  # that a process with threads should not fork
    ended, files = threading.Event(), Files()
    errors: list[Exception] = []
    runs: list[int] = []
    Path(root).mkdir()

    def repeat_runs() -> None:
        try:
            while not ended.is_set():
                run(root, len(runs))
                runs.append(1)
        except Exception as error:
            errors.append(error)
            raise

    def look() -> None:
        while not ended.is_set():
            assert all(run.status for run in local.runs(root)[:3])
            for path in list(Path(root).iterdir())[:5]:
                is_active(path)

    threads = [threading.Thread(target=target) for target in (repeat_runs, repeat_runs, look)]
    threads.append(threading.Thread(target=files.churn, args=(ended,)))
    for thread in threads:
        thread.start()
    children, failed = [], 0
    for number in range(forks):
        with files.lock:
            pid = os.fork()
        if pid == 0:
            become_child(root, number, files)
        if number < LONG_LIVED:
            children.append(pid)
        else:
            failed += os.waitpid(pid, 0)[1] != 0
    count = len(runs)
    ended.set()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert not errors
    assert not failed, f"{failed} children failed"
    assert count > 3, "pipelines were running"
    assert not any(is_active(path) for path in Path(root).iterdir() if path.is_dir())
    kill_a_server(children)
    run(root, 0)
    for pid in children:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    print(forks, "forks during", count, "runs")


def kill_a_server(children: list[int]) -> None:
    """Kill the fork servers: the children, which live on, must not make this process wait for them."""
    for pid in map(int, Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()):
        if pid not in children:
            os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
