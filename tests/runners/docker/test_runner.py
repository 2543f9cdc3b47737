"""What a runner asks of the engine, with an engine that only writes it down. The real one is in tests/slow."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from docker.errors import APIError, DockerException, ImageNotFound

from standpipe.errors import EnvironmentBuildError, RunnerError, UnsupportedError
from standpipe.model.attempts import CommandLine, Mount, Outcome, PodSettings, TaskRequest
from standpipe.model.cancellation import Cancellation
from standpipe.model.plan import Command, Container, PythonFunction
from standpipe.model.refs import TaskRef
from standpipe.model.resources import Capacity, Limits
from standpipe.model.templates import parse_text
from standpipe.runners.docker import container as docker_task
from standpipe.runners.docker import runner as docker_runner
from standpipe.runners.docker.engine import Engine, Owner
from standpipe.runners.docker.run_arguments import RunArguments
from standpipe.runners.docker.runner import ContainerTaskRunner
from standpipe.support import machine_capacity

SHELL = CommandLine(("sh", "-c"), ("true",))
FUNCTION = PythonFunction("work", "def work(): ...\n")

#: What only Podman says of itself.
PODMAN = {"BuildahVersion": "1.28.2"}


@dataclass
class FakeContainer:
    """A container that prints what it is told to and ends as it is told to."""

    client: Any
    arguments: dict[str, Any]
    prints: Iterable[bytes] = ()
    status: int = 0
    error: str = ""
    user: str = ""
    out_of_memory: bool = False
    memory: int = 0
    on_start: Callable[[], None] = lambda: None
    on_wait: Callable[[], None] = lambda: None
    calls: list[str] = field(default_factory=list)
    id: str = "0123456789abcdef"
    short_id: str = "0123456789"

    @property
    def attrs(self) -> dict[str, Any]:
        state, host = {"OOMKilled": self.out_of_memory}, {"Memory": self.memory}
        config = {"User": self.user, "Entrypoint": self.arguments.get("entrypoint")}
        return {"Config": config, "State": state, "HostConfig": host}

    def attach(self) -> socket.socket:
        self.calls.append("attach")
        ours, theirs = socket.socketpair()
        with theirs:
            for data in self.prints:
                theirs.sendall(struct.pack(">BxxxL", 1, len(data)) + data)
        return ours

    def start(self) -> None:
        self.calls.append("start")
        self.on_start()

    def wait(self) -> dict[str, Any]:
        self.calls.append("wait")
        self.on_wait()
        return {"StatusCode": self.status, "Error": {"Message": self.error} if self.error else None}

    def reload(self) -> None:
        self.calls.append("reload")

    def kill(self, signal: str) -> None:
        self.calls.append(signal)

    def remove(self, **arguments: bool) -> None:
        assert arguments == {"v": True, "force": True}
        self.calls.append("remove")


class FakeEngine:
    """A client of an engine, and the images of it; `behaviour` is that of the containers that it makes."""

    def __init__(self, **behaviour: Any) -> None:
        self.behaviour = behaviour
        self.made: list[FakeContainer] = []
        self.options: list[str] = []
        self.more_info: dict[str, Any] = {}
        self.leftovers: list[dict[str, Any]] = []
        self.removed: list[str] = []
        self.asked_for: list[tuple[str, Any, dict[str, Any]]] = []
        self.containers = self
        self.images = self
        self.ids: dict[str, str] = {}
        self.variables: list[str] = []
        self.looked_up: list[str] = []
        self.checked: list[str] = []
        self.api = self
        self.base_url = "http+docker://localhost"
        self.refusal: Exception | None = None

    def __call__(self, *, all: bool, filters: dict[str, str]) -> list[dict[str, Any]]:  # noqa: A002  the SDK's name
        assert (all, filters) == (True, {"label": "standpipe.pid"})
        return self.leftovers

    def info(self) -> dict[str, Any]:
        return {"SecurityOptions": self.options, **self.more_info}

    def create(self, image: str, **arguments: Any) -> FakeContainer:
        if self.refusal:
            raise self.refusal
        self.made.append(FakeContainer(self, {"image": image, **arguments}, **self.behaviour))
        return self.made[-1]

    def attach_socket(self, container: str, params: dict[str, int]) -> socket.socket:
        assert params == {"stdout": 1, "stderr": 1, "stream": 1}
        return next(made for made in reversed(self.made) if made.id == container).attach()

    def remove_container(self, container: str, **_: bool) -> None:
        self.removed.append(container)

    def image(self, base: str, function: Any, *, variables: Any, run_args: Any, inform: Any, cancel: Any) -> str:
        self.asked_for.append((base, function, run_args))
        return base

    def get(self, name: str) -> Any:
        self.looked_up.append(name)
        if name not in self.ids:
            raise ImageNotFound("no such image")
        return SimpleNamespace(id=self.ids[name], attrs={"Config": {"Env": self.variables}})

    def check(self, name: str, *, run_args: Any, cancel: Any) -> None:
        self.checked.append(name)
        if name not in self.ids:
            raise RunnerError(f"The image {name} could not be pulled")

    def pull(self, name: str, **_: Any) -> None:
        raise AssertionError(f"no task of these tests asks for a fresh {name}")

    def close(self) -> None:
        self.removed.append("the connection")


class FakeReaper:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.guarded: list[Any] = []
        self.closed: list[bool] = []

    @contextlib.contextmanager
    def guard(self, labels: Any) -> Iterator[None]:
        self.guarded.append(labels)
        yield

    def close(self, *, everything_removed: bool) -> None:
        self.closed.append(everything_removed)


class Log(list[bytes]):
    """Keeps what a task prints."""

    def write(self, data: bytes) -> None:
        self.append(data)


@dataclass
class Bench:
    """A runner on a fake engine."""

    root: Path
    engine: FakeEngine
    run_args: dict[str, Any] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.reaper = FakeReaper()
        reaper: Any = self.reaper
        connection: Any = Engine(lambda: self.engine)  # type: ignore[arg-type, return-value]
        self.runner = ContainerTaskRunner(
            RunArguments.check(self.run_args),
            self.engine,
            connection,
            reaper,
            warn=self.notices.append,
            inform=self.notices.append,
        )
        self.folder = self.root / "run" / "task"
        (self.folder / "model").mkdir(parents=True)

    def request(self, program: CommandLine | PythonFunction = SHELL, **more: Any) -> TaskRequest:
        ref = TaskRef((("task", None),))
        return TaskRequest(
            "run", ref, 2, "image:1", program, {"inputs": {}}, self.folder, self.root, retry_index=2, **more
        )

    def run(self, program: CommandLine | PythonFunction = SHELL, *, log: Any = None, **more: Any) -> Outcome:
        return self.runner.run(self.request(program, **more), log=Log() if log is None else log, cancel=Cancellation())

    def arguments(self, program: CommandLine | PythonFunction = SHELL, **more: Any) -> dict[str, Any]:
        """What the engine was asked to make a container with."""
        self.run(program, **more)
        return self.engine.made[0].arguments


def read_only(path: Path) -> Mount:
    return Mount(path, str(path), read_only=True)


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def bench(tmp_path: Path, engine: FakeEngine) -> Bench:
    return Bench(tmp_path, engine)


@pytest.fixture
def as_caller(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Makes the runner believe that another user calls."""

    def become(uid: int) -> None:
        monkeypatch.setattr("os.geteuid", lambda: uid)
        monkeypatch.setattr("os.getegid", lambda: uid)

    return become


# --- what the engine is asked for -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        (CommandLine(("a", "b"), ("c",)), {"entrypoint": ["a", "b"], "command": ["c"]}),
        (CommandLine(("a",), ()), {"entrypoint": ["a"], "command": []}),
        (CommandLine((), ("c",)), {"command": ["c"]}),
        (CommandLine((), ()), {"command": []}),
    ],
)
def test_command_and_args_mean_what_they_do_for_kubernetes(
    bench: Bench, program: CommandLine, expected: dict[str, Any]
) -> None:
    arguments = bench.arguments(program)
    assert {key: value for key, value in arguments.items() if key in ("entrypoint", "command")} == expected


def test_a_function_runs_our_inside_on_the_image_s_python(bench: Bench) -> None:
    arguments = bench.arguments(FUNCTION)
    request_file = str(bench.folder / "request.json")
    assert arguments["entrypoint"] == ["python3", "/standpipe/worker/boot.py", "run", request_file]
    worker = Path(docker_runner.__file__).parents[2] / "worker"
    assert f"{worker}:/standpipe/worker:ro" in arguments["volumes"]
    assert json.loads(Path(request_file).read_text())["function"] == "work"


def test_a_command_sees_nothing_of_ours(bench: Bench) -> None:
    assert bench.arguments()["volumes"] == [f"{bench.folder}:{bench.folder}:rw"]
    assert not (bench.folder / "request.json").exists()


def test_the_workspace_and_brought_files_are_mounted(bench: Bench, tmp_path: Path) -> None:
    workspace, brought = tmp_path.parent / f"{tmp_path.name}-workspace", tmp_path.parent / f"{tmp_path.name}-brought"
    workspace.mkdir()
    brought.touch()
    of_other_task = bench.root / "run" / "other" / "out"
    (of_other_task / "part").mkdir(parents=True)
    paths = (brought, of_other_task / "part", of_other_task, tmp_path.parent / "missing")
    volumes = [
        f"{bench.folder}:{bench.folder}:rw",
        f"{workspace}:/kfp-workspace:rw",
        f"{brought}:{brought}:ro",
        f"{of_other_task}:{of_other_task}:ro",
    ]
    arguments = bench.arguments(workspace=workspace, input_mounts=tuple(map(read_only, paths)))
    assert arguments["volumes"] == volumes
    assert "tmpfs" not in arguments


def test_an_input_in_the_workspace_is_at_its_own_path_and_writable(bench: Bench, tmp_path: Path) -> None:
    workspace = bench.folder.parent / ".workspace"
    workspace.mkdir()
    (workspace / "data").touch()
    arguments = bench.arguments(workspace=workspace, input_mounts=(read_only(workspace / "data"),))
    assert arguments["volumes"][1:] == [f"{workspace}:/kfp-workspace:rw", f"{workspace}:{workspace}:rw"]


def test_the_root_is_hidden_in_a_folder_that_the_caller_brought(bench: Bench) -> None:
    brought = bench.root.parent
    arguments = bench.arguments(input_mounts=(read_only(brought),))
    assert f"{brought}:{brought}:ro" in arguments["volumes"]
    assert arguments["tmpfs"] == {str(bench.root): "mode=755"}


def test_an_input_that_is_a_link_is_the_payload_at_the_path_of_the_link(bench: Bench) -> None:
    payload, link = bench.root / "payload", bench.root / "link"
    payload.touch()
    arguments = bench.arguments(input_mounts=(Mount(payload, str(link), read_only=True),))
    assert f"{payload}:{link}:ro" in arguments["volumes"]


def test_a_device_is_no_payload(bench: Bench) -> None:
    os.mkfifo(bench.root / "pipe")
    mounts = (read_only(bench.root / "pipe"), read_only(Path("/dev/null")))
    assert bench.arguments(input_mounts=mounts)["volumes"] == [f"{bench.folder}:{bench.folder}:rw"]


def test_selinux_gets_its_labels(bench: Bench) -> None:
    bench.engine.options = ["name=seccomp,profile=default", "name=selinux"]
    assert {volume.split(":")[2] for volume in bench.arguments(FUNCTION)["volumes"]} == {"rw,z", "ro,z"}


def test_a_path_with_a_colon_is_refused_before_anything_is_made(bench: Bench, tmp_path: Path) -> None:
    brought = tmp_path.parent / f"{tmp_path.name}:1"
    brought.touch()
    with pytest.raises(RunnerError, match=f"{brought} cannot be mounted.*colon"):
        bench.run(input_mounts=(read_only(brought),))
    assert bench.engine.made == []


def test_environment_and_labels(tmp_path: Path, engine: FakeEngine) -> None:
    bench = Bench(tmp_path, engine, {"environment": ["A=runner"], "labels": {"mine": "1"}, "mem_limit": "1g"})
    arguments = bench.arguments(env={"A": "task", "B": "task"})
    assert arguments["environment"] == {"A": "runner", "B": "task", "KFP_RETRY_INDEX": "2"}
    assert arguments["mem_limit"] == "1g"
    assert arguments["labels"]["mine"] == "1"
    assert arguments["labels"]["standpipe.run"] == "run"
    assert arguments["labels"]["standpipe.task"] == "task"
    assert arguments["labels"]["standpipe.pid"].isdigit()


def test_settings_for_kubernetes(bench: Bench, tmp_path: Path) -> None:
    data = tmp_path / "data"
    pod = PodSettings(
        env={"A": "pod"},
        mounts=(Mount(data, "/a"), Mount(data, "/b", read_only=True)),
        shared_memory=64,
        user=7,
        group=8,
        labels={"team": "ml", "standpipe.run": "not theirs to set"},
    )
    arguments = bench.arguments(env={"A": "task", "B": "task"}, pod=pod)
    assert arguments["volumes"] == [f"{bench.folder}:{bench.folder}:rw", f"{data}:/a:rw", f"{data}:/b:ro"]
    assert arguments["environment"] == {"A": "pod", "B": "task", "KFP_RETRY_INDEX": "2"}
    assert (arguments["shm_size"], arguments["user"]) == (64, "7:8")
    assert (arguments["labels"]["team"], arguments["labels"]["standpipe.run"]) == ("ml", "run")
    assert "A" not in bench.engine.asked_for[0][2]["environment"]


def test_run_arguments_win_over_settings_for_kubernetes(tmp_path: Path, engine: FakeEngine) -> None:
    bench = Bench(tmp_path, engine, {"user": "9", "volumes": {"/host": "/c"}, "environment": {"A": "runner"}})
    arguments = bench.arguments(pod=PodSettings(user=7, env={"A": "pod"}, mounts=(Mount(tmp_path, "/a"),)))
    assert (arguments["user"], arguments["environment"]["A"]) == ("9", "runner")
    assert arguments["volumes"] == ["/host:/c:rw", f"{bench.folder}:{bench.folder}:rw", f"{tmp_path}:/a:rw"]


def test_a_container_that_must_not_be_root_is_not_started_as_root(bench: Bench) -> None:
    outcome = bench.run(pod=PodSettings(non_root=True))
    assert "runs as root" in outcome.problem
    assert bench.engine.made[0].calls == ["remove"]
    bench.engine.behaviour["user"] = "1000"
    assert bench.run(pod=PodSettings(non_root=True)).succeeded


def test_images_are_asked_for_with_the_run_arguments_and_the_function(tmp_path: Path, engine: FakeEngine) -> None:
    bench = Bench(tmp_path, engine, {"network_mode": "host", "labels": {"mine": "1"}})
    bench.run(FUNCTION)
    ((base, function, run_args),) = engine.asked_for
    assert (base, function, run_args["network_mode"]) == ("image:1", FUNCTION, "host")
    assert "mine" not in run_args["labels"]
    assert "standpipe.pid" in run_args["labels"]


def test_a_command_needs_no_packages(bench: Bench) -> None:
    bench.run()
    assert bench.engine.asked_for[0][1] is None


def test_an_image_is_prepared_once_for_all_runs(tmp_path: Path, engine: FakeEngine) -> None:
    bench = Bench(tmp_path, engine, {"network_mode": "host", "labels": {"mine": "1"}})
    function = PythonFunction("work", "", packages=("a",))
    executor = Container("image:1", function)
    renamed = replace(executor, program=replace(function, name="other", source="x"))
    assert not bench.runner.is_prepared(executor)
    bench.runner.prepare(executor, Cancellation())

    ((base, asked_for, run_args),) = engine.asked_for
    assert (base, asked_for, run_args["network_mode"]) == ("image:1", function, "host")
    assert "mine" not in run_args["labels"]
    assert bench.reaper.guarded == [run_args["labels"]]
    assert bench.runner.is_prepared(executor)
    assert bench.runner.is_prepared(renamed)  # the same packages in the same image
    assert not bench.runner.is_prepared(Container("image:2", Command()))


def test_an_image_that_only_its_task_knows_is_not_prepared(bench: Bench) -> None:
    variable = PythonFunction("work", "", packages=("a",), index_urls=("$URL",))

    assert bench.runner.is_prepared(Container("image:1", variable))
    assert bench.runner.is_prepared(Container(parse_text("{{$.inputs.parameters['image']}}"), Command()))


def test_what_the_engine_refuses_to_make_is_told_in_its_words(bench: Bench) -> None:
    bench.engine.refusal = APIError("400", explanation="invalid mem_limit")
    with pytest.raises(RunnerError, match=r"(?s)of the image image:1: invalid mem_limit.*arguments of the Docker"):
        bench.run()


# --- limits -----------------------------------------------------------------------------------------------------------


def test_limits_are_those_of_the_container(bench: Bench) -> None:
    arguments = bench.arguments(limits=Limits(cpu=0.5, memory=64 * 2**20, gpus=("0", "GPU-2")))
    assert arguments["nano_cpus"] == 500_000_000
    assert arguments["mem_limit"] == arguments["memswap_limit"] == 64 * 2**20
    (devices,) = arguments["device_requests"]
    assert (devices["DeviceIDs"], devices["Capabilities"]) == (["0", "GPU-2"], [["gpu"]])
    assert "CUDA_VISIBLE_DEVICES" not in arguments["environment"], "a container counts its own from 0"


def test_a_container_without_limits_has_none(bench: Bench) -> None:
    assert bench.arguments().keys() == {"image", "command", "entrypoint", "environment", "labels", "volumes", "init"}


@pytest.mark.parametrize(("run_args", "init"), [({}, True), ({"init": False}, False)])
def test_an_init_program_is_the_first_process(tmp_path: Path, run_args: dict[str, Any], init: bool) -> None:
    assert Bench(tmp_path, FakeEngine(), run_args).arguments()["init"] is init


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"mem_limit": "1g"}, {"mem_limit": "1g", "nano_cpus": 10**9}),
        ({"cpu_quota": 50_000}, {"cpu_quota": 50_000, "mem_limit": 7, "memswap_limit": 7}),
        ({"memswap_limit": 9}, {"nano_cpus": 10**9, "mem_limit": 7, "memswap_limit": 9}),
    ],
)
def test_run_arguments_win_over_limits(
    tmp_path: Path, engine: FakeEngine, given: dict[str, Any], kept: dict[str, Any]
) -> None:
    arguments = Bench(tmp_path, engine, given).arguments(limits=Limits(cpu=1.0, memory=7))
    about = {"mem_limit", "memswap_limit", "nano_cpus", "cpu_quota"}
    assert {name: value for name, value in arguments.items() if name in about} == kept


# --- threads ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def eight_cores(monkeypatch: pytest.MonkeyPatch, engine: FakeEngine) -> None:
    monkeypatch.setattr(machine_capacity, "read_capacity", lambda: Capacity(8, 2**40))
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    engine.ids["image:1"] = "sha256:1"


@pytest.mark.usefixtures("eight_cores")
@pytest.mark.parametrize(
    ("run_args", "request_args", "threads"),
    [
        ({}, {}, None),
        ({}, {"concurrency": 4}, "2"),
        ({}, {"limits": Limits(cpu=2.5)}, "3"),
        ({}, {"concurrency": 4, "limits": Limits(cpu=5)}, "2"),
        ({"nano_cpus": 3 * 10**9}, {}, "3"),
        ({"cpu_quota": 150_000}, {}, "2"),
        ({"cpu_quota": 20_000, "cpu_period": 10_000}, {"limits": Limits(cpu=4)}, "2"),
        ({"cpu_quota": -1}, {}, None),
        ({"cpuset_cpus": "0-2,5"}, {}, "4"),
        ({}, {"concurrency": 4, "env": {"OMP_NUM_THREADS": "6"}}, "6"),
        ({}, {"concurrency": 4, "pod": PodSettings(env={"OMP_NUM_THREADS": "6"})}, "6"),
        ({"environment": {"OMP_NUM_THREADS": "6"}}, {"concurrency": 4}, "6"),
        ({"environment": ["OMP_NUM_THREADS"]}, {"concurrency": 4}, None),
    ],
)
def test_libraries_start_as_many_threads_as_the_task_has_cores(
    tmp_path: Path, engine: FakeEngine, run_args: dict[str, Any], request_args: dict[str, Any], threads: str | None
) -> None:
    arguments = Bench(tmp_path, engine, run_args).arguments(**request_args)
    assert arguments["environment"].get("OMP_NUM_THREADS") == threads


@pytest.mark.usefixtures("eight_cores")
def test_thread_counts_of_an_image_stay(bench: Bench) -> None:
    bench.engine.variables = ["PATH=/bin", "OMP_NUM_THREADS=6"]
    environment = bench.arguments(concurrency=4)["environment"]
    assert "OMP_NUM_THREADS" not in environment
    assert environment["POLARS_MAX_THREADS"] == "2"


def test_a_debugger_needs_the_other_runner(bench: Bench) -> None:
    with pytest.raises(UnsupportedError, match=r"'task' cannot be debugged in a container.*SubprocessRunner\(\)"):
        bench.run(FUNCTION, debug=True)
    assert bench.engine.made == []


def test_a_function_says_what_it_used(bench: Bench) -> None:
    (bench.folder / "usage.json").write_text('{"cpu_seconds": 0.5, "peak_memory": 1024}')
    outcome = bench.run(FUNCTION)
    assert (outcome.cpu_seconds, outcome.peak_memory) == (0.5, 1024)
    assert json.loads((bench.folder / "request.json").read_text())["usage_file"] == str(bench.folder / "usage.json")
    assert bench.run().cpu_seconds is None, "nobody in there would tell of a command"


@pytest.mark.parametrize("left", ["", "[]", '{"cpu_seconds": null}'])
def test_what_is_no_usage_is_none(bench: Bench, left: str) -> None:
    (bench.folder / "usage.json").write_text(left)
    assert bench.run(FUNCTION).peak_memory is None


def test_the_peak_of_what_the_kernel_killed_is_the_limit(bench: Bench) -> None:
    bench.engine.behaviour = {"status": 137, "out_of_memory": True, "memory": 64 * 2**20}
    assert bench.run().peak_memory == 64 * 2**20


# --- how it ends ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "out_of_memory", "expected"),
    [
        (0, False, Outcome(exit_code=0)),
        (3, False, Outcome(exit_code=3)),
        (1, True, Outcome(exit_code=1, out_of_memory=True)),
        (128, False, Outcome(exit_code=128)),
        (137, True, Outcome(signal=9, out_of_memory=True)),
        (0, True, Outcome(signal=9, out_of_memory=True)),
        (143, False, Outcome(signal=15)),
        (192, False, Outcome(signal=64)),
        (193, False, Outcome(exit_code=193)),
        (255, False, Outcome(exit_code=255)),
    ],
)
def test_a_status_is_an_exit_code_or_a_signal(
    bench: Bench, status: int, out_of_memory: bool, expected: Outcome
) -> None:
    bench.engine.behaviour = {"status": status, "out_of_memory": out_of_memory}
    assert bench.run() == expected


def test_it_attaches_before_it_starts_and_removes_at_the_end(bench: Bench) -> None:
    bench.engine.behaviour = {"prints": [b"one\n", b"two"]}
    log = Log()
    assert bench.run(log=log).succeeded
    assert log == [b"one\n", b"two"]
    assert bench.engine.made[0].calls == ["attach", "start", "wait", "remove"]


def test_an_unknown_end_is_a_failure(bench: Bench) -> None:
    def vanish() -> None:
        raise APIError("404", explanation="No such container")

    bench.engine.behaviour = {"on_wait": vanish}
    assert bench.run() == Outcome(problem="how its container ended is unknown: No such container")
    assert bench.engine.made[0].calls[-1] == "remove"


def test_a_status_of_a_container_that_was_removed_is_not_believed(bench: Bench) -> None:
    bench.engine.behaviour = {"error": "container has already been removed"}  # as Podman 4.3 answers
    assert bench.run() == Outcome(problem="how its container ended is unknown: container has already been removed")


def test_a_program_that_podman_cannot_start_without_an_init_program_is_told(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: FakeContainer) -> None:
        reason = 'exec: "python4": executable file not found in $PATH'
        raise APIError("409", explanation=f"preparing container d2b5c21df23b for attach: {reason}")

    monkeypatch.setattr(FakeContainer, "attach", refuse)
    problem = bench.run().problem
    assert problem.startswith('its container could not be started: exec: "python4": executable file not found in $PATH')
    assert bench.engine.made[0].calls == ["remove"]


def test_podman_may_not_know_that_the_kernel_killed_a_task(bench: Bench) -> None:
    bench.engine.behaviour = {"status": 137, "memory": 64 * 1024**2}
    assert bench.run().hint == ""
    bench = Bench(bench.root / "other", bench.engine)
    bench.engine.more_info = PODMAN
    assert bench.run() == Outcome(signal=9)
    assert bench.run().hint.startswith("Its memory limit is 64 MiB. Podman may not report")


def test_podman_without_root_ignores_limits_on_cgroups_of_version_1_which_is_said_once(
    bench: Bench, tmp_path: Path
) -> None:
    bench.engine.more_info = {**PODMAN, "Rootless": True, "CgroupVersion": "1"}
    bench.run()
    assert bench.notices == []
    bench.run(limits=Limits(memory=1024**2))
    bench.run(limits=Limits(cpu=1.0))
    (notice,) = bench.notices
    assert notice.startswith("Tasks run without their limits of CPU and memory: Podman without root")


@pytest.mark.parametrize(("program", "hint"), [(SHELL, "command and args"), (FUNCTION, "needs python3")])
def test_a_program_that_cannot_be_started_is_told(
    bench: Bench, program: CommandLine | PythonFunction, hint: str
) -> None:
    def refuse() -> None:
        raise APIError("400", explanation="executable file not found")

    bench.engine.behaviour = {"on_start": refuse}
    problem = bench.run(program).problem
    assert problem.startswith("its container could not be started: executable file not found\n")
    assert hint in problem
    assert bench.engine.made[0].calls == ["attach", "start", "remove"]


@pytest.mark.parametrize(
    "printed",
    [
        b"[FATAL tini (7)] exec python4 failed: No such file or directory\n",
        b"ERROR (catatonit:2): exec python4 failed: No such file or directory\n",
    ],
)
@pytest.mark.parametrize(("program", "hint"), [(SHELL, "command and args"), (FUNCTION, "needs python3")])
def test_a_program_that_the_init_program_cannot_start_is_told(
    bench: Bench, program: CommandLine | PythonFunction, hint: str, printed: bytes
) -> None:
    bench.engine.behaviour = {"prints": [printed], "status": 127}
    problem = bench.run(program).problem
    assert problem.startswith("its container could not be started: exec python4 failed: No such file or directory\n")
    assert hint in problem


def test_the_program_that_podman_s_init_program_does_not_name_is_told(bench: Bench) -> None:
    bench.engine.behaviour = {
        "prints": [b"ERROR (catatonit:6): failed to exec pid1: No such file or directory\n"],
        "status": 1,
    }
    problem = bench.run(CommandLine(("python4", "-V"), ())).problem
    assert problem.startswith("its container could not be started: failed to exec python4: No such file or directory\n")


def test_an_engine_without_an_init_program_is_explained(bench: Bench) -> None:
    def refuse() -> None:
        raise APIError("400", explanation='exec: "docker-init": executable file not found in $PATH')

    bench.engine.behaviour = {"on_start": refuse}
    assert "local.DockerRunner(init=False)" in bench.run().problem


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, OSError])
def test_a_container_is_removed_whatever_happens(bench: Bench, interruption: type[BaseException]) -> None:
    class FullDisk(Log):
        def write(self, data: bytes) -> None:
            raise interruption

    bench.engine.behaviour = {"prints": [b"x"]}
    with pytest.raises(interruption):
        bench.run(log=FullDisk())
    assert bench.engine.made[0].calls[-1] == "remove"


@pytest.mark.parametrize("comes_back", [True, False])
def test_a_container_that_cannot_be_removed_is_a_notice_and_is_tried_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, comes_back: bool
) -> None:
    def refuse(self: FakeContainer, **_: bool) -> None:
        raise APIError("500", explanation="device or resource busy")

    with monkeypatch.context() as patched:
        patched.setattr(FakeContainer, "remove", refuse)
        assert bench.run().succeeded
    assert bench.notices == ["The container 0123456789 was not removed: device or resource busy"]
    if comes_back:
        bench.run()
        assert bench.engine.removed == ["0123456789abcdef"]
    bench.runner.close()
    assert bench.reaper.closed == [comes_back]


def test_the_reaper_looks_after_a_run_from_before_its_image_is_made(bench: Bench) -> None:
    def image(*_: Any, **__: Any) -> str:
        assert bench.reaper.guarded == [Owner.current().labels]
        raise EnvironmentBuildError("no")

    bench.engine.image = image  # type: ignore[method-assign]
    with pytest.raises(EnvironmentBuildError):
        bench.run()


def test_an_engine_that_died_is_named(bench: Bench) -> None:
    def vanish() -> None:
        raise ConnectionError("refused") from ConnectionRefusedError(111, "Connection refused")

    bench.engine.behaviour = {"on_wait": vanish}
    assert bench.run().problem.startswith(
        "how its container ended is unknown: the container engine stopped answering (Connection refused). Start the"
    )


def test_a_failed_function_has_its_traceback(bench: Bench) -> None:
    (bench.folder / "error.json").write_text('{"kind": "MemoryError", "traceback": "MemoryError: much\\n"}')
    bench.engine.behaviour = {"status": 1}
    assert bench.run(FUNCTION) == Outcome(exit_code=1, detail="MemoryError: much", out_of_memory=True)
    assert bench.run() == Outcome(exit_code=1)


# --- stopping ---------------------------------------------------------------------------------------------------------


def test_a_container_is_asked_to_stop_more_and_more_plainly(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker_task, "_GRACE_PERIOD", 0.05)
    cancel, killed = Cancellation(), threading.Event()

    def kill(self: FakeContainer, signal: str) -> None:
        self.calls.append(signal)
        if signal == "SIGINT":
            raise APIError("409", explanation="the container is not running")
        if self.calls.count("SIGKILL") == 2:
            killed.set()

    monkeypatch.setattr(FakeContainer, "kill", kill)
    bench.engine.behaviour = {"status": 137, "on_start": cancel.set, "on_wait": lambda: bool(killed.wait(5))}
    outcome = bench.runner.run(bench.request(), log=Log(), cancel=cancel)
    assert outcome == Outcome(signal=9)
    signals = [call for call in bench.engine.made[0].calls if call.startswith("SIG")]
    assert signals == ["SIGINT", "SIGTERM", "SIGKILL", "SIGKILL"]


@pytest.mark.parametrize("at_once", [True, False])
def test_an_urgent_wish_kills_at_once(bench: Bench, monkeypatch: pytest.MonkeyPatch, at_once: bool) -> None:
    cancel, asked, killed = Cancellation(), threading.Event(), threading.Event()

    def kill(self: FakeContainer, signal: str) -> None:
        self.calls.append(signal)
        (killed if signal == "SIGKILL" else asked).set()

    def wish() -> None:
        cancel.set(urgent=at_once)

    def wait() -> None:
        if not at_once:
            assert asked.wait(5)
            cancel.set(urgent=True)
        assert killed.wait(1), "sooner than any patience"

    monkeypatch.setattr(FakeContainer, "kill", kill)
    bench.engine.behaviour = {"status": 137, "on_start": wish, "on_wait": wait}
    assert bench.runner.run(bench.request(), log=Log(), cancel=cancel) == Outcome(signal=9)
    signals = [call for call in bench.engine.made[0].calls if call.startswith("SIG")]
    assert signals == (["SIGKILL"] if at_once else ["SIGINT", "SIGKILL"])


def test_what_was_cancelled_before_does_not_start(bench: Bench) -> None:
    cancel = Cancellation()
    cancel.set()
    outcome = bench.runner.run(bench.request(), log=Log(), cancel=cancel)
    assert outcome == Outcome(problem="it was cancelled before it started")
    assert bench.engine.made == []


def test_cancelling_while_the_image_is_made_is_no_error(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    cancel = Cancellation()

    def image(*_: Any, **__: Any) -> str:
        cancel.set()
        raise EnvironmentBuildError("pip was killed")

    monkeypatch.setattr(bench.engine, "image", image)
    outcome = bench.runner.run(bench.request(), log=Log(), cancel=cancel)
    assert outcome == Outcome(problem="it was cancelled before it started")


def test_leftovers_are_swept_once_and_a_refusal_is_a_notice(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.engine.leftovers = [{"Id": "left", "Labels": {"standpipe.pid": "1", "standpipe.boot": "earlier"}}]
    bench.run()
    bench.run()
    assert bench.engine.removed == ["left"]

    def refuse(container: str, **_: bool) -> None:
        raise APIError("409", explanation="in progress")

    monkeypatch.setattr(bench.engine, "remove_container", refuse)
    another = replace(bench, root=bench.root / "another")
    another.run()
    assert bench.notices == ["The leftover container left was not removed: in progress"]


def test_an_engine_that_stops_answering_is_an_error_of_the_runner(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def vanish() -> dict[str, Any]:
        raise DockerException("connection reset")

    monkeypatch.setattr(bench.engine, "info", vanish)
    with pytest.raises(RunnerError, match="does not answer: connection reset"):
        bench.run()


def test_closing_twice_closes_the_connection_once(bench: Bench) -> None:
    bench.run()
    bench.runner.close()
    bench.runner.close()
    assert bench.engine.removed == ["the connection"]


# --- users ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("caller", "user", "options", "owner"),
    [
        (0, "", [], None),
        (1000, "", [], [1000, 1000]),
        (1000, "root:root", [], [1000, 1000]),
        (1000, "1000", [], None),
        (1000, "somebody", [], None),  # who cannot give anything away
        (1000, "", ["name=rootless"], None),  # the engine's root is the caller
    ],
)
def test_a_function_that_runs_as_root_gives_its_outputs_to_the_caller(
    bench: Bench, as_caller: Callable[[int], None], caller: int, user: str, options: list[str], owner: Any
) -> None:
    as_caller(caller)
    bench.engine.behaviour, bench.engine.options = {"user": user}, options
    bench.run(FUNCTION)
    assert json.loads((bench.folder / "request.json").read_text())["owner"] == owner


@pytest.mark.parametrize(
    ("user", "mode"),
    [("", 0o755), ("root", 0o755), ("0:0", 0o755), ("1000:1000", 0o755), ("1001", 0o777), ("me", 0o777)],
)
def test_an_image_s_own_user_can_write_outputs_while_it_runs(
    bench: Bench, as_caller: Callable[[int], None], user: str, mode: int
) -> None:
    as_caller(1000)
    modes: list[int] = []
    for folder in (bench.folder, bench.folder / "model"):
        folder.chmod(0o755)

    def look() -> None:
        modes.extend(folder.stat().st_mode & 0o777 for folder in (bench.folder, bench.folder / "model"))

    bench.engine.behaviour = {"user": user, "on_start": look}
    bench.run()
    assert modes[:2] == [mode, mode]
    assert (bench.folder / "model").stat().st_mode & 0o777 == 0o700


def test_what_belongs_to_another_user_is_given_to_the_caller_by_a_container_of_the_image(
    bench: Bench, as_caller: Callable[[int], None], tmp_path: Path
) -> None:
    as_caller(4242)  # to whom nothing here belongs
    workspace = tmp_path.parent / f"{tmp_path.name}-workspace"
    workspace.mkdir()
    bench.run(workspace=workspace)
    task, helper = bench.engine.made
    assert task.calls[-1] == helper.calls[-1] == "remove"
    assert helper.arguments["image"] == "image:1"
    assert helper.arguments["entrypoint"] == ["chown", "-Rh", "4242:4242", str(bench.folder)]
    assert helper.arguments["user"] == "0:0"
    assert helper.arguments["volumes"] == [f"{bench.folder}:{bench.folder}:rw"]
    (notice,) = bench.notices  # the helper is a fake
    assert notice.endswith(f"sudo chown -R 4242:4242 {bench.folder}")


@pytest.mark.parametrize("info", [{"SecurityOptions": ["name=rootless"]}, {**PODMAN, "Rootless": True}])
def test_a_rootless_engine_s_root_is_the_caller(
    bench: Bench, as_caller: Callable[[int], None], info: dict[str, Any]
) -> None:
    as_caller(4242)
    bench.engine.more_info, bench.engine.behaviour = info, {"user": "1001"}
    bench.run()
    assert bench.engine.made[1].arguments["entrypoint"][:3] == ["chown", "-Rh", "0:0"]


def test_the_part_of_the_runner_in_a_result_is_the_image_and_what_all_containers_get(tmp_path: Path) -> None:
    engine = FakeEngine()
    engine.ids["image:1"] = "sha256:1"

    def of(number: int, **run_args: Any) -> str:
        bench = Bench(tmp_path / str(number), engine, run_args)
        return bench.runner.fingerprint(bench.request())

    plain = of(1)
    assert plain == of(2)
    assert "sha256:1" in plain
    others = [of(3, environment={"A": "1"}), of(4, volumes=["/a:/b"]), of(5, network_mode="host")]
    assert len({plain, *others}) == 4
    engine.ids["image:1"] = "sha256:2"
    assert of(6) != plain
    engine.ids.clear()
    assert of(7) == ""


def test_an_image_is_looked_up_once_for_many_tasks_that_follow_each_other(bench: Bench) -> None:
    bench.engine.ids["image:1"] = "sha256:1"
    assert len({bench.runner.fingerprint(bench.request()) for _ in range(50)}) == 1
    assert len(bench.engine.looked_up) < 10


@pytest.mark.parametrize(
    "image",
    [
        *("alpine", "python:3.11-slim", "registry.example.org:5000/team/train:1.2", "gcr.io/a/b__c/d-e.f"),
        *(f"alpine@sha256:{'0' * 64}", f"a/b:1@sha256:{'f' * 64}", "Example.org/a", "localhost:1/a"),
    ],
)
def test_names_of_images_are_no_problem(image: str, bench: Bench) -> None:
    assert list(bench.runner.find_problems(Container(image, Command()))) == []


def test_an_image_is_checked_once_for_the_executors_of_a_run(bench: Bench) -> None:
    bench.engine.ids["image:1"] = "sha256:1"
    executors = [Container(image, Command((text,))) for image in ("image:1", "missing:1") for text in "ab"]
    for run in range(1, 3):
        cancel, errors = Cancellation(), []
        for executor in executors:
            try:
                bench.runner.check(executor, cancel)
            except RunnerError as error:
                errors.append(str(error))
        assert errors == ["The image missing:1 could not be pulled"] * 2
        assert bench.engine.checked == ["image:1", "missing:1"] * run


@pytest.mark.parametrize(
    "image", ["Alpine", "alpine:", "a//b", "alpine:la test", "https://example.org/a", "team/Train:1"]
)
def test_an_invalid_name_of_an_image_is_found_before_the_first_task(image: str, bench: Bench) -> None:
    (problem,) = bench.runner.find_problems(Container(image, Command()))

    assert problem.message.startswith(f"invalid name of an image {image!r}: expected lower case, such as")


def test_a_missing_engine_is_found_before_the_first_task() -> None:
    def fail() -> Any:
        raise DockerException("connection refused")

    other: Any = None
    runner = ContainerTaskRunner(RunArguments.check({}), other, Engine(fail), other)

    (problem,) = runner.find_problems(Container("alpine", Command()))

    assert "connection refused" in problem.message
    assert "local.SubprocessRunner()" in problem.message
