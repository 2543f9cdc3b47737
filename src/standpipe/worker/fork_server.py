"""The fork server: a process in a task's Python that forks for each task, which saves the start of an interpreter.

An order for a task comes over the control socket: four bytes of length, with two file descriptors (the reply socket,
and the pipe for what the task prints), then JSON with

* `request` and `cwd`, paths;
* `set` and `unset`, changes of the environment variables;
* `umask`, the permissions that files of the task do not get;
* `mounts` and `keep`, as `mounts.enter` takes them, for a task with volumes;
* `limits`, as `limits.enter` takes them, for a task with limits;
* `learn`, whether the task reports what it imports; `program`, a number that is the same for the same program.

The reply socket gets lines of JSON. From the task: `{"pid": …}` once it is a process group of its own,
`{"grouped": …}`, whether a control group limits it, `{"learned": …}`, what it has imported
(`ImportObserver.report`), if it succeeded, and `{"code": …}`, its exit code, as its last act, unless its interpreter
has to finalize (`teardown`). From the server: `{"status": …}`, the wait status, once the task has ended, in
whatever way, or `{"problem": …}` if it could not be started. Usage comes with the code and the status
(`usage.from_rusage`). Because most tasks report their code, the other side need not wait until the system has cleaned
up the process.

A server with a template (`template.py`) imports packages before it serves, and says on the control socket in one line
of JSON how that ended: `{"cpu_seconds": …, "printing": …}`, or `{"refused": …}`, a sentence, upon which it ends.

The server has one thread and knows nothing of what tasks do. When the control socket closes, it kills its tasks, and
removes their working directories, as the process that should remove those may be dead. If it is, so are the last ones
of earlier tasks removed, which that process may have kept for others. Without tasks it ends after some
time; an order that comes at that moment is lost, and sent to another server, because the reply socket closes.
"""

from __future__ import annotations

import gc
import json
import math
import os
import select
import signal
import socket
import sys
import time
import traceback
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Callable, Deque, Dict, List, NoReturn, Optional, Set, Tuple

from . import orphans, usage
from .learning import ImportObserver
from .orders import Order, forward, is_awaited, receive, send_reply
from .task import Request, prepare, prepare_once, run, use_utf8, warm_up
from .teardown import Teardown

if TYPE_CHECKING:
    from .template import Template

#: The seconds after which the server looks for tasks that have reported their end, and still run.
_CHECK_SECONDS = 1.0

#: The seconds after which a server with a template and without a task looks whether its memory is needed.
_MEMORY_CHECK_SECONDS = 5.0

#: The most working directories of earlier tasks that are remembered: as many as tasks can run at once on most machines.
_MOST_FORMER_FOLDERS = 64


def serve(control_fd: int, idle_seconds: float = math.inf, template: str = "") -> int:
    """Serve the control socket with that descriptor until its other end closes, or no task comes for some seconds.

    `template` has the arguments of `Template` as JSON; it is empty for a server without one.
    """
    control = socket.socket(fileno=control_fd)
    server = ForkServer(control, idle_seconds, adopts=orphans.adopt())
    del sys.argv[1:]
    use_utf8()
    with suppress(Exception):  # if the SDK in this environment is broken, the tasks report that
        warm_up()
    if template and not server.load(json.loads(template)):
        return 0
    Teardown().warm_up()
    gc.collect()
    gc.freeze()  # the objects so far are shared by all tasks, whose collectors must not touch, and so copy, them
    server.serve()
    return 0


class ForkServer:
    """Forks the tasks of one environment, waits for them, and reports their ends.

    While it is idle, it forks a spare: a process that waits for a task, and has already touched, and so copied from the
    server, the memory that every task touches. That saves the next task two thirds of its time.

    Args:
        control: the control socket.
        idle_seconds: for how long it waits for the next task.
        adopts: whether the system gives this process the orphans of its tasks.
    """

    def __init__(self, control: socket.socket, idle_seconds: float = math.inf, *, adopts: bool = False) -> None:
        self._control = control
        self._idle_seconds = idle_seconds
        self._adopts = adopts
        self._idle_until = time.monotonic() + idle_seconds
        self._wake, self._waker = socket.socketpair()
        self._waker.setblocking(False)
        self._replies: Dict[int, socket.socket] = {}
        self._folders: Dict[int, str] = {}
        self._former_folders: Deque[str] = deque(maxlen=_MOST_FORMER_FOLDERS)
        self._program = os.getppid()
        self._spare: Optional[Tuple[int, socket.socket]] = None
        self._wants_spare = True
        self.template: Optional[Template] = None

    def load(self, arguments: Dict[str, Any]) -> bool:
        """Import packages ahead; return whether that is possible, after telling the other side."""
        from .template import NotWarmable, Template  # few servers have one

        try:
            self.template = Template(**arguments)
        except NotWarmable as error:
            send_reply(self._control, refused=str(error))
            return False
        return send_reply(self._control, cpu_seconds=self.template.cpu_seconds, printing=self.template.printing)

    def serve(self) -> None:
        """Start tasks as they are ordered, until the control socket closes, or none was ordered for some time."""
        signal.signal(signal.SIGCHLD, _nothing)
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        while True:
            ready, _, _ = select.select([self._control, self._wake], [], [], self._timeout())
            if self._wake in ready:
                self._wake.recv(4096)
                self._reap()
            if self._control in ready:
                order = receive(self._control)
                if order is None:
                    break
                self._start(order)
            elif not ready and self._wants_spare:
                self._make_spare()
            elif not ready and self._replies:
                self._kill_reported()
            elif not ready and (time.monotonic() >= self._idle_until or self._is_dispensable()):
                break
        self._kill_all()

    def _timeout(self) -> Optional[float]:
        """Return how many seconds to wait for the next event; None if there is no limit."""
        if self._wants_spare:
            return 0
        if self._replies:
            return _CHECK_SECONDS
        left = max(0.0, self._idle_until - time.monotonic())
        if self.template:
            return min(left, _MEMORY_CHECK_SECONDS)
        return None if math.isinf(left) else left

    def _is_dispensable(self) -> bool:
        """Return whether this process, which has no task, holds memory that others need."""
        if not self.template:
            return False
        from .memory_pressure import is_memory_scarce  # of use to servers with a template only

        return is_memory_scarce()

    def close(self) -> None:
        """Close its sockets, in a forked process."""
        for endpoint in (self._control, self._wake, self._waker, *self._replies.values()):
            endpoint.close()

    def _start(self, order: Order) -> None:
        try:
            pid = self._order_from_spare(order) or self._fork(order)
        except OSError as error:
            send_reply(order.reply, problem=f"no process could be started: {error.strerror}", errno=error.errno)
            order.reply.close()
        else:
            self._replies[pid] = order.reply
            self._folders[pid] = order.message["cwd"]
        os.close(order.log)
        self._wants_spare = True

    def _order_from_spare(self, order: Order) -> Optional[int]:
        """Send the order to the spare; return its process id, or None if there is no spare."""
        if self._spare is None:
            return None
        (pid, orders), self._spare = self._spare, None
        with orders, suppress(BrokenPipeError, ConnectionResetError):
            # So that later spares find the program compiled. Before the task starts: it can put a FIFO there.
            prepare_once(order.message["request"], order.message["program"])
            forward(orders, order)
            return pid
        return None

    def _fork(self, order: Order) -> int:
        request = prepare(order.message["request"])
        pid = os.fork()
        if pid == 0:
            if self.template:
                self.template.shelf.renew()
            _become_task(self, lambda: (order, request))
        return pid

    def _make_spare(self) -> None:
        self._wants_spare = False
        ours, theirs = socket.socketpair()
        try:
            pid = os.fork()
        except OSError:
            ours.close()  # the next task is forked when it comes, and reports if that fails again
        else:
            if pid == 0:
                ours.close()
                _become_task(self, lambda: _wait_for_order(theirs, self.template))
            self._spare = pid, ours
        theirs.close()

    def _reap(self) -> None:
        """Report the tasks that have ended, and kill what they left running."""
        with suppress(ChildProcessError):  # there is none left
            while True:
                pid, status, rusage = os.wait4(-1, os.WNOHANG)
                if pid == 0:
                    break
                _kill_group(pid)  # as long as the group has processes, its number is not used again
                self._kill_orphans()
                self._forget(pid, status, rusage)

    def _forget(self, pid: int, status: int, rusage: Any) -> None:
        """Report a task's end, or drop the spare."""
        if pid in self._folders:
            self._former_folders.append(self._folders.pop(pid))
        if self._spare and pid == self._spare[0]:
            self._spare[1].close()
            self._spare = None
        elif pid in self._replies:
            self._idle_until = time.monotonic() + self._idle_seconds
            with self._replies.pop(pid) as reply:
                if is_awaited(reply):  # mostly not, as it has reported its code; an attempt costs an exception
                    send_reply(reply, status=status, **usage.from_rusage(rusage))

    def _kill_reported(self) -> None:
        """Kill the tasks for which nobody waits any more: they have reported their end, and have not ended."""
        for pid, reply in self._replies.items():
            if not is_awaited(reply):
                with suppress(PermissionError):  # it runs as another user by now
                    os.kill(pid, signal.SIGKILL)

    def _kill_orphans(self) -> None:
        """Kill the children that the server did not fork: they are orphans of tasks that have ended."""
        if self._adopts:
            for pid in set(orphans.children()) - self._forked():
                with suppress(PermissionError):  # it runs as another user by now
                    os.kill(pid, signal.SIGKILL)

    def _forked(self) -> Set[int]:
        return {*self._replies, *([self._spare[0]] if self._spare else [])}

    def _kill_all(self) -> None:
        """Kill all tasks and the spare, and remove their working directories."""
        folders = list(self._folders.values())
        if self._spare:
            self._spare[1].close()  # upon which it exits
        for pid in self._replies:
            os.kill(pid, signal.SIGKILL)  # it may not lead its group yet
            _kill_group(pid)
        for pid in self._forked():
            self._forget(*os.wait4(pid, 0))
        if self._adopts:
            orphans.kill_children()
        if os.getppid() != self._program or _is_ending(self._program):  # no other server needs them, either
            for folder in set(self._former_folders):
                with suppress(OSError):  # it was removed, or is not empty
                    os.rmdir(folder)
        if folders:
            import shutil  # costs 5 ms, and only needed after the program was killed

            for folder in folders:
                with suppress(RecursionError):  # a task has nested folders deeper than Python can descend
                    shutil.rmtree(folder, ignore_errors=True)


def _is_ending(pid: int) -> bool:
    """Return whether a process ends: its sockets are closed before its children get another parent."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        return bool(int(fields[6]) & 0x4)  # PF_EXITING of Linux
    except (OSError, IndexError, ValueError):
        return False  # it has ended, or the system has no such file


def _become_task(server: ForkServer, wait: Callable[[], Tuple[Order, Optional[Request]]]) -> NoReturn:
    """Run a task in this forked process, and end it.

    Raises:
        SystemExit: to leave the server's loop, and end as an interpreter does.
    """
    code = 70  # a bug of the worker, unless another code is known
    try:
        _detach(server)
        code = _run_task(*wait(), server.template)
    except BaseException:  # noqa: BLE001  the outermost edge of this process
        traceback.print_exc()
    raise SystemExit(code)


def _wait_for_order(orders: socket.socket, template: Optional[Template]) -> Tuple[Order, None]:
    """Warm up while there is no order to the spare, and wait for it; exit if there is none."""
    if template:
        template.shelf.renew()
    if not select.select([orders], [], [], 0)[0]:
        with suppress(Exception):  # as in `serve`
            warm_up()
        Teardown(template.shelf if template else None).warm_up()
        if template:
            template.shelf.touch()
    with orders:
        order = receive(orders)
    if order is None:
        os._exit(0)  # it is not needed any more
    return order, None


def _detach(server: ForkServer) -> None:
    """Detach a forked process from the server: a session of its own, default signal handlers, no shared sockets."""
    os.setsid()
    orphans.adopt()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # Ray, for one, blocks SIGINT in all that it starts
    server.close()


def _run_task(order: Order, request: Optional[Request], template: Optional[Template]) -> int:
    """Run a task in this process; return its exit code if the interpreter has to finalize, or else exit with it."""
    if not send_reply(order.reply, pid=os.getpid()):
        return 70  # it was cancelled before it started
    os.register_at_fork(after_in_child=order.reply.close)  # only this process may report for the task
    _redirect(order.log)
    message = order.message
    os.umask(message["umask"])
    if message.get("limits"):
        _limit(order.reply, message["limits"])
    if message.get("mounts") and not _mount(order.reply, message):
        return 70
    _enter(message["cwd"], message["set"], message["unset"])
    observer = ImportObserver(template.shelf if template else None) if template or message.get("learn") else None
    if observer:
        observer.install()
    teardown = Teardown(template.shelf, is_measured=template.is_measured) if template else Teardown()
    code = run(message["request"], request)
    if observer and code == 0:
        _report(order.reply, observer)
    is_complete = teardown.run()
    orphans.kill_children()  # before the end: later, nobody could find them if the server has died
    if not is_complete:
        return code  # which the server reports
    try:
        send_reply(order.reply, code=code, **usage.current())
    except OSError:  # the user's code has closed all descriptors, as programs do that become daemons
        return code
    os._exit(code)


def _nothing(signum: int, frame: object) -> None:
    """Do nothing: a handler must exist for the signal to wake `select`."""


def _kill_group(pid: int) -> None:
    with suppress(ProcessLookupError, PermissionError):  # empty, or (on macOS) with zombies only
        os.killpg(pid, signal.SIGKILL)


def _redirect(log: int) -> None:
    """Redirect the standard streams to `/dev/null` and to the log, for this process and its children."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.close(nothing)
    os.close(log)


def _enter(cwd: str, changed: Dict[str, str], removed: List[str]) -> None:
    os.chdir(cwd)
    for name in removed:
        os.environ.pop(name, None)
    os.environ.update(changed)
    if "TZ" in changed or "TZ" in removed:
        time.tzset()
    sys.path.insert(0, cwd)  # as `python -m` does, with which KFP starts its executor


def _report(reply: socket.socket, observer: ImportObserver) -> None:
    """Report what a task has imported, if it has not closed all descriptors."""
    with suppress(OSError):
        send_reply(reply, learned=observer.report())


def _limit(reply: socket.socket, order: Dict[str, Any]) -> None:
    from . import limits  # few tasks have any

    send_reply(reply, grouped=limits.enter(order))


def _mount(reply: socket.socket, message: Dict[str, Any]) -> bool:
    from . import mounts  # few tasks have any

    try:
        mounts.enter(message["mounts"], message["keep"], message["cwd"])
    except mounts.MountsRefused as error:
        advice = "Use local.DockerRunner(), or a Linux system that allows this user to create mount namespaces"
        send_reply(reply, problem=f"its volumes could not be mounted: {error.strerror}. {advice}")
        return False
    except OSError as error:
        where = f" at {error.filename}" if error.filename else ""
        paths = ", ".join(path for _, path, _ in message["mounts"])
        send_reply(
            reply,
            problem=f"its volumes could not be mounted: {error.strerror}{where}. It mounts folders at {paths}: mount "
            "them at paths that do not exist yet, or that are folders",
        )
        return False
    return True
