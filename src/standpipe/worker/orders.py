"""Orders for tasks, which a fork server receives over a socket, and the replies to them; see `fork_server`."""

from __future__ import annotations

import json
import socket
from functools import cached_property
from typing import Any, Dict, List, Optional


class Order:
    """An order for one task: the message, the reply socket, and the descriptor for what the task prints."""

    def __init__(self, body: bytes, reply: socket.socket, log: int) -> None:
        self.body = body
        self.reply = reply
        self.log = log

    @cached_property
    def message(self) -> Dict[str, Any]:
        message: Dict[str, Any] = json.loads(self.body)
        return message


def receive(orders: socket.socket) -> Optional[Order]:
    """Receive the next order from a socket; return None if it was closed."""
    head, fds, _, _ = socket.recv_fds(orders, 4, 2)
    body = _receive_bytes(orders, int.from_bytes(head, "big")) if len(head) == 4 else b""
    return Order(body, socket.socket(fileno=fds[0]), fds[1]) if body else None


def _receive_bytes(orders: socket.socket, size: int) -> bytes:
    received: List[bytes] = []
    while size:
        part = orders.recv(size)
        if not part:
            return b""
        received.append(part)
        size -= len(part)
    return b"".join(received)


def forward(orders: socket.socket, order: Order) -> None:
    """Send an order to another process, mostly as one message, so that this wakes up once."""
    content = len(order.body).to_bytes(4, "big") + order.body
    sent = socket.send_fds(orders, [content], [order.reply.fileno(), order.log])
    if sent < len(content):
        orders.sendall(content[sent:])


def send_reply(reply: socket.socket, **message: Any) -> bool:
    """Send a reply, and return whether the process that ordered the task still waits for it."""
    try:
        reply.sendall(json.dumps(message).encode() + b"\n")
    except (BrokenPipeError, ConnectionResetError):
        return False
    return True


def is_awaited(reply: socket.socket) -> bool:
    """Return whether the process that ordered a task still waits for its end."""
    try:
        return reply.recv(1, socket.MSG_DONTWAIT) != b""
    except BlockingIOError:
        return True  # that process sends nothing
    except ConnectionResetError:
        return False
