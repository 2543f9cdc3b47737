"""kfp-kubernetes as users install it, and our own functions: how settings compile, and their effect on both runners."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

import standpipe
from standpipe import local
from standpipe.errors import RunnerError, TaskFailed
from standpipe.model.attempts import CommandLine, Mount, Outcome, PodSettings

from .docker_engine import Bench, Log, variant

if TYPE_CHECKING:
    from docker import DockerClient

pytestmark = pytest.mark.slow

CORPUS = Path(__file__).parent / "kubernetes_corpus.py"
CALLS = Path(__file__).parent / "kubernetes_calls.py"
ENTRIES = re.findall(r"^@entry\ndef (\w+)", CORPUS.read_text(encoding="utf-8"), re.MULTILINE)
SOURCES = Path(standpipe.__file__).parent.parent

#: Compiles with our modules, and prints which modules of the installed KFP SDK were imported.
AS_KFP = """
import json, runpy, sys, standpipe
standpipe.install_as_kfp()
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
files = {name: getattr(module, "__file__", None) or "" for name, module in sys.modules.items()}
print(json.dumps([name for name, file in files.items() if "site-packages/kfp/" in file]))
"""

OBJECTS = {
    "secrets": {"db": {"user": "me", "pw": "s3cret"}},
    "configmaps": {"app": {"mode": "fast"}},
}


def documents(file: Path) -> list[object] | None:
    """Return the compiled documents; None if compiling was refused."""
    return list(yaml.safe_load_all(file.read_text(encoding="utf-8"))) if file.exists() else None


@pytest.fixture(scope="session")
def theirs(kfp_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("theirs")
    subprocess.run([kfp_python, "-W", "ignore", CORPUS, folder], check=True)
    return folder


@pytest.fixture(scope="session")
def ours(kfp_python: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    folder = tmp_path_factory.mktemp("ours")
    done = subprocess.run(
        [kfp_python, "-W", "ignore", "-c", AS_KFP, CORPUS, folder],
        check=True,
        env={**os.environ, "PYTHONPATH": str(SOURCES)},
        stdout=subprocess.PIPE,
    )
    return folder, yaml.safe_load(done.stdout)


@pytest.fixture(scope="session")
def ours_alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return what is compiled where kfp-kubernetes is not installed."""
    folder = tmp_path_factory.mktemp("ours_alone")
    subprocess.run([sys.executable, "-W", "ignore", "-c", AS_KFP, CORPUS, folder], check=True, stdout=subprocess.PIPE)
    return folder


@pytest.mark.parametrize("name", ENTRIES)
def test_settings_compile_to_the_same_documents(theirs: Path, ours: tuple[Path, list[str]], name: str) -> None:
    own = ours[0] / f"{name}.error"
    assert documents(ours[0] / f"{name}.yaml") == documents(theirs / f"{name}.yaml"), own.exists() and own.read_text()


@pytest.mark.parametrize("name", ENTRIES)
def test_our_own_functions_compile_to_the_same_documents(theirs: Path, ours_alone: Path, name: str) -> None:
    own = ours_alone / f"{name}.error"
    compiled = without_descriptions(documents(ours_alone / f"{name}.yaml"))
    assert compiled == without_descriptions(documents(theirs / f"{name}.yaml")), own.exists() and own.read_text()


def without_descriptions(value: Any) -> Any:
    """Return documents without descriptions: those of CreatePVC and DeletePVC are our own."""
    if isinstance(value, dict):
        return {key: without_descriptions(item) for key, item in value.items() if key != "description"}
    return [without_descriptions(item) for item in value] if isinstance(value, list) else value


def test_our_own_functions_take_and_refuse_the_same_arguments(kfp_python: Path) -> None:
    """Our errors are also of the classes that the SDK raises."""
    programs: tuple[list[str | Path], ...] = (
        [kfp_python, "-W", "ignore"],
        [sys.executable, "-W", "ignore", "-c", AS_KFP],
    )
    theirs, ours = (subprocess.check_output([*program, CALLS], text=True).splitlines()[0] for program in programs)
    calls = list(zip(json.loads(theirs), json.loads(ours), strict=True))
    assert len(calls) > 150
    for number, (their, our) in enumerate(calls):
        assert their[0] in our if isinstance(their, list) else their == our, f"call {number}"


INIT_CONTAINER = """
import sys
from kfp import compiler, dsl
from kfp.kubernetes import add_init_container, empty_dir_mount, set_timeout

@dsl.component
def greet():
    print("hello")

@dsl.pipeline
def greeting():
    task = greet()
    add_init_container(task, name="first", image="busybox:1", restart_policy="Always")
    empty_dir_mount(task, volume_name="shared", mount_path="/data")
    add_init_container(task, name="second", image="busybox:1", volume_mounts={"shared": "/data"})
    set_timeout(task, 20)

compiler.Compiler().compile(greeting, sys.argv[1])
"""


def test_init_containers_fit_a_release_that_does_not_know_them(kfp_python: Path, tmp_path: Path) -> None:
    """The installed functions refuse settings that they do not know, so the order of the calls must not matter."""
    (tmp_path / "program.py").write_text(INIT_CONTAINER)
    command = [str(kfp_python), "-W", "ignore", "-c", AS_KFP]
    command += [str(tmp_path / "program.py"), str(tmp_path / "greeting.yaml")]
    environment = {**os.environ, "PYTHONPATH": str(SOURCES)}
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    (_, platform) = yaml.safe_load_all((tmp_path / "greeting.yaml").read_text(encoding="utf-8"))
    assert platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-greet"] == {
        "activeDeadlineSeconds": "20",
        "emptyDirMounts": [{"mountPath": "/data", "volumeName": "shared"}],
        "initContainers": [
            {"image": "busybox:1", "name": "first", "restartPolicy": "Always"},
            {
                "image": "busybox:1",
                "name": "second",
                "volumeMounts": [{"mountPath": "/data", "volumeName": "shared"}],
            },
        ],
    }


def test_nothing_else_of_the_sdk_is_imported(ours: tuple[Path, list[str]]) -> None:
    assert {".".join(name.split(".")[:2]) for name in ours[1]} == {"kfp.kubernetes", "kfp.pipeline_spec"}


@pytest.fixture(params=["SubprocessRunner", "DockerRunner"])
def runner(request: pytest.FixtureRequest) -> Any:
    if request.param == "DockerRunner":
        request.getfixturevalue("docker_client")
    return getattr(local, request.param)()


def outputs_of(file: Path, runner: Any, root: Path, kubernetes: Mapping[str, Any] = OBJECTS) -> Any:
    return local.run(file, runner=runner, pipeline_root=root, quiet=True, kubernetes=kubernetes).output


def test_variables_on_each_runner(
    theirs: Path, runner: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    env = outputs_of(theirs / "run_variables.yaml", runner, tmp_path)["env"]
    assert len(env.pop("RUN")) == 36
    assert env == {"DB_USER": "me", "DB_PW": "s3cret", "MODE": "fast", "NONE": None, "NODE": os.uname().nodename}
    assert "ignored tolerations of task 'look'" in capsys.readouterr().err


def test_volumes_on_each_runner(theirs: Path, runner: Any, tmp_path: Path) -> None:
    seen = outputs_of(theirs / "run_volumes.yaml", runner, tmp_path)
    assert seen["files"] == {
        "/etc/run/db": {"user": "me", "pw": "s3cret"},
        "/etc/run/app": {"mode": "fast"},
        "/etc/run/none": {},
        "/run-data": {"note": "kept"},
        "/run-part": {},
        "/opt": {},
    }
    assert seen["env"] == {"[]": None}, "the emptyDir was empty, and the secret could not be written"
    assert list((tmp_path / "pvcs").iterdir()) == []
    for place in ("/etc/run", "/run-data", "/run-part", "/run-scratch"):
        assert not Path(place).exists()


def test_each_iteration_has_its_own_secret_on_each_runner(theirs: Path, runner: Any, tmp_path: Path) -> None:
    secrets = {"one": {"user": "1"}, "two": {"user": "2"}}
    seen = outputs_of(theirs / "run_in_a_loop.yaml", runner, tmp_path, {"secrets": secrets})
    assert [each["env"] for each in seen] == [{"DB_USER": "1"}, {"DB_USER": "2"}]


def test_a_timeout_on_each_runner(theirs: Path, runner: Any, tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(TaskFailed, match=r"Task 'linger' failed: it was stopped by its timeout, after 1 s"):
        outputs_of(theirs / "run_too_long.yaml", runner, tmp_path)
    assert time.monotonic() - started < 30


def shell(bench: Bench, script: str, **pod: Any) -> tuple[Outcome, str]:
    log = Log()
    request = bench.request(CommandLine(("sh", "-c", script), ()), pod=PodSettings(**pod))
    return bench.run(request, log), log.text


def test_one_folder_is_mounted_at_several_places(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "x").write_text("here")
    mounts = (Mount(tmp_path / "data", "/a"), Mount(tmp_path / "data", "/b", read_only=True))
    script = "cat /a/x /b/x; touch /a/y; touch /b/z 2>/dev/null || echo refused"
    outcome, said = shell(bench, script, mounts=mounts)
    assert outcome.succeeded
    assert said.strip() == "herehererefused"
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["x", "y"]


def test_user_group_and_shared_memory_are_as_asked(bench: Bench) -> None:
    script = "id -u; id -g; df -k /dev/shm | tail -1 | tr -s ' ' | cut -d' ' -f2"
    outcome, said = shell(bench, script, user=1234, group=4321, shared_memory=8 * 2**20, non_root=True)
    assert outcome.succeeded, said
    assert said.split() == ["1234", "4321", "8192"]


def test_a_group_leaves_the_user_of_the_image(bench: Bench, docker_client: DockerClient) -> None:
    with variant(docker_client, User="77") as image:
        log = Log()
        request = bench.request(CommandLine(("sh", "-c", "id -u; id -g"), ()), image=image, pod=PodSettings(group=5))
        assert bench.run(request, log).succeeded
    assert log.text.split() == ["77", "5"]


def test_root_is_refused_by_run_as_non_root(bench: Bench) -> None:
    outcome, said = shell(bench, "echo ran", non_root=True)
    assert "its image runs as root" in outcome.problem
    assert said == ""


def test_files_of_another_user_in_a_volume_belong_to_the_caller_afterwards(bench: Bench, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    folder.chmod(0o777)
    outcome, said = shell(bench, "echo x > /data/x", user=1234, mounts=(Mount(folder, "/data"),))
    assert outcome.succeeded, said
    assert (folder / "x").stat().st_uid == os.geteuid()


def test_pull_policies_are_honoured(bench: Bench) -> None:
    request = bench.request(
        CommandLine(("true",), ()), image="standpipe.invalid/none:1", pod=PodSettings(pull_policy="Never")
    )
    with pytest.raises(RunnerError, match="has no image standpipe.invalid/none:1, and the task's image pull policy is"):
        bench.run(request)
    with pytest.raises(RunnerError, match="The image standpipe.invalid/none:1 could not be pulled"):
        bench.run(replace(request, pod=PodSettings(pull_policy="Always")))
    request = bench.request(CommandLine(("true",), ()), name="present", pod=PodSettings(pull_policy="Never"))
    assert bench.run(request).succeeded
    assert [notice for notice in bench.notices if "Pulling" in notice] != []
