"""The checks of `standpipe doctor`: each finds a fault where there is one, in a bounded time, and leaves nothing."""

from __future__ import annotations

import gc
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from standpipe.doctor import engines, environments, folders, machine, python, surface
from standpipe.doctor.answers import Answer, Surroundings, ok
from standpipe.doctor.examination import CHECKS, examine
from standpipe.doctor.programs import ask
from standpipe.runners.process.cgroups import ControlGroups
from standpipe.runs.ui_server import HOST
from tests.processes import wait_until

Script = Callable[[str, str], None]


@pytest.fixture
def surroundings(tmp_path: Path) -> Surroundings:
    return Surroundings(tmp_path / "runs", tmp_path / "cache")


@pytest.fixture
def add_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Script:
    """Return a function that puts a shell script onto the PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    def add(name: str, script: str) -> None:
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)

    return add


@pytest.fixture
def silent_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An engine that accepts connections, and never answers."""
    path = str(tmp_path / "engine.sock")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    monkeypatch.setattr(engines, "PATIENCE", 1)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        yield path


def test_the_checks_leave_nothing_behind(surroundings: Surroundings, tmp_path: Path) -> None:
    kept = {name: check for name, check in CHECKS.items() if name not in ("package index", "docker", "pythons")}
    results = examine(surroundings, kept)

    assert [result.name for result in results] == list(kept)
    assert {result.name: result for result in results if result.status == "problem"} == {}
    assert list(tmp_path.iterdir()) == []


def test_a_check_that_does_not_answer_hides_no_other(surroundings: Surroundings) -> None:
    start = time.monotonic()
    results = examine(
        surroundings, {"slow": lambda _: ok(f"{threading.Event().wait(60)}"), "fast": lambda _: ok("yes")}, 0.2
    )

    assert time.monotonic() - start < 10
    assert [(result.name, result.status) for result in results] == [("slow", "warning"), ("fast", "ok")]
    assert results[0].detail == "no answer within 0.2 s"


def test_a_check_that_fails_hides_no_other(surroundings: Surroundings) -> None:
    def fail(_: Surroundings) -> Answer:
        raise LookupError("the moon")

    results = examine(surroundings, {"broken": fail, "fine": lambda _: ok("yes")})
    assert results[0].detail == "cannot be checked: LookupError: the moon"
    assert results[1].status == "ok"


def test_a_program_that_hangs_is_killed(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    output = ask(["/bin/sh", "-c", f"echo $$ > {pid}; exec sleep 60"], patience=1)

    assert (output.code, output.errors) == (None, "no answer within 1 s")
    wait_until(lambda: not Path(f"/proc/{pid.read_text().strip()}").exists())


def test_a_program_that_is_missing_is_an_answer() -> None:
    assert ask(["/nowhere/program"]) == ("", "No such file or directory", None)


def test_a_pipeline_root_that_is_a_file_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    answer = folders.check_root(Surroundings(tmp_path / "runs", tmp_path))
    assert answer == ("problem", f"{tmp_path / 'runs'} is not a folder", "Choose another folder with --root FOLDER.")


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
@pytest.mark.parametrize("check", [folders.check_root, folders.check_locks, python.check_environment])
def test_folders_that_cannot_be_written_are_a_problem(check: Callable[[Surroundings], Answer]) -> None:
    answer = check(Surroundings(Path("/proc/runs"), Path("/proc/cache")))
    assert answer.status == "problem"
    assert "/proc" in answer.detail
    assert answer.fix


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_the_clock_of_a_folder_that_cannot_be_written_is_not_checked() -> None:
    answer = folders.check_clock(Surroundings(Path("/proc/runs"), Path("/proc/cache")))
    assert answer.status == "warning"
    assert answer.detail.startswith("not checked: /proc cannot be written: ")


def test_little_space_is_a_warning(surroundings: Surroundings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "_SPACE", 2**80)
    answer = folders.check_cache(surroundings)
    assert answer.status == "warning"
    assert f"{surroundings.cache}, which does not exist yet: " in answer.detail
    assert "standpipe prune" in answer.fix


def test_a_temporary_folder_that_does_not_exist_is_replaced_or_a_problem(
    surroundings: Surroundings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "file"))
    (tmp_path / "file").write_text("")
    assert folders.check_temporary(surroundings).status == "problem"


def test_a_file_system_of_another_machine_is_named(tmp_path: Path) -> None:
    own = tmp_path / "self"
    own.mkdir()
    (own / "mountinfo").write_text(
        f"22 1 254:0 / / rw - ext4 /dev/vda rw\n40 22 0:50 / {tmp_path} rw,relatime shared:1 - nfs4 server:/export rw\n"
    )
    assert folders.file_system(tmp_path / "runs", tmp_path) == "nfs4"
    assert folders.file_system(Path("/"), tmp_path) == "ext4"


def test_locks_on_such_a_file_system_are_a_warning(surroundings: Surroundings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "file_system", lambda _: "nfs4")
    answer = folders.check_locks(surroundings)
    assert answer.status == "warning"
    assert f"{surroundings.root} is on a file system of another machine (nfs4)" in answer.detail


def test_an_index_that_does_not_answer_is_a_warning_without_its_password(
    surroundings: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://user:hunter2@127.0.0.1:9/simple")
    answer = python.check_index(surroundings)
    assert answer.status == "warning"
    assert "UV_DEFAULT_INDEX=http://***@127.0.0.1:9/simple" in answer.detail
    assert "hunter2" not in f"{answer}"


def test_an_index_that_answers_is_fine(
    surroundings: Surroundings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "simple" / "pip"
    page.mkdir(parents=True)
    (page / "index.html").write_text('<a href="pip-99.0-py3-none-any.whl">pip-99.0-py3-none-any.whl</a>')
    monkeypatch.setenv("UV_DEFAULT_INDEX", (tmp_path / "simple").as_uri())
    assert python.check_index(surroundings).status in ("ok", "warning")


def test_an_interpreter_that_does_not_work_is_a_problem(
    surroundings: Surroundings, monkeypatch: pytest.MonkeyPatch, add_program: Script, tmp_path: Path
) -> None:
    add_program("python-without-ssl", "echo 'ModuleNotFoundError: No module named ssl' >&2; exit 1")
    monkeypatch.setattr(python, "base_python", lambda: tmp_path / "bin" / "python-without-ssl")
    answer = python.check_python(surroundings)
    assert (answer.status, answer.detail.endswith("ModuleNotFoundError: No module named ssl")) == ("problem", True)
    assert python.check_environment(surroundings).status == "problem"


def test_an_interpreter_that_is_missing_is_a_problem(
    surroundings: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(python, "base_python", lambda: Path("/nowhere/python"))
    assert python.check_python(surroundings).status == "problem"


def test_uv_may_be_missing_but_not_broken(
    surroundings: Surroundings, monkeypatch: pytest.MonkeyPatch, add_program: Script, tmp_path: Path
) -> None:
    monkeypatch.setattr(python, "find_uv", lambda: None)
    assert python.check_uv(surroundings).fix == "pip install uv"
    assert python.check_index(surroundings).status == "ok"
    add_program("uv", "exit 3")
    monkeypatch.setattr(python, "find_uv", lambda: str(tmp_path / "bin" / "uv"))
    assert python.check_uv(surroundings).status == "problem"
    assert "other versions are not known" in python.check_pythons(surroundings).detail


def test_the_pythons_that_uv_finds_are_listed_in_order(
    surroundings: Surroundings, monkeypatch: pytest.MonkeyPatch, add_program: Script, tmp_path: Path
) -> None:
    found = ", ".join(
        f'{{"version": "3.{minor}.1", "version_parts": {{"major": 3, "minor": {minor}, "patch": 1}}}}'
        for minor in (9, 14, 10)
    )
    add_program("uv", f"echo '[{found}]'")
    monkeypatch.setattr(python, "find_uv", lambda: str(tmp_path / "bin" / "uv"))
    assert python.check_pythons(surroundings).detail.startswith("3.9.1, 3.10.1, 3.14.1; tasks run with ")


@pytest.mark.parametrize(("version", "status"), [("1.8.22", "warning"), ("2.17.3", "ok")])
def test_the_installed_sdk_is_named(
    version: str, status: str, surroundings: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(python, "version", lambda _: version)
    answer = python.check_kfp(surroundings)
    assert (answer.status, answer.detail.startswith(f"{version} is installed")) == (status, True)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the SDK leaves its socket open
def test_an_engine_that_never_answers_is_a_warning_in_time(silent_engine: str, surroundings: Surroundings) -> None:
    start = time.monotonic()
    answer = engines.check_engine(surroundings)
    assert time.monotonic() - start < 20
    assert answer.status == "warning"
    assert silent_engine in answer.detail
    gc.collect()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the SDK leaves its socket open
def test_an_engine_that_is_missing_is_a_warning_with_the_way_to_one(
    surroundings: Surroundings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    answer = engines.check_engine(surroundings)
    assert answer.status == "warning"
    assert answer.detail == (
        f"No container engine answers at unix://{tmp_path}/none.sock: No such file or directory. The default runner "
        "needs none."
    )
    assert answer.fix.startswith("Start it, or correct DOCKER_HOST")
    gc.collect()


def test_an_engine_without_limits_is_a_warning() -> None:
    version = {"Version": "5.4.2", "Os": "linux", "Arch": "amd64", "Components": [{"Name": "Podman Engine"}]}
    info = {"MemoryLimit": False, "CpuCfsQuota": True, "SecurityOptions": ["name=rootless"]}
    answer = engines.judge(version, info)
    assert answer.status == "warning"
    assert answer.detail.startswith("Podman 5.4.2 (linux/amd64), rootless answers at ")
    assert answer.detail.endswith("but cannot limit the memory of containers")


def test_podman_without_root_cannot_limit_anything_on_cgroups_of_version_1() -> None:
    version = {"Version": "4.3.1", "Os": "linux", "Arch": "amd64", "Components": [{"Name": "Podman Engine"}]}
    info = {"BuildahVersion": "1.28.2", "Rootless": True, "CgroupVersion": "1", "MemoryLimit": True}
    answer = engines.judge(version, info)
    assert answer.status == "warning"
    assert answer.detail.startswith("Podman 4.3.1 (linux/amd64), rootless answers at ")
    assert answer.detail.endswith("but cannot limit the memory and CPU of containers")


def test_podman_without_its_service_has_the_command_that_starts_it(
    surroundings: Surroundings, add_program: Script, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    add_program("podman", "echo podman version 5.4.2")
    monkeypatch.setattr(engines, "_podman_sockets", lambda: iter([tmp_path / "none.sock"]))
    answer = engines.check_podman(surroundings)
    assert answer.status == "warning"
    assert answer.detail.startswith("5.4.2 is installed")
    assert answer.fix.startswith("systemctl --user start podman.socket")


def test_podman_with_its_service_has_the_variable_that_selects_it(
    surroundings: Surroundings, add_program: Script, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    add_program("podman", "echo podman version 5.4.2")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "podman").mkdir()
    address = tmp_path / "podman" / "podman.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(address))
        assert engines.check_podman(surroundings) == ok(f"5.4.2; to use it: export DOCKER_HOST=unix://{address}")
        monkeypatch.setenv("DOCKER_HOST", f"unix://{address}")
        assert engines.check_podman(surroundings) == ok("5.4.2; DOCKER_HOST selects it")


def test_a_driver_of_accelerators_that_fails_is_a_warning(surroundings: Surroundings, add_program: Script) -> None:
    add_program("nvidia-smi", "echo 'Failed to initialize NVML: Driver/library version mismatch'; exit 18")
    answer = machine.check_gpu(surroundings)
    assert answer.status == "warning"
    assert "version mismatch" in answer.detail


def test_accelerators_are_named(
    surroundings: Surroundings, add_program: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_program("nvidia-smi", "echo 'NVIDIA H100, 81559 MiB, 570.1'")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert machine.check_gpu(surroundings) == ok("1 usable: NVIDIA H100, 81559 MiB, 570.1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert machine.check_gpu(surroundings).status == "warning"


def test_little_memory_is_a_warning(surroundings: Surroundings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_MEMORY", 2**80)
    assert machine.check_capacity(surroundings).status == "warning"


def test_few_open_files_are_a_warning(surroundings: Surroundings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_OPEN_FILES", 2**40)
    monkeypatch.setattr("resource.getrlimit", lambda _: (64, 64))
    assert machine.check_capacity(surroundings).fix.startswith("ulimit -n")


def test_limits_are_enforced_or_not(surroundings: Surroundings, monkeypatch: pytest.MonkeyPatch) -> None:
    removed = []

    class Group:
        def remove(self) -> None:
            removed.append(self)

    monkeypatch.setattr(ControlGroups, "create", lambda self, limits: None)
    assert machine.check_limits(surroundings).status == "warning"
    monkeypatch.setattr(ControlGroups, "create", lambda self, limits: Group())
    assert machine.check_limits(surroundings).status == "ok"
    assert len(removed) == 1


def test_environments_that_cannot_be_used_are_counted(surroundings: Surroundings) -> None:
    assert environments.check_environments(surroundings).detail.startswith("0 in ")
    (surroundings.cache / "envs" / "abc").mkdir(parents=True)
    answer = environments.check_environments(surroundings)
    assert answer.status == "warning"
    assert "and 1 that cannot be used" in answer.detail


def test_a_port_in_use_is_said(surroundings: Surroundings, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as server:
        server.bind((HOST, 0))
        server.listen()
        monkeypatch.setattr(surface, "DEFAULT_PORT", server.getsockname()[1])
        assert "takes the next free one" in surface.check_port(surroundings).detail
    assert surface.check_port(surroundings).detail.endswith("is free")


def test_an_encoding_without_symbols_is_a_warning(
    surroundings: Surroundings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with (tmp_path / "output").open("w", encoding="ascii") as output:
        monkeypatch.setattr("sys.stdout", output)
        assert surface.check_terminal(surroundings).fix == "export PYTHONUTF8=1"
