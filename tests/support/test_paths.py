"""Paths that users name, and whether one is below another."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from standpipe.errors import ArgumentError, StorageError
from standpipe.support.paths import absolute_path, is_within


def test_a_path_is_relative_to_the_working_directory_or_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")

    assert absolute_path("pipeline_root", "out") == tmp_path / "out"
    assert absolute_path("pipeline_root", Path("~/out")) == Path("/home/me/out")


def test_an_empty_path_is_an_error_and_not_the_current_folder() -> None:
    with pytest.raises(ArgumentError, match=re.escape("Invalid cache_root='': expected a path.")):
        absolute_path("cache_root", "")
    assert absolute_path("cache_root", ".") == Path.cwd()


def test_an_unknown_home_folder_is_an_error() -> None:
    message = "Invalid cache_root='~nobody-here/x': the home folder of '~nobody-here' is not known."
    with pytest.raises(ArgumentError, match=re.escape(message)):
        absolute_path("cache_root", "~nobody-here/x")


def test_a_removed_working_directory_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "removed"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()

    with pytest.raises(
        StorageError, match="pipeline_root='out': the working directory was removed. Change to a folder"
    ):
        absolute_path("pipeline_root", "out")
    assert absolute_path("pipeline_root", tmp_path) == tmp_path


def test_a_path_is_below_a_folder_by_whole_names() -> None:
    assert is_within("/a/b", "/a")
    assert is_within("/a", "/x", "/a")
    assert is_within("/a/b", "/a/")
    assert is_within("/a", "/")
    assert not is_within("/ab", "/a")
    assert not is_within("/a", "/a/b")
    assert not is_within("/a")
