"""Control groups, in folders that stand for the kernel's."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from standpipe.model.attempts import Outcome
from standpipe.model.cancellation import Cancellation
from standpipe.model.resources import Limits
from standpipe.runners.process import cgroups
from standpipe.runners.process.cgroups import ControlGroups, Group, Usage
from standpipe.runners.process.limits import Limiter
from tests.runners.bench import Bench, Fixed, Kept, value_in

MIB = 1024**2


class Kernel:
    """A cgroup v2 hierarchy and a /proc; this process is in `/user/own`."""

    def __init__(self, folder: Path, *, own: str = "/user/own") -> None:
        self.mount = folder / "cgroup"
        self.proc = folder / "proc"
        self.own = self.mount / "user" / "own"
        self.own.mkdir(parents=True)
        (self.proc / "self").mkdir(parents=True)
        (self.proc / "self" / "cgroup").write_text(f"4:memory:/elsewhere\n0::{own}\n")
        (self.proc / "self" / "mountinfo").write_text(
            f"30 23 0:26 / /sys rw - sysfs sysfs rw\n31 30 0:27 / {self.mount} rw shared:4 - cgroup2 cgroup2 rw\n"
        )

    def control(self, group: str, *, enabled: str = "", there: str = "", kind: str = "", held: str = "") -> None:
        (self.mount / group / "cgroup.subtree_control").write_text(enabled)
        (self.mount / group / "cgroup.controllers").write_text(there)
        (self.mount / group / "cgroup.procs").write_text(held)
        if kind:  # the root of all groups has none
            (self.mount / group / "cgroup.type").write_text(f"{kind}\n")

    def groups(self) -> list[Path]:
        return sorted(self.mount.rglob("standpipe-*"))

    def written(self) -> dict[str, str]:
        """The files of the only group."""
        (group,) = self.groups()
        return {file.name: file.read_text() for file in group.iterdir()}


def refuse(*_: object) -> None:
    raise PermissionError(13, "Permission denied")


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    return Kernel(tmp_path)


def test_a_group_is_made_below_the_nearest_one_that_has_the_controllers(kernel: Kernel) -> None:
    kernel.control("user", enabled="cpu memory pids")
    kernel.control("", enabled="cpu memory pids")
    group = ControlGroups(kernel.proc).create(Limits(cpu=0.5, memory=64 * MIB))

    assert group is not None
    assert [made.parent for made in kernel.groups()] == [kernel.mount / "user"]
    assert kernel.written() == {
        "memory.max": str(64 * MIB),
        "memory.swap.max": "0",
        "memory.oom.group": "1",
        "cpu.max": "50000 100000",
    }


def test_only_what_is_limited_is_needed(kernel: Kernel) -> None:
    kernel.control("user", enabled="cpu")

    assert ControlGroups(kernel.proc).create(Limits(cpu=0.001)) is not None
    assert kernel.written() == {"cpu.max": "1000 100000"}
    assert ControlGroups(kernel.proc).create(Limits(memory=MIB)) is None


def test_controllers_that_are_there_are_enabled(kernel: Kernel) -> None:
    kernel.control("user", enabled="cpu", there="cpu memory")

    assert ControlGroups(kernel.proc).create(Limits(cpu=1, memory=MIB)) is not None
    assert (kernel.mount / "user" / "cgroup.subtree_control").read_text() == "+memory"


@pytest.mark.parametrize(("kind", "held"), [("domain", "1\n"), ("domain threaded", ""), ("domain invalid", "")])
def test_a_group_that_processes_could_not_join_is_not_made_and_the_one_above_is_left_as_it_is(
    kernel: Kernel, kind: str, held: str
) -> None:
    kernel.control("user/own", there="cpu", kind=kind, held=held)
    kernel.control("user", there="cpu", kind="domain")

    assert ControlGroups(kernel.proc).create(Limits(cpu=1)) is not None
    assert [made.parent for made in kernel.groups()] == [kernel.mount / "user"]
    assert (kernel.own / "cgroup.subtree_control").read_text() == ""


def test_the_root_of_all_groups_may_hold_processes(kernel: Kernel) -> None:
    kernel.control("", enabled="cpu", held="1\n")

    assert ControlGroups(kernel.proc).create(Limits(cpu=1)) is not None


def test_the_groups_of_two_runners_do_not_meet(kernel: Kernel) -> None:
    kernel.control("user", enabled="cpu")
    made = [ControlGroups(kernel.proc).create(Limits(cpu=1)) for _ in range(2)]

    assert None not in made
    assert len(kernel.groups()) == 2


def test_a_group_that_does_not_take_its_limit_is_not_had(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel.control("user", enabled="memory")
    monkeypatch.setattr(Group, "_limit", refuse)

    assert ControlGroups(kernel.proc).create(Limits(memory=MIB)) is None
    assert kernel.groups() == []


@pytest.mark.parametrize("own", ["/../elsewhere", ""])
def test_a_process_that_does_not_see_its_own_group_has_none(tmp_path: Path, own: str) -> None:
    kernel = Kernel(tmp_path, own=own)
    kernel.control("", enabled="memory")

    assert ControlGroups(kernel.proc).create(Limits(memory=MIB)) is None


def test_a_system_without_control_groups(tmp_path: Path) -> None:
    assert ControlGroups(tmp_path).create(Limits(memory=MIB)) is None


def test_what_a_killed_program_left_running_is_killed_and_a_living_one_keeps_its_groups(kernel: Kernel) -> None:
    kernel.control("user", enabled="cpu")
    program = f"""
import os, signal
from pathlib import Path
from standpipe.model.resources import Limits
from standpipe.runners.process.cgroups import ControlGroups
group = ControlGroups(Path({str(kernel.proc)!r})).create(Limits(cpu=1))
os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", program], check=False)
    (left,) = kernel.groups()
    alive = ControlGroups(kernel.proc).create(Limits(cpu=1))
    assert alive is not None
    ControlGroups(kernel.proc).create(Limits(cpu=1))

    assert (left / "cgroup.kill").read_text() == "1"
    assert not Path(alive.join_file).with_name("cgroup.kill").exists()


def test_an_empty_group_that_nobody_holds_is_removed(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    left = kernel.mount / "user" / "standpipe-1-0"
    left.mkdir()
    monkeypatch.setattr(cgroups, "_write", refuse)  # the folder stays empty, as the kernel's counts as
    ControlGroups(kernel.proc).create(Limits(cpu=1))

    assert not left.exists()


def test_a_group_that_is_being_swept_is_not_had(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel.control("user", enabled="cpu")

    def refuse_lock(*_: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(fcntl, "flock", refuse_lock)

    assert ControlGroups(kernel.proc).create(Limits(cpu=1)) is None
    assert kernel.groups() == []


def test_a_group_tells_what_was_used_and_goes(tmp_path: Path) -> None:
    group = Group(tmp_path / "group", Limits())
    assert group.usage() == Usage(None, None, 0)
    (tmp_path / "group" / "cpu.stat").write_text("usage_usec 1500000\nuser_usec 1\n")
    (tmp_path / "group" / "memory.events").write_text("low 0\noom 1\noom_kill 2\n")
    (tmp_path / "group" / "memory.peak").write_text("4096\n")
    assert group.usage() == Usage(1.5, 4096, 2)
    for file in (tmp_path / "group").iterdir():
        file.unlink()


def test_a_group_is_gone_when_it_was_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "_write", refuse)  # an old kernel: it kills no groups
    Group(tmp_path / "group", Limits()).remove()

    assert not (tmp_path / "group").exists()


# --- a task in a group


@pytest.fixture
def bench(tmp_path: Path, kernel: Kernel) -> Iterator[Bench]:
    bench = Bench(tmp_path / "root", Fixed(Path(sys.executable)))
    bench.folder.mkdir()
    kernel.control("user", enabled="cpu memory")
    bench.runner._limiter = Limiter(ControlGroups(kernel.proc))
    yield bench
    bench.runner.close()


def test_a_task_joins_its_group_and_nothing_else_limits_it(bench: Bench, kernel: Kernel) -> None:
    source = """
        def f() -> list:
            import resource
            time.sleep(0.1)
            return [resource.getrlimit(resource.RLIMIT_DATA)[0] == resource.RLIM_INFINITY, len(os.sched_getaffinity(0))]
    """
    request = replace(bench.request(source), limits=Limits(cpu=0.5, memory=MIB))

    assert bench.runner.run(request, log=Kept(), cancel=Cancellation()) == Outcome(exit_code=0)
    assert value_in(request) == [True, len(os.sched_getaffinity(0))]
    assert kernel.written()["cgroup.procs"] == "0"
    assert kernel.written()["cgroup.kill"] == "1"


def test_what_the_kernel_killed_in_a_group_ran_out_of_memory(bench: Bench, kernel: Kernel) -> None:
    source = f"""
        def f():
            import glob
            (group,) = glob.glob({str(kernel.mount / "user" / "standpipe-*")!r})
            for name, text in (("memory.events", "oom_kill 1"), ("memory.peak", "{MIB}"), ("cpu.stat", "usage_usec 7")):
                with open(os.path.join(group, name), "w") as file: file.write(text)
            os.kill(os.getpid(), 9)
    """
    request = replace(bench.request(source), limits=Limits(memory=MIB))
    outcome = bench.runner.run(request, log=Kept(), cancel=Cancellation())

    assert outcome == Outcome(signal=signal.SIGKILL, out_of_memory=True)
    assert (outcome.peak_memory, outcome.cpu_seconds) == (MIB, 7e-6)


@pytest.mark.skipif(sys.platform != "linux", reason="it takes prctl")
def test_a_task_in_a_group_ends_when_its_server_does(bench: Bench) -> None:
    source = """
        def f() -> int:
            import ctypes
            number = ctypes.c_int()
            ctypes.CDLL(None).prctl(2, ctypes.byref(number))  # PR_GET_PDEATHSIG
            return number.value
    """
    request = replace(bench.request(source), limits=Limits(memory=MIB))
    bench.runner.run(request, log=Kept(), cancel=Cancellation())

    assert value_in(request) == signal.SIGKILL


def test_a_task_that_may_not_join_its_group_is_watched(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Group, "join_file", str(tmp_path))  # a folder: nobody writes there
    request = replace(
        bench.request("def f():\n    held = bytearray(b'x') * (90 << 20); time.sleep(20)"),
        limits=Limits(memory=64 * MIB),
    )
    outcome = bench.runner.run(request, log=Kept(), cancel=Cancellation())

    assert outcome == Outcome(signal=signal.SIGKILL, out_of_memory=True)
    assert outcome.peak_memory is not None
    assert outcome.peak_memory > 64 * MIB
