"""Files and folders below a root in which tasks may have put anything."""

from __future__ import annotations

import contextlib
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest

from standpipe.support.new_folders import make_folder
from standpipe.support.umask import GROUP, restrict_umask
from standpipe.support.untrusted_files import (
    UntrustedFileError,
    create_file,
    open_folder,
    read_file,
    remove_path,
    write_atomically,
)
from standpipe.support.untrusted_folders import change_mode


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a root with a task's folder, beside a folder of the user's with a canary in it."""
    (tmp_path / "root" / "run" / "task").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "canary").write_text("of the user")
    return tmp_path / "root"


def make_sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**40)


KINDS: dict[str, tuple[Callable[[Path], object], str]] = {
    "link to a file inside": (lambda path: path.symlink_to(path.with_name("sibling")), "is a symbolic link"),
    "link to a file outside": (lambda path: path.symlink_to(path.parents[3] / "outside/canary"), "is a symbolic link"),
    "dangling link": (lambda path: path.symlink_to("nowhere"), "is a symbolic link"),
    "link to itself": (lambda path: path.symlink_to(path.name), "is a symbolic link"),
    "link to a device": (lambda path: path.symlink_to("/dev/zero"), "is a symbolic link"),
    "FIFO": (os.mkfifo, "is a FIFO"),
    "socket": (lambda path: os.mknod(path, stat.S_IFSOCK | 0o600), "is a socket"),
    "folder": (os.mkdir, "is a folder"),
    "sparse file of 1 TiB": (make_sparse, "has 1 TiB: expected at most 512 MiB"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_only_a_regular_file_of_bounded_size_is_read(root: Path, kind: str) -> None:
    file = root / "run" / "task" / "file"
    file.with_name("sibling").write_text("of another task")
    make, message = KINDS[kind]
    make(file)
    with pytest.raises(UntrustedFileError, match=f"^{file} {message}"):
        read_file(file, root)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices")
def test_a_device_is_not_opened(root: Path) -> None:
    device = root / "run" / "task" / "file"
    os.mknod(device, 0o20666, os.makedev(1, 5))  # /dev/zero
    with pytest.raises(UntrustedFileError, match="is a device: expected a regular file"):
        read_file(device, root)


def test_a_file_is_read_up_to_its_limit(root: Path) -> None:
    file = root / "run" / "task" / "file"
    for content in (b"", b"1234"):
        file.write_bytes(content)
        assert read_file(file, root, limit=4) == content
    file.write_bytes(b"12345")
    with pytest.raises(UntrustedFileError, match="has 5 bytes: expected at most 4 bytes"):
        read_file(file, root, limit=4)


def test_a_missing_file_is_missing(root: Path) -> None:
    for path in (root / "run" / "task" / "file", root / "run" / "other" / "file"):
        with pytest.raises(FileNotFoundError) as missing:
            read_file(path, root)
        assert missing.value.filename in (str(path), str(path.parent))


@pytest.mark.parametrize("size", [5, 50])
def test_a_file_that_shrinks_or_grows_while_it_is_read_ends(
    root: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    file = root / "run" / "task" / "file"
    file.write_bytes(b"x" * 10)
    read = os.read

    def read_and_change(descriptor: int, count: int) -> bytes:
        with file.open("r+b") as other:
            other.truncate(size)
        return read(descriptor, count)

    monkeypatch.setattr(os, "read", read_and_change)
    assert len(read_file(file, root)) == min(size, 10)


@pytest.mark.parametrize("step", ["run", "run/task"])
def test_no_link_on_the_way_is_followed(root: Path, step: str) -> None:
    link, moved = root / step, root / "moved"
    (root / "run" / "task" / "file").write_text("x")
    link.rename(moved)
    link.symlink_to(moved)
    file = root / "run" / "task" / "file"
    assert file.read_text() == "x"
    for action in (
        lambda: read_file(file, root),
        lambda: os.close(create_file(file.with_name("new"), root)),
        lambda: make_folder(file.with_name("new"), root, root / "run" / "aside"),
        lambda: open_folder(file.parent, root).__enter__(),
    ):
        with pytest.raises(UntrustedFileError, match=f"^{link} is a symbolic link: expected a folder"):
            action()
    remove_path(file, root)
    assert file.read_text() == "x"
    assert not file.with_name("new").exists()


def test_links_above_the_root_belong_to_the_user(root: Path) -> None:
    link = root.with_name("link")
    link.symlink_to(root)
    file = link / "run" / "task" / "file"
    os.close(create_file(file, link))
    assert read_file(file, link) == b""
    make_folder(link / "run" / "new" / "deep", link, link / "run" / "aside")
    assert (root / "run" / "new" / "deep").is_dir()
    remove_path(link / "run", link)
    assert list(root.iterdir()) == []


@pytest.mark.parametrize("path", ["root/../outside/canary", "outside/canary", "root", "root/run/../run/task"])
def test_only_paths_below_the_root_are_used(root: Path, path: str) -> None:
    with pytest.raises(UntrustedFileError, match="is not below"):
        read_file(Path(f"{root.parent}/{path}"), root)


def test_what_exists_is_not_created_again(root: Path) -> None:
    link = root / "run" / "task" / "link"
    link.symlink_to(root.parent / "outside" / "new")
    with pytest.raises(UntrustedFileError, match=f"Cannot create the file {link}: it exists already"):
        create_file(link, root)
    assert not (root.parent / "outside" / "new").exists()


def test_a_folder_is_removed_without_what_its_links_lead_to(root: Path) -> None:
    folder = root / "run" / "task"
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "b" / "file").write_text("x")
    (folder / "a" / "link").symlink_to(root.parent / "outside")
    (folder / "file link").symlink_to(root.parent / "outside" / "canary")
    os.mkfifo(folder / "fifo")
    remove_path(folder, root)
    assert list((root / "run").iterdir()) == []
    assert (root.parent / "outside" / "canary").read_text() == "of the user"


def test_a_deep_folder_is_removed(root: Path) -> None:
    top = os.open(root / "run" / "task", os.O_RDONLY)
    current = os.dup(top)
    for _ in range(3_000):  # more than Python can recurse, than a path has bytes, and than a process has descriptors
        os.mkdir("d", dir_fd=current)
        inner = os.open("d", os.O_RDONLY, dir_fd=current)
        os.close(current)
        current = inner
    os.close(current)
    os.close(top)
    remove_path(root / "run" / "task", root)
    assert list((root / "run").iterdir()) == []


def test_a_folder_that_a_task_has_closed_is_removed(root: Path) -> None:
    (root / "run" / "task" / "closed").mkdir()
    (root / "run" / "task" / "closed" / "file").touch()
    for folder in (root / "run" / "task" / "closed", root / "run" / "task"):
        folder.chmod(0)
    remove_path(root / "run" / "task", root)
    assert list((root / "run").iterdir()) == []


def test_permissions_do_not_change_behind_a_link_that_a_task_swaps_in(root: Path) -> None:
    canary, new = root.parent / "outside" / "canary", root / "run" / "new"
    canary.chmod(0o600)
    ended = threading.Event()

    def swap() -> None:
        while not ended.is_set():
            new.touch()
            new.replace(root / "run" / "file")
            new.symlink_to(canary)
            new.replace(root / "run" / "file")

    thread = threading.Thread(target=swap)
    thread.start()
    folder = os.open(root / "run", os.O_RDONLY)
    try:
        for _ in range(1000):
            change_mode("file", folder, lambda _: 0o666)
            change_mode("file", folder, lambda _: 0o667)
    finally:
        ended.set()
        thread.join()
        os.close(folder)
    assert canary.stat().st_mode & 0o777 == 0o600


def test_removal_stays_below_the_root_while_a_task_swaps_folders(root: Path) -> None:
    """One thread swaps a folder and a link to the user's, as fast as it can, while another removes what is in it."""
    folder, link, spare = (root / "run" / name for name in ("task", "link", "spare"))
    link.symlink_to(root.parent / "outside")
    ended = threading.Event()

    def swap() -> None:
        while not ended.is_set():
            with contextlib.suppress(OSError):
                (folder / "sub").mkdir(parents=True, exist_ok=True)
                (folder / "sub" / "canary").write_text("of the task")
                folder.rename(spare)
                link.rename(folder)
                folder.rename(link)
                spare.rename(folder)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for _ in range(300):
            remove_path(folder / "sub", root)
            remove_path(folder / "canary", root)
    finally:
        ended.set()
        thread.join()
    assert (root.parent / "outside" / "canary").read_text() == "of the user"


def test_links_that_stay_below_the_root_are_welcome_where_tasks_share_a_folder(root: Path) -> None:
    (root / "run" / "link").symlink_to(root / "run" / "task")
    (root / "run" / "out").symlink_to(root.parent / "outside")
    target = root / "run" / "link" / "deep" / "file"
    with restrict_umask(GROUP):
        write_atomically(target, root, 0o640, lambda file: file.write(b"x"))
    assert target.resolve() == root / "run" / "task" / "deep" / "file"
    assert target.read_bytes() == b"x"
    assert target.stat().st_mode & 0o777 == 0o660, "the group gets what the owner has"
    with pytest.raises(UntrustedFileError, match="leads out of .* Remove the link"):
        write_atomically(root / "run" / "out" / "canary", root, 0o666, lambda file: file.write(b"x"))
    with pytest.raises(ValueError, match="half"):
        write_atomically(target, root, 0o666, lambda file: int("half"))
    assert [path.name for path in target.parent.iterdir()] == ["file"]


def test_the_error_of_a_write_stays_when_its_folder_is_removed_meanwhile(root: Path) -> None:
    def fail(_: BinaryIO) -> None:
        remove_path(root / "run" / "task", root)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(root / "run" / "task" / "file", root, 0o666, fail)


def test_a_system_that_cannot_open_files_safely_runs_nothing_but_compiles(tmp_path: Path) -> None:
    """As on Windows."""
    program = """
import os
os.supports_dir_fd.clear()
from standpipe import compiler, dsl, local

@dsl.component
def say() -> str:
    return "said"

compiler.Compiler().compile(say, "say.yaml")
try:
    local.run(say, runner=local.FakeRunner(), pipeline_root="root")
except NotImplementedError as error:
    print(os.path.exists("say.yaml"), os.path.exists("root"), error)
"""
    (tmp_path / "program.py").write_text(program)
    result = subprocess.run((sys.executable, "program.py"), cwd=tmp_path, capture_output=True, text=True, check=True)
    assert result.stdout.startswith("True False Standpipe runs pipelines on Linux and macOS"), result
