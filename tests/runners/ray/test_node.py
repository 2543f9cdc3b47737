"""What a node sends to the program, without Ray."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from standpipe.runners.ray import node
from standpipe.support import notices


@pytest.fixture
def outbox() -> Iterator[node.Outbox]:
    logger = logging.getLogger("standpipe")
    level = logger.level
    outbox = node.Outbox(exchange=None, attempt="1")
    node._send_notices(outbox)
    yield outbox
    node._notices.outbox = None
    logger.removeHandler(node._notices)
    logger.setLevel(level)


def test_notices_of_all_that_runs_on_a_node_are_sent_in_their_order(outbox: node.Outbox) -> None:
    notices.warn("Nothing is at s3://data/x.")
    notices.inform("Building an environment.")
    outbox.write(b"of the task")
    assert outbox._take() == [
        ("1", "warn", b"Nothing is at s3://data/x."),
        ("1", "inform", b"Building an environment."),
        ("1", "log", b"of the task"),
    ]
