"""The notices of our containers."""

from __future__ import annotations

from standpipe.runners.kubernetes.pod_logs import _NoticeLog


def test_notices_are_passed_on_and_nothing_else() -> None:
    told: list[str] = []
    log = _NoticeLog(told.append)

    for data in (b"pip: warning\nstandpipe: down", b"loading\n", b"standpipe: \xff\n", b"standpipe: no end"):
        log.write(data)

    assert told == ["downloading", "\ufffd"]
