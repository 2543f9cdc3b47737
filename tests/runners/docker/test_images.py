"""What images are made of and when, with an engine that only writes it down. The real one is in tests/slow."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from docker.errors import APIError, ImageNotFound

from standpipe.errors import EnvironmentBuildError, RunnerError
from standpipe.model.cancellation import Cancellation
from standpipe.model.plan import PythonFunction
from standpipe.runners.docker import images as images_module
from standpipe.runners.docker.images import DerivedImages

FUNCTION = PythonFunction("work", "", packages=("b", "a"))
CONFIG = {"Cmd": ["bash"], "Env": ["PATH=/bin"], "Labels": {"of": "the base"}}


class FakeContainer:
    """A container in which commands are executed; `answers` gives their exit codes and words."""

    def __init__(self, engine: FakeEngine, arguments: dict[str, Any]) -> None:
        self.engine = engine
        self.arguments = arguments
        self.executed: list[tuple[list[str], dict[str, str]]] = []
        self.committed: tuple[str, str, Any] | None = None
        self.labels = {**CONFIG["Labels"], **arguments.get("labels", {})}  # type: ignore[dict-item]
        self.removed = self.killed = False

    def start(self) -> None:
        self.engine.on_start()

    def exec_run(self, command: list[str], *, user: str, environment: dict[str, str]) -> tuple[int | None, bytes]:
        assert user == "0"
        self.executed.append((command, environment))
        return self.engine.answers(command)

    def commit(self, repository: str, tag: str, *, pause: bool, conf: Any = None, changes: Any = None) -> None:
        self.committed = (repository, tag, conf or changes)
        self.engine.present[f"{repository}:{tag}"] = "sha256:derived"

    def kill(self) -> None:
        self.killed = True

    def remove(self, **_: bool) -> None:
        self.removed = True


class FakeEngine:
    """A client of an engine. `present` has the names and ids of its images, `elsewhere` what it can pull."""

    def __init__(self) -> None:
        self.present = {"base:1": "sha256:base"}
        self.elsewhere: dict[str, Iterable[dict[str, Any]]] = {}
        self.pulled: list[tuple[str, str | None]] = []
        self.made: list[FakeContainer] = []
        self.images = self.containers = self.api = self
        self.answers: Callable[[list[str]], tuple[int | None, bytes]] = lambda command: (0, b"")
        self.on_start: Callable[[], None] = lambda: None
        self.own_info: dict[str, Any] = {}

    def info(self) -> dict[str, Any]:
        return self.own_info

    def get(self, name: str) -> Any:
        if name not in self.present:
            raise ImageNotFound("404", explanation=f"No such image: {name}")
        return type("Image", (), {"attrs": {"Id": self.present[name], "Config": CONFIG}})

    def pull(self, name: str, *, stream: bool, decode: bool, platform: str | None) -> Iterator[dict[str, Any]]:
        assert stream
        assert decode
        self.pulled.append((name, platform))
        if name not in self.elsewhere:
            raise APIError("404", explanation="pull access denied")
        time.sleep(0.02)
        yield from self.elsewhere[name]
        self.present[name] = "sha256:pulled"

    def create(self, image: str, **arguments: Any) -> FakeContainer:
        self.made.append(FakeContainer(self, {"image": image, **arguments}))
        return self.made[-1]


class Bench:
    """Derived images of a fake engine."""

    def __init__(self, locks: Path) -> None:
        self.engine = FakeEngine()
        self.notices: list[str] = []
        self.cancel = Cancellation()
        self.images = DerivedImages(lambda: self.engine, locks)  # type: ignore[arg-type, return-value]

    def image(
        self,
        base: str = "base:1",
        function: PythonFunction | None = FUNCTION,
        variables: Mapping[str, str] = {},
        **run_args: Any,
    ) -> str:
        return self.images.image(
            base, function, variables=variables, run_args=run_args, inform=self.notices.append, cancel=self.cancel
        )


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "locks")


# --- which image ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", [None, PythonFunction("work", "")])
def test_without_packages_it_is_the_base_and_nothing_is_made_or_pulled(
    bench: Bench, function: PythonFunction | None
) -> None:
    assert bench.image(function=function) == "base:1"
    assert (bench.engine.pulled, bench.engine.made, bench.notices) == ([], [], [])


def test_a_derived_image_is_made_once_by_many_threads(bench: Bench) -> None:
    with ThreadPoolExecutor(16) as pool:
        names = set(pool.map(lambda _: bench.image(), range(16)))
    assert len(names) == len(bench.engine.made) == 1
    assert bench.notices[0] == "Installing b, a into the image base:1."
    assert len(bench.notices) == 2


def test_the_order_of_packages_does_not_matter_but_everything_else_does(bench: Bench) -> None:
    name = bench.image()
    assert bench.image(function=replace(FUNCTION, name="another", packages=("a", "b"))) == name
    others = [
        replace(FUNCTION, packages=("a",)),
        replace(FUNCTION, index_urls=("http://index/simple",)),
        replace(FUNCTION, index_urls=("http://index/simple",), trusted_hosts=()),
        replace(FUNCTION, use_venv=True),
    ]
    names = {bench.image(function=function) for function in others}
    bench.engine.present["base:1"] = "sha256:newer"
    names.add(bench.image())
    assert len(names | {name}) == 6


# --- how it is made ---------------------------------------------------------------------------------------------------


def test_pip_installs_as_root_in_a_container_of_the_base(bench: Bench) -> None:
    bench.image(
        environment={"PIP_CERT": "/c"}, network_mode="host", mounts=["m"], labels={"standpipe.pid": "1"}, mem_limit="1m"
    )
    (container,) = bench.engine.made
    arguments = container.arguments
    assert arguments["image"] == "base:1"
    assert (arguments["network_mode"], arguments["mounts"]) == ("host", ["m"])
    assert arguments["labels"] == {"standpipe.pid": "1"}
    assert not {"mem_limit", "environment"} & arguments.keys()  # what a container's environment has, a commit keeps
    commands = [command for command, _ in container.executed]
    assert commands == [
        ["python3", "-m", "pip", "--version"],
        ["python3", "-m", "pip", "install", "--no-cache-dir", "b", "a"],
    ]
    assert all(environment["PIP_CERT"] == "/c" for _, environment in container.executed)
    assert container.removed


def test_indexes_are_options_of_pip(bench: Bench) -> None:
    bench.image(function=replace(FUNCTION, index_urls=("https://one", "http://two:8080/simple")))
    bench.image(function=replace(FUNCTION, index_urls=("https://one",), trusted_hosts=("host",)))
    first, second = (container.executed[-1][0][5:-2] for container in bench.engine.made)
    assert first == [
        *("--index-url", "https://one", "--extra-index-url", "http://two:8080/simple"),
        *("--trusted-host", "two:8080"),  # pip fails on the URL that KFP compiles
    ]
    assert second == ["--index-url", "https://one", "--trusted-host", "host"]


def test_variables_in_indexes_are_those_of_the_task_the_image_and_this_machine(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A", "https://machine/a")
    monkeypatch.setenv("PATH_OF_HOST", "https://machine/b")
    function = replace(FUNCTION, index_urls=("$A", "$PATH_OF_HOST", "https://image$PATH"))
    first = bench.image(function=function, variables={"A": "https://me:secret@task/a"})
    second = bench.image(function=function, variables={"A": "https://me:another@task/a"})

    (container,) = bench.engine.made
    command, environment = container.executed[-1]
    words, logins, _ = json.loads(environment["STANDPIPE_PIP"])
    assert [word for word in words if word.startswith("https:")] == [
        "https://task/a",
        "https://machine/b",
        "https://image/bin",
    ]
    assert logins == [["task", "me", "secret"]]
    assert "secret" not in " ".join(command), "all users of the machine see it"
    assert first == second  # a password is no part of the content


def test_the_order_of_options_of_pip_counts(bench: Bench) -> None:
    names = {bench.image(function=replace(FUNCTION, packages=packages)) for packages in (("-c", "a"), ("a", "-c"))}

    assert len(names) == 2


@pytest.mark.parametrize(
    ("output", "reason", "hint"),
    [
        (
            "ERROR: Exception:\nTraceback (most recent call last):\n"
            + "  File ...\n" * 40
            + "ValueError: Invalid IPv6 URL",
            "ValueError: Invalid IPv6 URL",
            "write `host:port` in pip_trusted_hosts",
        ),
        (
            "WARNING: The repository located at h is not a trusted or secure host and is being ignored.\n"
            "ERROR: No matching distribution found for a",
            "The repository located at h",
            "list the host, with its port, in pip_trusted_hosts",
        ),
    ],
)
def test_an_index_without_tls(bench: Bench, output: str, reason: str, hint: str) -> None:
    bench.engine.answers = lambda command: (1 if "install" in command else 0, output.encode())

    with pytest.raises(EnvironmentBuildError) as failure:
        bench.image()
    assert reason in str(failure.value)
    assert hint in str(failure.value).splitlines()[-1]
    assert "network_mode" not in str(failure.value)


def test_a_missing_pip_is_brought_by_ensurepip(bench: Bench) -> None:
    bench.engine.answers = lambda command: (1 if command[-1] == "--version" else 0, b"")
    bench.image()
    commands = [command[2:4] for command, _ in bench.engine.made[0].executed]
    assert commands == [["pip", "--version"], ["ensurepip"], ["pip", "install"]]


@pytest.mark.parametrize(("use_venv", "expected"), [(False, None), (True, "1")])
def test_only_use_venv_installs_into_what_a_distribution_manages(
    bench: Bench, use_venv: bool, expected: str | None
) -> None:
    bench.image(function=replace(FUNCTION, use_venv=use_venv))
    assert bench.engine.made[0].executed[-1][1].get("PIP_BREAK_SYSTEM_PACKAGES") == expected


def test_the_commit_keeps_the_base_s_configuration_and_tells_what_is_in_it(bench: Bench) -> None:
    function = replace(FUNCTION, packages=("b", "a @ https://me:secret@host/a.whl"))
    name = bench.image(function=function, labels={"standpipe.pid": "1"})
    assert bench.engine.made[0].committed is not None
    repository, tag, conf = bench.engine.made[0].committed
    assert name == f"{repository}:{tag}"
    labels = conf.pop("Labels")
    assert conf == {"Cmd": ["bash"], "Entrypoint": [], "Env": ["PATH=/bin"]}
    assert labels == {
        "of": "the base",
        "standpipe.pid": "",
        "standpipe.key": tag,
        "standpipe.base": "base:1",
        "standpipe.packages": json.dumps(["a @ https://***@host/a.whl", "b"]),
    }
    assert "secret" not in "".join(bench.notices)


def test_podman_takes_the_configuration_as_instructions(bench: Bench) -> None:
    bench.engine.own_info = {"BuildahVersion": "1.28.2"}
    bench.image(labels={"standpipe.pid": "1", "of": "several\nlines"})
    assert bench.engine.made[0].committed is not None
    _, tag, changes = bench.engine.made[0].committed
    assert changes == [
        "ENTRYPOINT []",
        'CMD ["bash"]',
        "ENV PATH=/bin",
        "LABEL of=the base",
        "LABEL standpipe.pid=",
        f"LABEL standpipe.key={tag}",
        "LABEL standpipe.base=base:1",
        'LABEL standpipe.packages=["a", "b"]',
    ]


def pip_fails(words: bytes, code: int | None = 1) -> Callable[[list[str]], tuple[int | None, bytes]]:
    return lambda command: (code, words) if "install" in command else (0, b"")


def failure(bench: Bench, **arguments: Any) -> str:
    with pytest.raises(EnvironmentBuildError) as caught:
        bench.image(**arguments)
    return str(caught.value)


def test_a_failure_has_pip_s_own_words_from_its_first_error_on(bench: Bench) -> None:
    lines = [
        b"Collecting b",
        *[b"WARNING: Retrying after 'Network is unreachable': /simple/b/"] * 5,
        b"ERROR: Could not find b",
        b"ERROR: No matching distribution found for b",
        b"[notice] A new release of pip is available",
    ]
    bench.engine.answers = pip_fails(b"\n".join(lines))
    message = failure(bench)
    assert message.startswith("The packages of 'work' could not be installed into the image base:1: pip failed.\n  ")
    assert [line for line in message.splitlines() if line.startswith("  ")] == [
        "  WARNING: Retrying after 'Network is unreachable': /simple/b/",
        "  ERROR: Could not find b",
        "  ERROR: No matching distribution found for b",
    ]
    assert bench.engine.made[0].removed
    assert bench.engine.made[0].committed is None


def test_a_failure_without_a_word_of_error_has_pip_s_last_lines(bench: Bench) -> None:
    bench.engine.answers = pip_fails(b"\n".join(b"line %d" % number for number in range(100)))
    message = failure(bench)
    assert "  line 99" in message
    assert "line 79" not in message


def test_an_exit_code_that_is_not_known_is_a_failure(bench: Bench) -> None:
    bench.engine.answers = pip_fails(b"", code=None)
    assert "pip failed" in failure(bench)


def test_after_a_failure_it_is_tried_again(bench: Bench) -> None:
    bench.engine.answers = pip_fails(b"ERROR: no")
    failure(bench)
    bench.engine.answers = lambda command: (0, b"")
    assert bench.image().startswith("standpipe/env:")


def test_an_engine_that_fails_meanwhile_is_told_in_its_words(bench: Bench) -> None:
    def refuse() -> None:
        raise APIError("400", explanation='exec: "python3": executable file not found')

    bench.engine.on_start = refuse
    message = failure(bench)
    assert message == (
        'The engine failed to install b, a into the image base:1: exec: "python3": executable file not found'
    )
    assert bench.engine.made[0].removed


def test_cancelling_kills_the_container_that_installs(bench: Bench) -> None:
    def install(command: list[str]) -> tuple[int, bytes]:
        bench.cancel.set()
        return 137, b""

    bench.engine.answers = install
    with pytest.raises(RunnerError, match="cancelled"):
        bench.image()
    (container,) = bench.engine.made
    assert container.killed
    assert container.removed
    assert container.committed is None


# --- pulling ----------------------------------------------------------------------------------------------------------


def test_a_missing_image_is_pulled_once_by_many_threads(bench: Bench) -> None:
    bench.engine.elsewhere["far:1"] = []
    with ThreadPoolExecutor(16) as pool:
        names = set(pool.map(lambda _: bench.image("far:1", None, platform="linux/amd64"), range(16)))
    assert names == {"far:1"}
    assert bench.engine.pulled == [("far:1", "linux/amd64")]
    assert bench.notices == [
        "Pulling the image far:1, which is not on this machine.",
        "Pulled the image far:1.",
    ]


def test_progress_is_the_sum_of_the_layers(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images_module, "_SECONDS_BETWEEN_NOTICES", 0.0)
    bench.engine.elsewhere["far:1"] = [
        {"status": "Pulling from far", "id": "1"},
        {"status": "Downloading", "id": "a", "progressDetail": {"current": 10_000_000, "total": 30_000_000}},
        {"status": "Downloading", "id": "b", "progressDetail": {"current": 5_000_000, "total": 20_000_000}},
        {"status": "Downloading", "id": "a", "progressDetail": {"current": 30_000_000, "total": 30_000_000}},
        {"status": "Download complete", "id": "a", "progressDetail": {}},
    ]
    bench.image("far:1", None)
    assert bench.notices[1:-1] == [
        "Pulling the image far:1: 10 of 30 MB.",
        "Pulling the image far:1: 15 of 50 MB.",
        "Pulling the image far:1: 35 of 50 MB.",
        "Pulling the image far:1: 35 of 50 MB.",
    ]


@pytest.mark.parametrize("late", [True, False])
def test_an_image_that_cannot_be_pulled_is_explained(bench: Bench, late: bool) -> None:
    if late:
        bench.engine.elsewhere["far:1"] = [{"status": "Pulling"}, {"error": "pull access denied"}]
    with pytest.raises(RunnerError) as caught:
        bench.image("far:1", None)
    message = str(caught.value)
    assert message.startswith("The image far:1 is not on this machine, and could not be pulled: pull access denied\n")
    for advice in ("spelling", "docker login", "docker load", "docker build -t far:1"):
        assert advice in message


def test_an_image_is_checked_without_its_layers(bench: Bench) -> None:
    def layers() -> Iterator[dict[str, Any]]:
        yield from ({"status": "Pulling from far", "id": "1"}, {"status": "Pulling fs layer", "id": "abc"})
        asked_for_more.wait()
        yield {"status": "Pull complete", "id": "abc"}

    asked_for_more = threading.Event()
    bench.engine.elsewhere["far:1"] = layers()
    for name in ("base:1", "far:1"):
        bench.images.check(name, run_args={"platform": "linux/amd64"}, cancel=bench.cancel)
    asked_for_more.set()
    assert bench.engine.pulled == [("far:1", "linux/amd64")]


@pytest.mark.parametrize("late", [False, True])
def test_a_check_of_an_image_that_cannot_be_pulled_has_the_error_of_a_pull(bench: Bench, late: bool) -> None:
    if late:
        bench.engine.elsewhere["far:1"] = [{"status": "Pulling"}, {"error": "pull access denied"}]
    with pytest.raises(RunnerError) as checked:
        bench.images.check("far:1", run_args={}, cancel=bench.cancel)
    bench.engine.present.pop("far:1", None)
    with pytest.raises(RunnerError, match="The image far:1 is not on this machine, and could not be pulled") as pulled:
        bench.image("far:1", None)
    assert str(checked.value) == str(pulled.value)


def test_a_pull_can_be_cancelled(bench: Bench) -> None:
    bench.engine.elsewhere["far:1"] = [{"status": "Pulling"}] * 3
    bench.cancel.set()
    with pytest.raises(RunnerError, match="cancelled"):
        bench.image("far:1", None)
    assert "far:1" not in bench.engine.present


def test_a_pull_from_a_registry_that_says_nothing_can_be_cancelled(bench: Bench) -> None:
    silence = threading.Event()

    def events() -> Iterator[dict[str, Any]]:
        yield {"status": "Pulling"}
        silence.wait(30)

    bench.engine.elsewhere["far:1"] = events()
    with ThreadPoolExecutor() as pool:
        pulling = pool.submit(bench.image, "far:1", None)
        time.sleep(0.1)
        assert not pulling.done()
        bench.cancel.set()
        with pytest.raises(RunnerError, match="cancelled"):
            pulling.result(timeout=2)
    silence.set()


def test_waiting_for_another_who_builds_can_be_cancelled(bench: Bench, tmp_path: Path) -> None:
    with ThreadPoolExecutor() as pool, bench.images._locked("key", Cancellation()):
        waiting = pool.submit(lambda: bench.images._locked("key", bench.cancel).__enter__())
        time.sleep(0.1)
        assert not waiting.done()
        bench.cancel.set()
        with pytest.raises(RunnerError, match="cancelled"):
            waiting.result(timeout=5)
