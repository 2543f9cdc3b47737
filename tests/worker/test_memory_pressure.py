"""When templates give up their memory: what the files of the system say, for a machine and for control groups."""

from __future__ import annotations

import pytest

from standpipe.worker import memory_pressure

MACHINE = {"/proc/meminfo": "MemTotal:       1000 kB\nMemFree:          10 kB\nMemAvailable:    500 kB\n"}
OUTER, INNER = "/sys/fs/cgroup/outer", "/sys/fs/cgroup/outer/inner"
GROUP = {"/proc/self/cgroup": "0::/outer/inner\n", f"{INNER}/memory.max": "max\n", f"{INNER}/memory.current": "950\n"}
LIMITED = {**GROUP, f"{OUTER}/memory.max": "1000\n", f"{OUTER}/memory.current": "950\n"}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        pytest.param({}, False, id="unknown"),
        pytest.param(MACHINE, False, id="half of the machine"),
        pytest.param({"/proc/meminfo": "MemTotal: 1000 kB\nMemAvailable: 99 kB\n"}, True, id="less than a tenth"),
        pytest.param({**MACHINE, **GROUP}, False, id="a group without a limit"),
        pytest.param({**MACHINE, **LIMITED}, True, id="the limit of a group around it"),
        pytest.param({**LIMITED, f"{OUTER}/memory.stat": "anon 1\ninactive_file 200\n"}, False, id="page cache"),
        pytest.param(
            {"/sys/fs/cgroup/memory.max": "1000\n", "/sys/fs/cgroup/memory.current": "950\n"}, True, id="a container"
        ),
    ],
)
def test_memory_is_scarce(files: dict[str, str], expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_pressure, "_read", lambda path: files.get(path, ""))
    assert memory_pressure.is_memory_scarce() is expected
