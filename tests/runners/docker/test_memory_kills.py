"""The kills of a container for its memory, as its control group counts them."""

from __future__ import annotations

from pathlib import Path

import pytest

from standpipe.runners.docker import memory_kills
from standpipe.runners.docker.memory_kills import count_kills, find_counter

CONTAINER = "0123456789abcdef"


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The root of the control groups."""
    monkeypatch.setattr(memory_kills, "_ROOT", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("lines", "counter"),
    [
        (f"5:cpu:/libpod/libpod-{CONTAINER}\n4:memory:/libpod/libpod-{CONTAINER}\n", "memory/{}/memory.oom_control"),
        (f"0::/libpod/libpod-{CONTAINER}\n", "{}/memory.events"),
        (f"0::/libpod/libpod-{CONTAINER}\n4:memory:/libpod/libpod-{CONTAINER}\n", "{}/memory.events"),
    ],
)
def test_the_counter_is_that_of_the_group_of_the_container(
    groups: Path, monkeypatch: pytest.MonkeyPatch, lines: str, counter: str
) -> None:
    monkeypatch.setattr(memory_kills, "read_text", lambda _: lines.strip())
    expected = groups / counter.format(f"libpod/libpod-{CONTAINER}")
    expected.parent.mkdir(parents=True)
    expected.touch()
    assert find_counter(CONTAINER, 1) == expected


def test_a_process_of_another_group_has_no_counter() -> None:
    assert find_counter(CONTAINER, 1) is None
    assert find_counter(CONTAINER, 0) is None


@pytest.mark.parametrize(
    ("content", "kills"),
    [("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n", 2), ("oom_kill 0\n", 0), ("", 0), ("under_oom 0\n", 0)],
)
def test_kills_are_counted_and_what_is_unknown_is_none(tmp_path: Path, content: str, kills: int) -> None:
    (tmp_path / "counter").write_text(content)
    assert count_kills(tmp_path / "counter") == kills
    assert count_kills(tmp_path / "none") == 0
