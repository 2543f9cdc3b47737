"""Python environments by content. Nothing here needs a network: the packages are made here."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from standpipe.errors import EnvironmentBuildError
from standpipe.model.cancellation import Cancellation
from standpipe.runners.process import installer, venv
from standpipe.runners.process.pip_settings import pip_settings
from standpipe.runners.process.venv import CurrentEnvironment, Venvs
from tests.wheels import function, imported, make_editable_project, make_index, make_project, make_wheel


@pytest.fixture
def notices() -> list[str]:
    return []


@pytest.fixture
def venvs(tmp_path: Path) -> Venvs:
    return Venvs(tmp_path / "envs")


@pytest.fixture(autouse=True)
def _settings_of_nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No setting of pip or uv of whoever runs the tests reaches them, but for uv's cache."""
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("UV_NO_CONFIG", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv-cache"))
    venv._read_user_options.cache_clear()
    yield
    venv._read_user_options.cache_clear()


# --- what an environment is


def test_a_function_without_packages_has_an_empty_environment(venvs: Venvs, notices: list[str]) -> None:
    python = venvs.python(function(), inform=notices.append)
    code = (
        "import sys, json, importlib.metadata as m\n"
        "print(json.dumps([sys.prefix, sys.version, len(list(m.distributions()))]))"
    )
    told = json.loads(subprocess.run([python, "-c", code], capture_output=True, check=True).stdout)

    assert told == [str(python.parent.parent), sys.version, 0]
    assert notices == []


def test_the_same_packages_give_the_same_environment(venvs: Venvs, tmp_path: Path, notices: list[str]) -> None:
    one, two = make_wheel(tmp_path, "one"), make_wheel(tmp_path, "two")
    first = venvs.python(function(str(one), str(two)), inform=notices.append)
    told = len(notices)

    assert venvs.python(function(str(two), str(one)), inform=notices.append) == first
    assert Venvs(tmp_path / "envs").python(function(str(one), str(two)), inform=notices.append) == first
    assert len(notices) == told
    assert (imported(first, "one"), imported(first, "two")) == ("1.0", "1.0")


def test_other_packages_give_another_environment(venvs: Venvs, tmp_path: Path, notices: list[str]) -> None:
    wheel = make_wheel(tmp_path, "one")
    empty = venvs.python(function(), inform=notices.append)
    full = venvs.python(function(str(wheel)), inform=notices.append)

    assert full != empty
    assert imported(empty, "one") == ""


def test_an_environment_is_found_in_no_time(venvs: Venvs, tmp_path: Path, notices: list[str]) -> None:
    wanted = function(str(make_wheel(tmp_path, "one")))
    venvs.python(wanted, inform=notices.append)
    start = time.perf_counter()
    for _ in range(100):
        venvs.python(wanted, inform=notices.append)

    assert (time.perf_counter() - start) / 100 < 0.005


def test_what_happens_is_said(venvs: Venvs, tmp_path: Path, notices: list[str]) -> None:
    wheel = make_wheel(tmp_path, "one")
    venvs.python(function(str(wheel)), inform=notices.append)

    assert notices[0] == f"Building an environment with {wheel}. Later tasks will reuse it."
    assert any(notice.startswith("Installed 1 package") for notice in notices)
    assert notices[-1].startswith("The environment is ready after ")


# --- forms of requirements


def test_extras_and_markers(venvs: Venvs, tmp_path: Path, notices: list[str]) -> None:
    dependency = make_wheel(tmp_path, "two")
    requires = f"Provides-Extra: more\nRequires-Dist: two @ {dependency.as_uri()} ; extra == 'more'\n"
    wheel = make_wheel(tmp_path, "one", requires=requires)
    python = venvs.python(
        function(f"{wheel}[more] ; python_version > '3'", "nothing-such ; python_version < '3'"), inform=notices.append
    )

    assert (imported(python, "one"), imported(python, "two")) == ("1.0", "1.0")


@pytest.mark.parametrize("form", ["./{name}", "{name}", "one @ {uri}", "{uri}", "../{parent}/{name}"])
def test_a_file_of_this_machine(
    venvs: Venvs, tmp_path: Path, notices: list[str], monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    folder = tmp_path / "wheels"
    wheel = make_wheel(folder, "one")
    monkeypatch.chdir(folder)
    requirement = form.format(name=wheel.name, uri=wheel.as_uri(), parent=folder.name)

    assert imported(venvs.python(function(requirement), inform=notices.append), "one") == "1.0"


def test_a_changed_file_gives_another_environment(venvs: Venvs, tmp_path: Path, notices: list[str]) -> None:
    wheel = make_wheel(tmp_path, "one")
    before = venvs.python(function(str(wheel)), inform=notices.append)
    make_wheel(tmp_path / "new", "one", "2.0").rename(wheel)
    os.utime(wheel, (1, 1))

    with pytest.raises(EnvironmentBuildError, match="one"):  # it is tried: the name says 1.0, the content 2.0
        venvs.python(function(str(wheel)), inform=notices.append)
    assert imported(before, "one") == "1.0"


def test_a_changed_project_gives_another_environment(
    venvs: Venvs, tmp_path: Path, notices: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_project(tmp_path / "one", "first")
    monkeypatch.chdir(tmp_path)
    before = venvs.python(function("./one"), inform=notices.append)
    assert venvs.python(function("./one"), inform=notices.append) == before
    (tmp_path / "one" / "content.txt").write_text("changed")
    after = venvs.python(function("./one"), inform=notices.append)

    assert (imported(before, "one"), imported(after, "one")) == ("first", "changed")


# --- where packages come from


def test_the_indexes_of_the_author(venvs: Venvs, tmp_path: Path, notices: list[str]) -> None:
    first = make_index(tmp_path / "first", make_wheel(tmp_path / "w1", "one"))
    second = make_index(
        tmp_path / "second", make_wheel(tmp_path / "w2", "one", "2.0"), make_wheel(tmp_path / "w2", "two")
    )
    python = venvs.python(function("one", "two", index_urls=(first, second)), inform=notices.append)

    assert (imported(python, "one"), imported(python, "two")) == ("2.0", "1.0")  # the newest of all, as with pip


def test_the_indexes_are_part_of_the_content(venvs: Venvs, tmp_path: Path, notices: list[str]) -> None:
    urls = [make_index(tmp_path / v, make_wheel(tmp_path / f"w{v}", "one", v)) for v in ("1.0", "2.0")]
    pythons = [venvs.python(function("one", index_urls=(url,)), inform=notices.append) for url in urls]

    assert [imported(python, "one") for python in pythons] == ["1.0", "2.0"]


def test_the_settings_of_pip_are_respected(
    venvs: Venvs, tmp_path: Path, notices: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", make_index(tmp_path / "index", make_wheel(tmp_path / "w1", "one")))
    make_wheel(tmp_path / "w2", "two")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "w2"))
    python = venvs.python(function("one", "two"), inform=notices.append)

    assert (imported(python, "one"), imported(python, "two")) == ("1.0", "1.0")


def test_settings_from_files_and_variables(tmp_path: Path) -> None:
    (tmp_path / "pip").mkdir()
    (tmp_path / "pip" / "pip.conf").write_text(
        "[global]\nindex-url = https://a/simple\nextra-index-url =\n  https://b\n  https://c\ntimeout = 3\n"
        "[install]\nfind-links = /wheels\n"
    )
    (tmp_path / "strong.conf").write_text("[global]\nindex-url = https://d\n")
    weak = {"XDG_CONFIG_HOME": str(tmp_path), "HOME": "/nowhere"}

    from_file = pip_settings(weak)
    assert from_file["extra-index-url"] == ["https://b", "https://c"]
    assert (from_file["index-url"], from_file["find-links"]) == (["https://a/simple"], ["/wheels"])
    strong = pip_settings(
        {**weak, "PIP_CONFIG_FILE": str(tmp_path / "strong.conf"), "PIP_EXTRA_INDEX_URL": "https://e"}
    )
    assert (strong["index-url"], strong["extra-index-url"]) == (["https://d"], ["https://e"])


def test_uvs_own_settings_win_over_pips() -> None:
    environ = {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": "https://a"}

    assert pip_settings(environ) == {"index-url": ["https://a"]}
    assert pip_settings({**environ, "UV_DEFAULT_INDEX": "https://b"}) == {}


def test_a_configuration_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "pip.conf").write_text("index-url without a section")

    with pytest.raises(EnvironmentBuildError, match=r"pip.conf cannot be read"):
        pip_settings({"PIP_CONFIG_FILE": str(tmp_path / "pip.conf")})


# --- options of pip among the packages


def test_options_of_pip_are_passed_to_uv(venvs: Venvs, tmp_path: Path, notices: list[str]) -> None:
    needs = make_wheel(tmp_path / "wheels", "one", requires="Requires-Dist: two\n")
    packages = ("--no-deps", "-f", str(needs.parent), "--no-index", "--pre", "one")
    python = venvs.python(function(*packages), inform=notices.append)

    assert imported(python, "one") == "1.0"
    assert notices[0] == "Building an environment with one. Later tasks will reuse it."


def test_an_index_among_the_packages(venvs: Venvs, tmp_path: Path, notices: list[str]) -> None:
    url = make_index(tmp_path / "index", make_wheel(tmp_path / "w1", "one"))
    other = make_index(tmp_path / "other", make_wheel(tmp_path / "w2", "two"))
    packages = ("--index-url", "file:///nowhere", "-i", url, f"--extra-index-url={other}", "one", "two")
    python = venvs.python(function(*packages), inform=notices.append)

    assert (imported(python, "one"), imported(python, "two")) == ("1.0", "1.0")  # the last index counts, as with pip


def test_requirements_in_a_file(
    venvs: Venvs, tmp_path: Path, notices: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel, other = make_wheel(tmp_path, "one"), make_wheel(tmp_path, "two")
    (tmp_path / "requirements.txt").write_text(f"{wheel}\n")
    monkeypatch.chdir(tmp_path)
    before = venvs.python(function("-r", "requirements.txt"), inform=notices.append)
    (tmp_path / "requirements.txt").write_text(f"{wheel}\n{other}\n")
    after = venvs.python(function("--requirement=requirements.txt"), inform=notices.append)

    assert (imported(before, "one"), imported(before, "two")) == ("1.0", "")
    assert (imported(after, "one"), imported(after, "two")) == ("1.0", "1.0")
    assert notices[0] == f"Building an environment with {tmp_path / 'requirements.txt'}. Later tasks will reuse it."


def test_an_editable_project_is_the_current_source(
    venvs: Venvs, tmp_path: Path, notices: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_editable_project(tmp_path / "one")
    monkeypatch.chdir(tmp_path / "one")
    python = venvs.python(function("-e", "."), inform=notices.append)
    (tmp_path / "one" / "one.py").write_text("version = 'edited'\n")

    assert imported(python, "one") == "edited"
    assert venvs.python(function("-e", "."), inform=notices.append) == python


def test_what_only_pip_knows_is_dropped_with_one_notice(venvs: Venvs, tmp_path: Path, notices: list[str]) -> None:
    wheel = make_wheel(tmp_path, "one")
    packages = ("--user", "-q", "--prefer-binary", "--default-timeout=100", "--progress-bar", "off", str(wheel), "-q")
    python = venvs.python(function(*packages), inform=notices.append)

    assert imported(python, "one") == "1.0"
    dropped = [notice for notice in notices if "has no use for" in notice]
    assert [notice.partition("pip: ")[2] for notice in dropped] == ["--user, --quiet, --prefer-binary, --progress-bar."]


def test_two_requirements_in_one_text(venvs: Venvs, notices: list[str]) -> None:
    with pytest.raises(EnvironmentBuildError, match="one==1 two==2"):
        venvs.python(function("one==1 two==2", "--no-index"), inform=notices.append)


def test_a_password_is_neither_shown_nor_part_of_the_content(venvs: Venvs, tmp_path: Path, notices: list[str]) -> None:
    recipes = [
        venv._recipe(Path("python"), function("x", index_urls=(f"https://me:{password}@a.org/simple",)))
        for password in ("first", "second")
    ]
    assert len({recipe.key for recipe in recipes}) == 1
    assert recipes[0] != recipes[1]
    with pytest.raises(EnvironmentBuildError) as failure:
        venvs.python(function("--no-index", "one @ https://me:secret@127.0.0.1:9/one-1.0.zip"), inform=notices.append)
    assert "secret" not in str(failure.value) + "".join(notices)


# --- variables in the indexes


def test_a_variable_of_the_task_in_the_indexes(
    venvs: Venvs, tmp_path: Path, notices: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = make_index(tmp_path / "first", make_wheel(tmp_path / "w1", "one"))
    second = make_index(tmp_path / "second", make_wheel(tmp_path / "w2", "one", "2.0"))
    monkeypatch.setenv("INDEX", first)
    wanted = function("one", index_urls=("${INDEX}",))

    assert imported(venvs.python(wanted, inform=notices.append), "one") == "1.0"
    assert imported(venvs.python(wanted, variables={"INDEX": second}, inform=notices.append), "one") == "2.0"


def test_a_variable_that_is_not_set(venvs: Venvs, notices: list[str]) -> None:
    with pytest.raises(EnvironmentBuildError) as failure:
        venvs.python(function("one", index_urls=("https://$NO_SUCH_HOST/simple",)), inform=notices.append)

    assert str(failure.value).startswith("pip_index_urls of component 'f' uses $NO_SUCH_HOST, which is not set.")


def test_the_settings_of_pip_in_the_variables_of_the_task(venvs: Venvs, tmp_path: Path, notices: list[str]) -> None:
    url = make_index(tmp_path / "index", make_wheel(tmp_path, "one"))

    python = venvs.python(function("one"), variables={"PIP_INDEX_URL": url}, inform=notices.append)
    assert imported(python, "one") == "1.0"


# --- what tasks can change


def test_a_task_cannot_change_the_environments_of_others(venvs: Venvs, tmp_path: Path, notices: list[str]) -> None:
    one, two = make_wheel(tmp_path, "one"), make_wheel(tmp_path, "two")
    python = venvs.python(function(str(one)), inform=notices.append)
    (module,) = python.parent.parent.glob("lib/*/site-packages/one.py")
    with module.open("a") as file:
        file.write("version = 'changed'\n")
    later = venvs.python(function(str(one), str(two)), inform=notices.append)

    assert module.stat().st_nlink == 1
    assert (imported(python, "one"), imported(later, "one")) == ("changed", "1.0")


def test_environments_of_an_earlier_format_are_not_used(
    venvs: Venvs, tmp_path: Path, notices: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = function(str(make_wheel(tmp_path, "one")))
    monkeypatch.setattr(venv, "_FORMAT", 1)
    before = venvs.python(wanted, inform=notices.append)
    monkeypatch.undo()

    assert venvs.python(wanted, inform=notices.append) != before


def test_whether_files_can_be_cloned_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "source").write_text("text")
    installer._can_clone(tmp_path / "source", tmp_path)

    assert installer._can_clone(tmp_path / "missing", tmp_path) is False
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


# --- what goes wrong


def test_a_package_that_does_not_exist(venvs: Venvs, tmp_path: Path, notices: list[str]) -> None:
    empty = make_index(tmp_path / "index", make_wheel(tmp_path, "one"))

    with pytest.raises(EnvironmentBuildError) as failure:
        venvs.python(function("one==9", index_urls=(empty,)), inform=notices.append)

    message = str(failure.value)
    assert message.startswith("The packages one==9 cannot be installed:\n")
    assert "one==9" in message.partition("\n")[2]  # uv's own words
    assert "Using Python" not in message
    assert message.endswith("and the indexes in pip_index_urls or in the settings of pip.")
    assert [path for path in (tmp_path / "envs").iterdir() if path.is_dir()] == []


def test_a_requirement_is_never_an_option(venvs: Venvs, notices: list[str]) -> None:
    with pytest.raises(EnvironmentBuildError, match="--help"):
        venvs.python(function("--help"), inform=notices.append)


def test_a_root_that_cannot_be_made(tmp_path: Path, notices: list[str]) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(EnvironmentBuildError, match="cannot be created: Not a directory"):
        Venvs(tmp_path / "file" / "envs").python(function(), inform=notices.append)


def test_an_environment_that_cannot_be_made_is_not_blamed_on_packages(
    venvs: Venvs, tmp_path: Path, notices: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(venv, "base_python", lambda: tmp_path / "nothing")

    with pytest.raises(EnvironmentBuildError) as failure:
        venvs.python(function(), inform=notices.append)

    assert f"cannot be created in {tmp_path / 'envs'}:" in str(failure.value)
    assert "STANDPIPE_CACHE" in str(failure.value)
    assert "packages_to_install" not in str(failure.value)


@pytest.mark.parametrize("broken", ["complete.json", "bin/python"])
def test_what_is_incomplete_or_broken_is_built_anew(
    venvs: Venvs, tmp_path: Path, notices: list[str], broken: str
) -> None:
    wanted = function(str(make_wheel(tmp_path, "one")))
    python = venvs.python(wanted, inform=notices.append)
    (python.parent.parent / broken).unlink()
    (python.parent.parent / "left over").touch()

    assert venvs.python(wanted, inform=notices.append) == python
    assert imported(python, "one") == "1.0"
    assert not (python.parent.parent / "left over").exists()


def test_a_build_that_is_interrupted_leaves_nothing(
    venvs: Venvs, tmp_path: Path, notices: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(venv, "install", interrupt)
    with pytest.raises(KeyboardInterrupt):
        venvs.python(function(str(make_wheel(tmp_path, "one"))), inform=notices.append)

    assert [path for path in (tmp_path / "envs").iterdir() if path.is_dir()] == []


# --- several at once


def test_many_threads_build_once(venvs: Venvs, tmp_path: Path, notices: list[str]) -> None:
    wanted = function(str(make_wheel(tmp_path, "one")))
    with ThreadPoolExecutor(16) as pool:
        pythons = set(pool.map(lambda _: venvs.python(wanted, inform=notices.append), range(16)))

    assert len(pythons) == 1
    assert len([notice for notice in notices if notice.startswith("Building")]) == 1
    assert not any(notice.startswith("Waiting") for notice in notices)


class _Waiting(Cancellation):
    """Tells when a build has asked first whether it is cancelled, as builds do while they wait for another one."""

    def __init__(self) -> None:
        super().__init__()
        self.has_asked = threading.Event()

    def __bool__(self) -> bool:
        self.has_asked.set()
        return super().__bool__()


def test_threads_that_wait_for_a_build_that_fails_share_its_error(
    venvs: Venvs, tmp_path: Path, notices: list[str]
) -> None:
    url = make_index(tmp_path / "index", make_wheel(tmp_path, "one"))
    wanted = function("one==9", index_urls=(url,))
    lock = tmp_path / "envs" / f"{venv._recipe(venv.base_python(), wanted).key}.lock"
    lock.parent.mkdir()
    waiting = [_Waiting() for _ in range(4)]
    with lock.open("w") as held, ThreadPoolExecutor(4) as pool:
        fcntl.flock(held, fcntl.LOCK_EX)
        builds = [pool.submit(venvs.python, wanted, inform=notices.append, cancel=each) for each in waiting]
        for each in waiting:
            assert each.has_asked.wait(30)
        fcntl.flock(held, fcntl.LOCK_UN)
        errors = {str(build.exception(timeout=60)) for build in builds}

    building = "Building an environment with one==9. Later tasks will reuse it."
    assert notices.count(building) == 1
    assert len(errors) == 1
    assert errors.pop().startswith("The packages one==9 cannot be installed")
    with pytest.raises(EnvironmentBuildError, match="The packages one==9 cannot be installed"):
        venvs.python(wanted, inform=notices.append)  # such as the build of a retry
    assert notices.count(building) == 2


def test_one_thread_at_a_time_looks_for_uv(monkeypatch: pytest.MonkeyPatch) -> None:
    inside: list[int] = []

    def find() -> str:
        inside.append(1)
        assert len(inside) == 1
        time.sleep(0.01)
        inside.pop()
        return "uv"

    monkeypatch.setattr("uv.find_uv_bin", find)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: installer.find_uv(), range(8))) == ["uv"] * 8


def test_two_processes_build_once(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from standpipe.runners.process.venv import Venvs\n"
        "from standpipe.model.plan import PythonFunction\n"
        "print(Venvs(Path(sys.argv[1])).python(PythonFunction('f', '', (sys.argv[2],)), inform=print))\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "envs"), str(make_wheel(tmp_path, "one"))]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    outputs = [process.communicate()[0].splitlines() for process in running]

    assert [process.returncode for process in running] == [0, 0, 0]
    assert len({lines[-1] for lines in outputs}) == 1
    assert sum(line.startswith("Building") for lines in outputs for line in lines) == 1


def test_waiting_for_another_process_is_said(venvs: Venvs, tmp_path: Path, notices: list[str]) -> None:
    wanted = function()
    lock = tmp_path / "envs" / f"{venv._recipe(venv.base_python(), wanted).key}.lock"
    lock.parent.mkdir()
    with lock.open("w") as held, ThreadPoolExecutor() as pool:
        fcntl.flock(held, fcntl.LOCK_EX)
        waiting = pool.submit(venvs.python, wanted, inform=notices.append)
        while not notices:
            time.sleep(0.01)
        assert not waiting.done()
        fcntl.flock(held, fcntl.LOCK_UN)

        assert waiting.result(timeout=30).exists()
    assert notices == ["Waiting for another process that is building the same environment."]


# --- giving up


@pytest.fixture
def silent_index() -> Iterator[str]:
    """The address of an index that takes every question and answers none."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/simple"


def test_a_build_that_is_given_up_ends_at_once_and_leaves_nothing(
    venvs: Venvs, tmp_path: Path, notices: list[str], silent_index: str
) -> None:
    cancel = Cancellation()
    wanted = function("no-such-package", index_urls=(silent_index,))
    with ThreadPoolExecutor() as pool:
        building = pool.submit(venvs.python, wanted, inform=notices.append, cancel=cancel)
        time.sleep(0.5)
        assert not building.done()
        start = time.monotonic()
        cancel.set()
        with pytest.raises(EnvironmentBuildError, match="cancelled while its environment was built"):
            building.result(timeout=30)

    assert time.monotonic() - start < 5
    assert [path for path in (tmp_path / "envs").iterdir() if path.is_dir()] == []


def test_who_waits_for_another_process_can_give_up(venvs: Venvs, tmp_path: Path, notices: list[str]) -> None:
    cancel = Cancellation()
    wanted = function()
    lock = tmp_path / "envs" / f"{venv._recipe(venv.base_python(), wanted).key}.lock"
    lock.parent.mkdir()
    with lock.open("w") as held, ThreadPoolExecutor() as pool:
        fcntl.flock(held, fcntl.LOCK_EX)
        waiting = pool.submit(venvs.python, wanted, inform=notices.append, cancel=cancel)
        while not notices:
            time.sleep(0.01)
        cancel.set()
        with pytest.raises(EnvironmentBuildError, match="cancelled"):
            waiting.result(timeout=30)


# --- without uv


def test_an_empty_environment_needs_no_uv(venvs: Venvs, notices: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installer, "find_uv", lambda: None)
    python = venvs.python(function(), inform=notices.append)

    assert notices == []
    assert subprocess.run([python, "-c", "import pip"], capture_output=True, check=False).returncode != 0


# --- the current environment


@pytest.fixture
def current(venvs: Venvs, monkeypatch: pytest.MonkeyPatch, notices: list[str]) -> Path:
    """An interpreter that stands for the one that runs the tests, whose packages are nobody else's business."""
    python = venvs.python(function(), inform=notices.append)
    monkeypatch.setattr(sys, "executable", str(python))
    return python


def test_the_current_environment_without_packages(current: Path, notices: list[str]) -> None:
    assert CurrentEnvironment().python(function(), inform=notices.append) == current


def test_what_is_missing_is_installed_into_the_current_environment(
    current: Path, tmp_path: Path, notices: list[str]
) -> None:
    url = make_index(tmp_path / "index", make_wheel(tmp_path, "one"))
    environment = CurrentEnvironment()

    assert environment.python(function("one>=1", index_urls=(url,)), inform=notices.append) == current
    assert imported(current, "one") == "1.0"
    assert any(notice.startswith("Installed 1 package") for notice in notices)


def test_what_is_there_is_not_looked_for(current: Path, tmp_path: Path, notices: list[str]) -> None:
    url = make_index(tmp_path / "index", make_wheel(tmp_path, "one"))
    CurrentEnvironment().python(function("one", index_urls=(url,)), inform=notices.append)
    notices.clear()
    (tmp_path / "index" / "one" / "index.html").unlink()

    CurrentEnvironment().python(function("one", index_urls=(url,)), inform=notices.append)
    assert notices == []


def test_the_current_environment_is_asked_once(
    current: Path, tmp_path: Path, notices: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = make_wheel(tmp_path, "one")
    environment = CurrentEnvironment()
    runs: list[object] = []
    run, lock = installer._run, threading.Lock()

    def counted(*arguments: object) -> None:
        with lock:
            runs.append(arguments)
        run(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(installer, "_run", counted)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: environment.python(function(str(wheel)), inform=notices.append), range(8)))

    assert len(runs) == 1


def test_a_package_that_the_current_environment_cannot_have(current: Path, tmp_path: Path, notices: list[str]) -> None:
    url = make_index(tmp_path / "index", make_wheel(tmp_path, "one"))

    with pytest.raises(EnvironmentBuildError, match="The packages one==9 cannot be installed"):
        CurrentEnvironment().python(function("one==9", index_urls=(url,)), inform=notices.append)


def test_packages_are_checked_without_an_environment(venvs: Venvs, tmp_path: Path) -> None:
    index = make_index(tmp_path / "index", make_wheel(tmp_path, "one", requires="Requires-Dist: two\n"))
    options, cancel = ("--index-url", index), Cancellation()

    venvs.check(function(*options, str(make_wheel(tmp_path / "other", "two"))), {}, cancel)
    for missing in ("one", "three", "one==2"):  # as nobody has `two`, which `one` requires
        with pytest.raises(EnvironmentBuildError, match=rf"The packages {missing} cannot be installed:\n"):
            venvs.check(function(*options, missing), {}, cancel)

    assert list((tmp_path / "envs").glob("*")) == []


def test_modules_of_an_environment_are_known_once_it_is_built(venvs: Venvs, tmp_path: Path) -> None:
    packed, empty = function(str(make_wheel(tmp_path, "one"))), function()

    assert venvs.has_module(empty, {}, "one") is False  # it has no packages
    assert venvs.has_module(packed, {}, "one") is None
    venvs.python(packed)
    assert venvs.has_module(packed, {}, "one") is True
    assert venvs.has_module(packed, {}, "two") is False
    (packages,) = (tmp_path / "envs").glob("*/lib/python*/site-packages")
    (packages / "project.pth").write_text("/src\n")
    assert venvs.has_module(packed, {}, "two") is None
