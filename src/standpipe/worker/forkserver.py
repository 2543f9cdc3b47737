"""A process in a task's Python that forks for each task, so that none pays for the start of an interpreter.

Over its control socket it gets one message for each task: four bytes of length with two file descriptors (where to
reply, and where what the task prints goes), then JSON with `request`, `cwd`, of the environment what to `set` and what
to `unset`, for a task with volumes `mounts` and `keep` as `mounts.enter` takes them, and for one with limits `limits`
as `limits.enter` does. On the reply socket there come lines of JSON: from the task `{"pid": …}` once it is a process
group of its own, `{"grouped": …}`, whether a control group limits it, and `{"code": …}`, its exit code, as the last
thing that it does; from the server `{"status": …}`, the wait status, once it has ended, in whatever way; or
`{"problem": …}` if it could not be started. With the code and the status comes what it used (`usage.of`). That the task
itself tells its code saves whoever waits the time that the system takes to clear up after a process.

It has one thread, it knows nothing of what tasks are, and when the control socket closes it takes its tasks along, and
with them the folders that they worked in, as whoever should remove those may be dead.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import select
import signal
import socket
import sys
import threading
import time
import traceback
from contextlib import suppress
from functools import cached_property
from typing import Any, Dict, List, Optional, Set, Tuple

from . import orphans, usage
from .task import Request, prepare, rehearse, run, use_utf8


class _Order:
    """What one task is to be: the message, where to reply, and where what it prints goes."""

    def __init__(self, body: bytes, reply: socket.socket, log: int) -> None:
        self.body = body
        self.reply = reply
        self.log = log

    @cached_property
    def message(self) -> Dict[str, Any]:
        message: Dict[str, Any] = json.loads(self.body)
        return message


def serve(control_fd: int) -> int:
    """Serves the socket with that descriptor until its other end closes."""
    server = ForkServer(socket.socket(fileno=control_fd), adopts=orphans.adopt())
    use_utf8()
    with suppress(Exception):  # only ahead of time: if the SDK in this environment is broken, the tasks will say so
        rehearse()
    gc.collect()
    gc.freeze()  # what is here now is shared by all tasks: their collectors must not touch, and so copy, it
    server.serve()
    return 0


class ForkServer:
    """The tasks of one environment: forked, waited for, and reported.

    While there is nothing else to do a spare is made: a process that has already touched what every task touches, and
    so copied its pages from the server, and that waits for its task. It spares the next task two thirds of its time.
    """

    def __init__(self, control: socket.socket, *, adopts: bool = False) -> None:
        self._control = control
        self._adopts = adopts
        self._wake, self._waker = socket.socketpair()
        self._waker.setblocking(False)
        self._replies: Dict[int, socket.socket] = {}
        self._folders: Dict[int, str] = {}
        self._spare: Optional[Tuple[int, socket.socket]] = None
        self._wants_spare = True

    def serve(self) -> None:
        """Starts tasks as they are asked for, until nobody can ask any more."""
        signal.signal(signal.SIGCHLD, _nothing)
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        while True:
            ready, _, _ = select.select([self._control, self._wake], [], [], 0 if self._wants_spare else None)
            if self._wake in ready:
                self._wake.recv(4096)
                self._reap()
            if self._control in ready:
                order = _receive(self._control)
                if order is None:
                    break
                self._start(order)
            elif not ready:
                self._make_spare()
        self._end()

    def close(self) -> None:
        """Gives up what it holds; for whoever goes on to live after it."""
        for held in (self._control, self._wake, self._waker, *self._replies.values()):
            held.close()

    def _start(self, order: _Order) -> None:
        try:
            pid = self._hand_over(order) or self._fork(order)
        except OSError as error:
            _tell(order.reply, problem=f"no process could be started: {error.strerror}")
            order.reply.close()
        else:
            self._replies[pid] = order.reply
            self._folders[pid] = order.message["cwd"]
        os.close(order.log)
        self._wants_spare = True

    def _hand_over(self, order: _Order) -> Optional[int]:
        """Gives the order to the spare; returns its process id, or None if there is no spare."""
        if self._spare is None:
            return None
        (pid, orders), self._spare = self._spare, None
        with orders, suppress(BrokenPipeError, ConnectionResetError):
            _send(orders, order)
            return pid
        return None

    def _fork(self, order: _Order) -> int:
        request = prepare(order.message["request"])
        pid = os.fork()
        if pid == 0:
            try:
                _leave(self)
                _become_task(order, request)
            finally:
                os._exit(70)  # a defect of ours
        return pid

    def _make_spare(self) -> None:
        self._wants_spare = False
        ours, theirs = socket.socketpair()
        try:
            pid = os.fork()
        except OSError:
            ours.close()  # the next task is forked when it comes, and tells if that fails again
        else:
            if pid == 0:
                ours.close()
                _be_spare(self, theirs)
            self._spare = pid, ours
        theirs.close()

    def _reap(self) -> None:
        """Reports the tasks that have ended, and ends what they left running."""
        with suppress(ChildProcessError):  # there is none left
            while True:
                pid, status, used = os.wait4(-1, os.WNOHANG)
                if pid == 0:
                    break
                _kill_group(pid)  # whatever is left in the group keeps its number from being used again
                self._forget(pid, status, used)
        self._kill_orphans()

    def _forget(self, pid: int, status: int, used: Any) -> None:
        self._folders.pop(pid, None)
        if self._spare and pid == self._spare[0]:
            self._spare[1].close()
            self._spare = None
        elif pid in self._replies:
            with self._replies.pop(pid) as reply:
                _tell(reply, status=status, **usage.of(used))

    def _kill_orphans(self) -> None:
        """Ends the children that the server did not make: whose they were has ended, or they would not be here."""
        if self._adopts:
            for pid in set(orphans.children()) - self._own():
                with suppress(PermissionError):  # it runs as another user by now
                    os.kill(pid, signal.SIGKILL)

    def _own(self) -> Set[int]:
        return {*self._replies, *([self._spare[0]] if self._spare else [])}

    def _end(self) -> None:
        """Ends everything."""
        folders = list(self._folders.values())
        if self._spare:
            self._spare[1].close()  # which it takes for its end
        for pid in self._replies:
            os.kill(pid, signal.SIGKILL)  # it may not have made its group yet
            _kill_group(pid)
        for pid in self._own():
            self._forget(*os.wait4(pid, 0))
        if self._adopts:
            orphans.end()
        if folders:
            import shutil  # costs 5 ms, and only a program that was killed has left any

            for folder in folders:
                shutil.rmtree(folder, ignore_errors=True)


def _be_spare(server: ForkServer, orders: socket.socket) -> None:
    """The life of a spare: it gets ready, and waits for what it is to do. Does not return."""
    try:
        _leave(server)
        with suppress(Exception):  # as in `serve`: a task will say what is broken
            rehearse()
        order = _receive(orders)
        orders.close()
        if order is not None:
            _become_task(order, None)
    finally:
        os._exit(0)  # nobody needs it any more


def _leave(server: ForkServer) -> None:
    """Makes a forked process one of its own, with none of what the server holds."""
    os.setsid()
    orphans.adopt()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    server.close()


def _become_task(order: _Order, request: Optional[Request]) -> None:
    """The life of a task's process; does not return."""
    code = 70  # a defect of ours, unless something better is known
    try:
        _tell(order.reply, pid=os.getpid())
        os.register_at_fork(after_in_child=order.reply.close)  # it is ours alone to speak for the task
        _redirect(order.log)
        message = order.message
        if message.get("limits"):
            _limit(order.reply, message["limits"])
        if message.get("mounts") and not _mount(order.reply, message):
            return
        _move(message["cwd"], message["set"], message["unset"])
        code = run(message["request"], request)
        _finish()
        orphans.end()  # as long as this process lives, whoever kills it finds them, even if the server has died
        _tell(order.reply, code=code, **usage.used())
    except BaseException:  # noqa: BLE001  the outermost edge of this process
        traceback.print_exc()
        code = code or 1
    finally:
        os._exit(code)


def _receive(orders: socket.socket) -> Optional[_Order]:
    """The next order from a socket, or None if there will be none."""
    head, fds, _, _ = socket.recv_fds(orders, 4, 2)
    body = _exactly(orders, int.from_bytes(head, "big")) if len(head) == 4 else b""
    return _Order(body, socket.socket(fileno=fds[0]), fds[1]) if body else None


def _exactly(orders: socket.socket, size: int) -> bytes:
    received: List[bytes] = []
    while size:
        part = orders.recv(size)
        if not part:
            return b""
        received.append(part)
        size -= len(part)
    return b"".join(received)


def _send(orders: socket.socket, order: _Order) -> None:
    socket.send_fds(orders, [len(order.body).to_bytes(4, "big")], [order.reply.fileno(), order.log])
    orders.sendall(order.body)


def _nothing(signum: int, frame: object) -> None:
    """A handler must exist for the signal to wake `select`."""


def _tell(reply: socket.socket, **message: Any) -> None:
    with suppress(BrokenPipeError, ConnectionResetError):  # whoever asked has gone: there is nobody to tell
        reply.sendall(json.dumps(message).encode() + b"\n")


def _kill_group(pid: int) -> None:
    with suppress(ProcessLookupError, PermissionError):  # empty, or (on macOS) with only processes that have ended
        os.killpg(pid, signal.SIGKILL)


def _redirect(log: int) -> None:
    """Points the standard streams to nothing and to the log, for this process and for all that it starts."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.close(nothing)
    os.close(log)


def _move(cwd: str, changed: Dict[str, str], removed: List[str]) -> None:
    os.chdir(cwd)
    for name in removed:
        os.environ.pop(name, None)
    os.environ.update(changed)
    if "TZ" in changed or "TZ" in removed:
        time.tzset()
    sys.path.insert(0, cwd)  # as `python -m` does, which is how KFP starts its executor


def _limit(reply: socket.socket, wanted: Dict[str, Any]) -> None:
    from . import limits  # few tasks have any

    _tell(reply, grouped=limits.enter(wanted))


def _mount(reply: socket.socket, message: Dict[str, Any]) -> bool:
    from . import mounts  # few tasks have any

    try:
        mounts.enter(message["mounts"], message["keep"], message["cwd"])
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        _tell(
            reply,
            problem=f"its volumes could not be mounted: {error.strerror}{where}. A process needs a Linux that lets it "
            "have a mount namespace of its own; local.DockerRunner() needs none",
        )
        return False
    return True


def _finish() -> None:
    """What an interpreter does at its end, as far as the user's code can tell."""
    threading._shutdown()  # type: ignore[attr-defined] # waits for threads; there is no public name for it
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
