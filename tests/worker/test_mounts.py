"""Volumes in a process: what a task sees, and that nobody else does."""

from __future__ import annotations

import ctypes
import itertools
import json
import os
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from standpipe.worker import mounts

NOBODY = 65534


def in_child(act: Callable[[], Any], user: int = 0) -> Any:
    """What a function returns in a process of its own, of that user if the tests are run by root."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.geteuid() == 0 and user:
                os.setgroups([])
                os.setgid(user)
                os.setuid(user)
                ctypes.CDLL(None).prctl(
                    4, 1
                )  # PR_SET_DUMPABLE: so that its /proc/self is its own, as if it had begun so
            told = {"value": act()}
        except mounts.MountsRefused:
            told = {"refused": True}
        except BaseException:  # noqa: BLE001 - the outermost edge of this process
            told = {"error": traceback.format_exc()}
        os.write(writing, json.dumps(told).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        told = json.load(pipe)
    os.waitpid(child, 0)
    if "refused" in told:
        pytest.skip("this system lets nobody mount anything")
    assert "error" not in told, told["error"]
    return told["value"]


@pytest.fixture(params=[0, NOBODY], ids=["root", "nobody"])
def user(request: pytest.FixtureRequest) -> int:
    number: int = request.param
    if os.geteuid() != 0 and number == 0:
        pytest.skip("only root is root")
    return number


@pytest.fixture
def open_folder(tmp_path: Path) -> Path:
    """A folder that every user may enter and write in."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.geteuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o755)
    tmp_path.chmod(0o777)
    return tmp_path


@pytest.fixture
def volume(open_folder: Path) -> Callable[..., str]:
    def make(name: str, **files: str) -> str:
        (open_folder / name).mkdir()
        (open_folder / name).chmod(0o777)
        for file, text in files.items():
            (open_folder / name / file).write_text(text)
        return str(open_folder / name)

    return make


def test_mount_points_that_do_not_exist_are_made_for_this_process_only(volume: Callable[..., str], user: int) -> None:
    one, two, three, spare = volume("one", x="1"), volume("two", x="2"), volume("three", x="3"), volume("spare")
    wanted = [(one, "/standpipe-test/a", False), (two, "/etc/standpipe-test/b", True), (three, "/standpipe-c", False)]

    def look() -> Any:
        before = sorted(os.listdir("/")), sorted(os.listdir("/etc"))
        mounts.enter(wanted, [], spare)
        after = sorted(os.listdir("/")), sorted(os.listdir("/etc"))
        Path("/standpipe-test/a/new").write_text("written")
        with pytest.raises(OSError, match="Read-only file system"):
            Path("/etc/standpipe-test/b/new").touch()
        return {
            "texts": [Path(path, "x").read_text() for _, path, _ in wanted],
            "added": [sorted(set(now) - set(then)) for then, now in zip(before, after, strict=True)],
            "lost": [sorted(set(then) - set(now)) for then, now in zip(before, after, strict=True)],
            "links": [os.readlink(f"/{name}") for name in before[0] if os.path.islink(f"/{name}")],
            "spare": os.listdir(spare),
            "device": Path("/dev/null").is_char_device(),
            "uid": os.geteuid(),
        }

    assert in_child(look, user) == {
        "texts": ["1", "2", "3"],
        "added": [["standpipe-c", "standpipe-test"], ["standpipe-test"]],
        "lost": [[], []],
        "links": [os.readlink(f"/{name}") for name in sorted(os.listdir("/")) if os.path.islink(f"/{name}")],
        "spare": [],
        "device": True,
        "uid": user or os.geteuid(),
    }
    assert Path(one, "new").read_text() == "written"
    for path in ("/standpipe-test", "/standpipe-c", "/etc/standpipe-test"):
        assert not Path(path).exists()


def test_what_others_remove_from_a_folder_meanwhile_is_not_there(
    volume: Callable[..., str], open_folder: Path, user: int
) -> None:
    one, busy, spare = volume("one", x="1"), Path(volume("busy", stays="text")), volume("spare")
    (busy / "link").symlink_to("stays")
    listdir = os.listdir

    def list_what_is_removed_then(path: str) -> list[str]:
        names = listdir(path)
        return [*names, "removed"] if path == str(busy) else names

    def look() -> Any:
        mounts.os.listdir = list_what_is_removed_then  # type: ignore[attr-defined]
        mounts.enter([(one, f"{busy}/mounted", False)], [], spare)
        return sorted(listdir(busy)), (busy / "link").read_text(), (busy / "mounted" / "x").read_text()

    assert in_child(look, user) == [["link", "mounted", "stays"], "text", "1"]


def test_a_folder_may_change_while_volumes_are_mounted_in_it(volume: Callable[..., str], user: int) -> None:
    one, busy, spare = volume("one", x="1"), Path(volume("busy")), volume("spare")
    ended = threading.Event()

    def churn() -> None:
        for number in itertools.count():
            if ended.is_set():
                return
            for name, make in (("file", Path.touch), ("folder", Path.mkdir)):
                make(busy / f"{name}-{number}")
            (busy / f"link-{number}").symlink_to("file")
            if number > 5:
                (busy / f"file-{number - 5}").unlink()
                (busy / f"folder-{number - 5}").rmdir()
                (busy / f"link-{number - 5}").unlink()

    def look() -> Any:
        mounts.enter([(one, f"{busy}/mounted", False)], [], spare)
        return Path(busy, "mounted", "x").read_text()

    busy_bee = threading.Thread(target=churn)
    busy_bee.start()
    try:
        assert [in_child(look, user) for _ in range(30)] == ["1"] * 30
    finally:
        ended.set()
        busy_bee.join()


def test_a_volume_hides_what_is_there_except_what_is_needed(
    volume: Callable[..., str], open_folder: Path, user: int
) -> None:
    empty, spare, needed = volume("empty"), volume("spare"), volume("needed", x="kept")
    volume("other", x="hidden")

    def look() -> Any:
        mounts.enter([(empty, str(open_folder), False)], [needed], spare)
        Path(needed, "y").write_text("through")
        return os.listdir(open_folder), Path(needed, "x").read_text()

    assert in_child(look, user) == [["needed"], "kept"]
    assert Path(needed, "y").read_text() == "through"


def test_a_volume_in_a_volume_has_its_place_there(volume: Callable[..., str], user: int) -> None:
    outer, inner, spare = volume("outer"), volume("inner", x="in"), volume("spare")
    wanted = [(inner, "/standpipe-test/deep/er", False), (outer, "/standpipe-test", False)]

    def look() -> Any:
        mounts.enter(wanted, [], spare)
        Path("/standpipe-test/new").touch()
        return Path("/standpipe-test/deep/er/x").read_text()

    assert in_child(look, user) == "in"
    assert sorted(os.listdir(outer)) == ["deep", "new"]
    assert os.listdir(Path(outer, "deep", "er")) == []


def test_what_cannot_be_mounted_is_an_error(volume: Callable[..., str], open_folder: Path) -> None:
    source, spare = volume("source"), volume("spare")
    (open_folder / "file").touch()

    def mount() -> Any:
        with pytest.raises(OSError, match="exists|Not a directory"):
            mounts.enter([(source, str(open_folder / "file"), False)], [], spare)

    in_child(mount)
