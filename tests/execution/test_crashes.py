"""Crash reports in logs."""

from __future__ import annotations

from standpipe.execution.crashes import find_crash

LOG = """printed
Fatal Python error: Segmentation fault

Thread 0x01 [worker] (most recent call first):
  File "/usr/lib/python3.14/threading.py", line 5 in run

Current thread 0x02 (most recent call first):
  File "/home/user/train.py", line 3 in train
  File "/standpipe/worker/executor.py", line 55 in execute
  File "/site-packages/standpipe/worker/boot.py", line 4 in <module>
  File "/site-packages/kfp/dsl/executor.py", line 55 in execute

Current thread's C stack trace (most recent call first):
  Binary file "/lib/libc.so.6", at +0x45330

Extension modules: numpy._core (total: 1)
"""


def test_a_report_has_the_frames_of_the_user_and_of_libraries() -> None:
    assert find_crash(LOG).splitlines() == [
        "Fatal Python error: Segmentation fault",
        "",
        "Thread 0x01 [worker] (most recent call first):",
        '  File "/usr/lib/python3.14/threading.py", line 5 in run',
        "",
        "Current thread 0x02 (most recent call first):",
        '  File "/home/user/train.py", line 3 in train',
    ]


def test_the_last_report_counts() -> None:
    assert find_crash(f"Fatal Python error: Aborted\n{LOG}") == find_crash(LOG)


def test_a_log_without_a_report() -> None:
    assert find_crash("printed\nfatal error\n") == ""
