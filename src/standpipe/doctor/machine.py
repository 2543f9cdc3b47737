"""Checks of the machine: processors, memory, limits of tasks, accelerators."""

from __future__ import annotations

import resource
import shutil

from standpipe.doctor.answers import Answer, Surroundings, ok, warning
from standpipe.doctor.programs import ask
from standpipe.model.resources import Limits, format_memory
from standpipe.runners.process.cgroups import ControlGroups
from standpipe.support.machine_capacity import read_available_memory, read_capacity

#: The bytes of memory that a task with a large library needs, and the files that a run with many tasks opens.
_MEMORY = 1024**3
_OPEN_FILES = 1024

#: Limits that no task of the machine has: a group with them is made, and removed.
_TRIED = Limits(cpu=1.0, memory=64 * 1024**2)


def check_capacity(_: Surroundings) -> Answer:
    """Say what tasks can use now: cores, memory, open files."""
    capacity, available = read_capacity(), min(read_available_memory(), read_capacity().memory)
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    detail = (
        f"{capacity.cpu:g} cores; {format_memory(available)} of {format_memory(capacity.memory)} of memory available"
    )
    if available < _MEMORY:
        return warning(detail, "End other programs, or lower --max-parallel.")
    if files != resource.RLIM_INFINITY and files < _OPEN_FILES:
        return warning(f"{detail}; {files} open files", f"ulimit -n {_OPEN_FILES}")
    return ok(detail)


def check_limits(_: Surroundings) -> Answer:
    """Make a control group, as for a task with limits."""
    group = ControlGroups().create(_TRIED)
    if group is not None:
        group.remove()
        return ok("the kernel enforces limits of CPU and memory (cgroup v2)")
    return warning(
        "no control group can be made (cgroup v2), so Standpipe watches the memory of tasks, and pins them to cores",
        "Start Standpipe with `systemd-run --user --scope -p Delegate=yes standpipe …`, or use --runner docker.",
    )


def check_gpu(_: Surroundings) -> Answer:
    """Compare the accelerators that tasks can get with those that the driver reports."""
    usable = read_capacity().gpus
    program = shutil.which("nvidia-smi")
    if program is None:
        return ok(f"{len(usable)} usable, but nvidia-smi is missing" if usable else "none")
    output = ask([program, "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"])
    if output.code != 0:
        reason = (output.text or output.errors or "no answer").splitlines()[0]
        return warning(f"nvidia-smi fails: {reason}", "Install the driver again, or restart the machine.")
    names = "; ".join(output.text.splitlines())
    if not usable:
        return warning(
            f"the driver reports {names}, but tasks can use none", "Check CUDA_VISIBLE_DEVICES and /dev/nvidia*."
        )
    return ok(f"{len(usable)} usable: {names}")
