"""Permissions to use a real engine, and the owner of files that containers write."""

from __future__ import annotations

import contextlib
import os
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from standpipe.errors import RunnerError

from .docker_engine import Bench, EngineProxy, Log, MakeBench, needs_socket, run_function, variant

if TYPE_CHECKING:
    from docker import DockerClient

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("docker_client"),
    needs_socket,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user"),
]

SOMEBODY = 4242


def as_somebody(tmp_path: Path, work: Callable[[Bench], None], *, may_use_engine: bool = True) -> None:
    """Run `work` in a process of an ordinary user; fail if it fails."""
    root = tmp_path / "somebody"
    root.mkdir()
    os.chown(root, SOMEBODY, SOMEBODY)
    told = root / "told"
    proxy = EngineProxy(tmp_path / "engine.sock")  # the socket of Podman is for root alone
    proxy.open()
    proxy.path.chmod(0o666)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setgroups([])
            os.setgid(SOMEBODY)
            os.setuid(SOMEBODY)
            os.environ["HOME"] = str(root)
            if may_use_engine:
                os.environ["DOCKER_HOST"] = f"unix://{proxy.path}"
            work(Bench(root))
            code = 0
        except BaseException:  # noqa: BLE001  the outermost edge of this process
            told.write_text(traceback.format_exc())
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    proxy.shut()
    assert status == 0, told.read_text() if told.exists() else f"it ended with {status}"


def owners(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.lstat().st_uid for path in folder.rglob("*")}


@pytest.fixture
def open_tmp_path(tmp_path: Path) -> Iterator[Path]:
    """Return a temporary folder that every user can enter, its parents included."""
    with contextlib.ExitStack() as modes:
        for folder in (tmp_path, *tmp_path.parents[:3]):  # those of pytest, whose processes have one each
            mode = folder.stat().st_mode & 0o7777
            if mode & 0o005 != 0o005:
                modes.callback(folder.chmod, mode)
                folder.chmod(0o755)
        yield tmp_path


def test_a_user_who_may_not_use_the_engine_is_told_about_its_group(open_tmp_path: Path) -> None:
    def work(bench: Bench) -> None:
        with pytest.raises(
            RunnerError, match=r"(?s)permission denied.*(usermod -aG docker|start podman.socket).*SubprocessRunner"
        ):
            bench.shell("true")

    as_somebody(open_tmp_path, work, may_use_engine=False)


def test_files_of_a_command_belong_to_the_caller(open_tmp_path: Path) -> None:
    def work(bench: Bench) -> None:
        workspace = bench.root / "workspace"
        workspace.mkdir()
        script = "mkdir -m 700 $0/d; ln -s /etc $0/d/link; touch $0/d/file /kfp-workspace/w"
        assert bench.shell(script, workspace=workspace).succeeded
        assert owners(bench.folder()) == dict.fromkeys(["d", "d/link", "d/file"], SOMEBODY)
        assert owners(workspace) == {"w": SOMEBODY}
        assert bench.notices == []

    as_somebody(open_tmp_path, work)
    assert Path("/etc").stat().st_uid == 0


def test_files_of_a_function_belong_to_the_caller(open_tmp_path: Path) -> None:
    source = "def work(a: int) -> str:\n    import os\n    return str(os.getuid() + a)\n"

    def work(bench: Bench) -> None:
        outcome, value = run_function(bench, source, a=1)
        assert (outcome.succeeded, value) == (True, "1")
        assert set(owners(bench.folder()).values()) == {SOMEBODY}

    as_somebody(open_tmp_path, work)


def test_where_an_image_has_no_chown_a_notice_says_what_to_do(open_tmp_path: Path, docker_client: DockerClient) -> None:
    def work(bench: Bench) -> None:
        assert bench.shell("touch $0/file", image=image).succeeded
        (notice,) = bench.notices
        assert notice.endswith(f"sudo chown -R {SOMEBODY}:{SOMEBODY} {bench.folder()}")

    with variant(docker_client, "rm /bin/chown") as image:
        as_somebody(open_tmp_path, work)


@pytest.mark.parametrize("caller", ["root", "somebody"])
@pytest.mark.parametrize("kind", ["command", "function"])
def test_an_image_with_a_user_of_its_own_can_write_its_outputs(
    caller: str, kind: str, open_tmp_path: Path, docker_client: DockerClient, make_bench: MakeBench
) -> None:
    def work(bench: Bench) -> None:
        log = Log()
        if kind == "command":
            assert bench.shell("id -u; echo x > $0/out", log, image=image).succeeded, log.text
        else:
            source = "def work() -> str:\n    import os\n    print(os.getuid())\n    return 'x'\n"
            outcome, value = run_function(bench, source, log, image=image)
            assert (outcome.succeeded, value) == (True, "x"), log.text
        assert log.text == "1001\n"
        assert set(owners(bench.folder()).values()) == {os.geteuid()}
        assert bench.folder().stat().st_mode & 0o777 == 0o700

    with variant(docker_client, User="1001") as image:
        if caller == "root":
            work(make_bench())
        else:
            as_somebody(open_tmp_path, work)
