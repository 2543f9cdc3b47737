"""`standpipe du`."""

from __future__ import annotations

import gc
import json
import os
import socket
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from standpipe import dsl, local
from standpipe.cli.main import main
from standpipe.dsl import Artifact, Output
from standpipe.local import FakeRunner, SubprocessRunner
from standpipe.model.layout import ACTIONS_FOLDER, DELETED_FOLDER, VOLUMES_FOLDER, WORKSPACE_FOLDER
from standpipe.runners.docker.stored_images import StoredImage
from standpipe.runs import disk_report

MIB = 1024**2


@dsl.component
def echo(text: str) -> str: ...


@dsl.component
def other(text: str) -> str: ...


@dsl.component
def write_file(text: str, file: Output[Artifact]) -> None:
    with open(file.path, "w") as opened:
        opened.write(text * 3 * 1024**2)


@pytest.fixture(autouse=True)
def _no_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(disk_report, "may_have_engine", lambda: False)
    monkeypatch.setenv("STANDPIPE_CACHE", str(tmp_path / "cache"))


def start(root: Path, component: dsl.BaseComponent = echo) -> Path:
    """Run a component, and return the folder of the run."""
    runner = FakeRunner(echo=lambda text: {"Output": text}, other=lambda text: {"Output": text})
    local.run(component, {"text": "a"}, runner=runner, pipeline_root=root, quiet=True)
    return local.get_run("latest", root).folder


def write(path: Path, mib: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * mib * MIB)


def du(root: Path, *arguments: str) -> int:
    return main(["du", *arguments, "--root", str(root)])


def measure(root: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    assert du(root, "--json") == 0
    return json.loads(capsys.readouterr().out)


def test_each_part_is_counted_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "root"
    first, second, third = start(root), start(root), start(root, other)
    write(first / "echo" / "log.txt", 1)
    write(first / "echo" / "out", 2)
    os.link(first / "echo" / "out", second / "echo" / "out")
    (third / "link").symlink_to(first)
    write(third / WORKSPACE_FOLDER / "file", 4)
    write(root / VOLUMES_FOLDER / "data" / "file", 5)
    write(root / DELETED_FOLDER / "run" / "file", 6)
    write(root / ACTIONS_FOLDER / "log", 7)
    write(root / first.name.replace("echo", "lost") / "file", 8)
    write(root / "mine" / "file", 9)
    shown = measure(root, capsys)

    def mib(size: int) -> int:
        return size // MIB

    assert [(run["id"], mib(run["size"])) for run in shown["runs"][:1]] == [(third.name, 4)]
    assert sum(mib(run["size"]) for run in shown["runs"]) == 7
    assert sum(mib(run["logs"]) for run in shown["runs"]) == 1
    assert {each["name"]: (each["runs"], mib(each["size"])) for each in shown["pipelines"]} == {
        "echo": (2, 3),
        "other": (1, 4),
    }
    parts = ("volumes", "interrupted_deletions", "actions", "unknown_runs")
    assert [mib(shown[part]) for part in parts] == [5, 6, 7, 8]
    assert shown["run_store"] > 0
    assert mib(shown["size"]) == 7 + 5 + 6 + 7 + 8


def test_people_see_what_takes_space_and_what_frees_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "root"
    first, second = start(root), start(root)
    write(first / "echo" / "out", 2)
    assert du(root) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"{root}: 2.")
    assert "artifacts and other files of runs\n" in shown
    assert "workspaces" not in shown, "what takes no space is left out"
    lines = shown.splitlines()
    assert lines[lines.index(next(line for line in lines if line.startswith("PIPELINE"))) + 1].split()[:2] == [
        "echo",
        "2",
    ]
    largest = lines.index(next(line for line in lines if line.startswith("LARGEST RUNS")))
    assert [line.split()[0] for line in lines[largest + 1 : largest + 3]] == [first.name, second.name]
    assert lines[-1].startswith("`standpipe prune --keep 1` frees 2")


def test_what_the_cache_keeps_is_named_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options: dict[str, Any] = {"runner": SubprocessRunner(use_venv=False), "pipeline_root": tmp_path, "quiet": True}
    for text in "ab":
        local.run(write_file, {"text": text}, enable_caching=True, **options)
    prunable = measure(tmp_path, capsys)["prunable"]
    assert prunable["--keep 1"] == 0
    assert prunable["--keep 1 --cache"] > 3 * MIB


def test_environments_are_shared_by_all_roots(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "cache" / "envs" / ("a" * 32)
    write(folder / "lib" / "module", 2)
    (folder / "complete.json").write_text(json.dumps({"created": time.time() - 40 * 86_400, "requirements": ["six"]}))
    write(tmp_path / "cache" / "imports" / "one.json", 1)
    shown = measure(tmp_path / "nowhere", capsys)
    assert [(each["path"], each["packages"]) for each in shown["environments"]] == [(str(folder), ["six"])]
    assert shown["imports"] >= MIB
    assert shown["prunable"]["--environments"] == shown["environments"][0]["size"] > 2 * MIB
    assert (shown["size"], shown["runs"], shown["images"]) == (0, [], None)
    assert du(tmp_path / "nowhere") == 0
    assert "environments (1)\n" in capsys.readouterr().out
    assert not (tmp_path / "nowhere").exists()


def test_images_are_those_of_the_engine(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    image = StoredImage("standpipe/env:abc", "abc", 5 * MIB, 0.0, ("six",))
    monkeypatch.setattr(disk_report, "may_have_engine", lambda: True)
    monkeypatch.setattr(disk_report, "connected", nullcontext)
    monkeypatch.setattr(disk_report, "list_images", lambda client, marks: [image])
    assert measure(tmp_path, capsys)["images"] == [{"name": image.name, "packages": ["six"], "size": 5 * MIB}]
    du(tmp_path)
    assert "5 MiB  images with installed packages (1)" in capsys.readouterr().out


def test_a_socket_that_an_engine_has_left_is_no_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "engine.sock"))
    monkeypatch.setattr(disk_report, "may_have_engine", lambda: True)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/engine.sock")
    assert du(tmp_path / "runs") == 0
    gc.collect()  # a socket that is left open is an error of this test
    assert "images: No container engine answers at unix:" in capsys.readouterr().out


def test_a_damaged_store_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "runs.sqlite").write_text("not a database")
    assert du(tmp_path) == 6
    assert "is damaged" in capsys.readouterr().err
