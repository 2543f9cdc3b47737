"""The end of a container's first process, which the kernel tells."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from standpipe.runners.docker.first_process import find_first_process

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has containers of this kernel")


def own_group() -> str:
    """Return the end of the name of this process's control group, which its children have, too."""
    return Path("/proc/self/cgroup").read_text().splitlines()[0].rpartition(":")[2]


def test_the_end_of_a_process_is_seen_at_once() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        process = find_first_process(own_group(), child.pid)
        assert process is not None
        assert not process.has_ended()
        assert not process.has_ended(0.01)
        assert child.stdin is not None
        child.stdin.write(b"\n")
        child.stdin.close()
        assert process.has_ended(20)
        assert process.has_ended()


def test_a_process_of_another_group_is_not_the_container_s() -> None:
    assert find_first_process("0123456789abcdef" * 4, os.getpid()) is None


def test_without_a_process_there_is_none() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        child.wait()
    assert find_first_process(own_group(), child.pid) is None
    assert find_first_process(own_group(), 0) is None


def test_its_descriptor_is_closed_with_it() -> None:
    before = len(os.listdir("/proc/self/fd"))
    process = find_first_process(own_group(), os.getpid())
    assert len(os.listdir("/proc/self/fd")) == before + 1
    del process
    assert len(os.listdir("/proc/self/fd")) == before
