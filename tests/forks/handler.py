"""Run pipelines in the main thread, while a signal handler forks children that leave as the argument says.

    python -m tests.forks.handler ROOT SECONDS WAY

`WAY` is `exit`: the child raises SystemExit, and so leaves everything that the main thread was in the middle of; or
`logging`: it logs, and ends. The first is for trials by hand only: Python itself may ignore the exception, where it
interrupts a finalizer for instance, and then the child continues.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
import sys
import time
import warnings
from concurrent.futures import thread
from pathlib import Path

from standpipe import local
from standpipe.store.locks import is_active
from tests.forks.pipelines import run

children: list[int] = []


def main(root: str, seconds: float, way: str) -> None:
    warnings.simplefilter("ignore", DeprecationWarning)  # that a process with threads should not fork
    logging.basicConfig(level=logging.INFO, filename=os.devnull)

    def fork(number: int, frame: object) -> None:
        # `submit` of a pool, in this very thread perhaps, holds the lock: then a fork would wait forever (CPython).
        pid = -1 if thread._global_shutdown_lock.locked() else os.fork()
        if pid:
            children.extend([pid] * (pid > 0))
            signal.setitimer(signal.ITIMER_REAL, 0.03)
            return
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        faulthandler.register(signal.SIGALRM, chain=True)  # shows where it hangs
        signal.alarm(60)
        logging.getLogger("standpipe").info("a child")
        if way == "exit":
            sys.exit(0)
        os._exit(0)

    parent = os.getpid()
    signal.signal(signal.SIGALRM, fork)
    signal.setitimer(signal.ITIMER_REAL, 0.03)
    runs, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        run(root, runs, enable_caching=False)
        assert os.getpid() == parent, "a child takes no part in a run"
        runs += 1
    signal.setitimer(signal.ITIMER_REAL, 0)
    failed = [pid for pid in children if os.waitpid(pid, 0)[1]]
    assert not failed, f"{len(failed)} of {len(children)} children failed"
    assert all(each.status.value == "SUCCEEDED" for each in local.runs(root))
    assert len(local.runs(root)) == runs
    assert not any(is_active(path) for path in Path(root).iterdir() if path.is_dir())
    print(len(children), "forks during", runs, "runs")


if __name__ == "__main__":
    try:
        main(sys.argv[1], float(sys.argv[2]), sys.argv[3])
    except SystemExit:
        os._exit(0)  # the end of an interpreter that was forked from one with threads may hang (CPython)
