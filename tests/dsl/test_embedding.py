"""Files and folders that are embedded in a component."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from standpipe import dsl, local
from standpipe.errors import AuthoringError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a file, and a file in a folder in it."""
    folder = tmp_path / "assets"
    (folder / "inner").mkdir(parents=True)
    (folder / "data.txt").write_text("data")
    (folder / "inner" / "more.txt").write_text("more")
    return folder


def embed(path: Path) -> Any:
    @dsl.component(embedded_artifact_path=str(path))
    def read(data: dsl.EmbeddedInput[dsl.Artifact]) -> dict:
        from pathlib import Path

        root = Path(data.path)
        if root.is_file():
            return {root.name: root.read_text()}
        assert not any(path.is_symlink() for path in root.rglob("*"))
        return {str(path.relative_to(root)): path.read_text() for path in root.rglob("*") if path.is_file()}

    return read


def run(component: Any, tmp_path: Path) -> Any:
    return local.run(component, runner=local.SubprocessRunner(), pipeline_root=tmp_path / "root", quiet=True).output


def test_links_to_files_in_the_folder_are_embedded_as_files(tmp_path: Path, folder: Path) -> None:
    (folder / "inner" / "link.txt").symlink_to("../data.txt")
    (folder / "absolute.txt").symlink_to(folder / "inner" / "link.txt")
    os.link(folder / "data.txt", folder / "hard.txt")
    component = embed(folder)
    for name in ("data.txt", "inner/more.txt"):
        (folder / name).unlink()

    assert run(component, tmp_path) == {
        "data.txt": "data",
        "hard.txt": "data",
        "absolute.txt": "data",
        "inner/more.txt": "more",
        "inner/link.txt": "data",
    }


def test_a_link_that_is_named_itself_is_followed(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "file").symlink_to(folder / "data.txt")
    (tmp_path / "folder").symlink_to(folder)

    assert run(embed(tmp_path / "file"), tmp_path) == {"file": "data"}
    assert run(embed(tmp_path / "folder"), tmp_path) == {"data.txt": "data", "inner/more.txt": "more"}


@pytest.mark.parametrize(
    ("name", "target", "problem"),
    [
        ("dangling", "nothing", r"assets/dangling is a dangling symlink\. Repair or remove it"),
        ("below", "data.txt/nothing", r"assets/below is a dangling symlink"),
        ("self", "self", r"assets/self is part of a symlink cycle"),
        ("inner/up", "..", r"assets/inner/up is a link to the folder .*assets\. Directory symlinks are not supported"),
        ("beside", "inner", r"Directory symlinks are not supported"),
        ("out", "../secret.txt", r"the link .*assets/out escapes the embedded folder: it leads to .*/secret\.txt"),
        ("sibling", "../assets-2/x", r"escapes the embedded folder"),
    ],
)
def test_other_links_are_refused(tmp_path: Path, folder: Path, name: str, target: str, problem: str) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "assets-2").mkdir()
    (tmp_path / "assets-2" / "x").write_text("x")
    (folder / name).symlink_to(target)

    with pytest.raises(AuthoringError, match=f"embedded_artifact_path: .*{problem}"):
        embed(folder)


def test_a_file_of_another_kind_is_refused(folder: Path) -> None:
    os.mkfifo(folder / "pipe")

    with pytest.raises(AuthoringError, match=r"assets/pipe is neither a file nor a folder\. Remove it"):
        embed(folder)


def test_a_missing_path_is_named(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nothing")
    for name in ("missing", "link"):
        with pytest.raises(AuthoringError, match=f"embedded_artifact_path='.*/{name}' does not exist"):
            embed(tmp_path / name)


def test_the_same_files_make_the_same_component(folder: Path) -> None:
    assert embed(folder).executor == embed(folder).executor


def test_a_warning_of_large_files_begins_as_that_of_the_sdk(folder: Path) -> None:
    (folder / "weights.bin").write_bytes(os.urandom(1_100_000))

    with pytest.warns(UserWarning, match=r"^Embedded artifact archive is large: \S+ adds 1\.\d MiB") as warned:

        @dsl.component(embedded_artifact_path=str(folder))
        def f() -> None: ...

    assert warned[0].filename == __file__
