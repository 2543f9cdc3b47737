"""The guard that keeps the code of this process off the network while a test runs."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import ip_address
from typing import Any
from unittest.mock import patch

from standpipe.errors import StandpipeError

#: The methods of a socket that reach another machine. The address is their last argument.
_METHODS = ("connect", "connect_ex", "sendto")

#: The functions that ask for the address of another machine. Its name is their first argument.
_LOOKUPS = ("getaddrinfo", "gethostbyname", "gethostbyname_ex")

_INTERNET = (socket.AF_INET, socket.AF_INET6)


class NetworkBlocked(StandpipeError, RuntimeError):
    """Code of a test uses the network. It is not an OSError, as code that handles those would hide it."""


@contextmanager
def block_network() -> Iterator[None]:
    """Raise `NetworkBlocked` during the block, where Python code of this process connects to another machine.

    Connections within this machine are not blocked; nor are child processes, and C code with sockets of its own.
    """
    with ExitStack() as stack:
        for name in _METHODS:
            stack.enter_context(patch.object(socket.socket, name, _guarded_method(getattr(socket.socket, name))))
        for name in _LOOKUPS:
            stack.enter_context(patch.object(socket, name, _guarded_lookup(getattr(socket, name))))
        yield


def _guarded_method(method: Callable[..., Any]) -> Callable[..., Any]:
    def call(self: socket.socket, *arguments: Any) -> Any:
        if self.family in _INTERNET:
            host, port = arguments[-1][:2]
            _check_host(host, f"{host}:{port}")
        return method(self, *arguments)

    return call


def _guarded_lookup(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(host: Any, *arguments: Any, **options: Any) -> Any:
        if not _is_address(host):  # to parse one needs no network
            _check_host(host, host)
        return function(host, *arguments, **options)

    return call


def _check_host(host: Any, shown: Any) -> None:
    if not _is_here(host):
        raise NetworkBlocked(
            f"The network is blocked in this test, and its code connects to {shown}. Replace the task with a fake, or "
            "allow the network: @pytest.mark.standpipe(network=True)."
        )


def _is_here(host: Any) -> bool:
    """Return whether a host is this machine."""
    name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
    if name in (None, "", "localhost", socket.gethostname()):
        return True
    if not _is_address(name):
        return False
    address = ip_address(name.partition("%")[0])
    return address.is_loopback or address.is_unspecified


def _is_address(host: Any) -> bool:
    try:
        ip_address(str(host).partition("%")[0])
    except ValueError:
        return False
    return True
