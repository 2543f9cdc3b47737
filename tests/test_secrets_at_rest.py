"""No secret at rest: every byte that runs leave, and every command line that they start, is searched for secrets."""

from __future__ import annotations

import base64
import html
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from standpipe import dsl, local
from standpipe.errors import ArgumentError, TaskFailed
from standpipe.history import Status
from standpipe.local import FakeRunner
from standpipe.model.plan import PythonFunction
from standpipe.runners.process import installer
from standpipe.runners.process.venv import Venvs
from tests.processes import process_ids, read_process

CANARY = "c4n4ry/in a'c\"oal mine+é=?"
PASSWORD = "p4ss/w0rd@of&mine"


def find_in(folder: Path, secret: str) -> dict[str, set[str]]:
    """Return the files below a folder that have a secret in some spelling, by their names, with these spellings."""
    spellings = {
        "as it is": secret,
        "JSON": json.dumps(secret)[1:-1],
        "JSON, not ASCII": json.dumps(secret, ensure_ascii=False)[1:-1],
        "JSON in JSON": json.dumps(json.dumps(secret))[3:-3],
        "repr": repr(secret)[1:-1],
        "repr in JSON": json.dumps(repr(secret)[1:-1])[1:-1],
        "URL": quote(secret, safe=""),
        "path": quote(secret),
        "HTML": html.escape(secret),
        "base64": base64.b64encode(secret.encode()).decode().rstrip("=")[:-2],
    }
    found: dict[str, set[str]] = {}
    for path in folder.rglob("*"):
        data = path.read_bytes() if path.is_file() else b""
        names = {name for name, text in spellings.items() if text.encode() in data or text in path.name}
        if names:
            found.setdefault(path.name, set()).update(names)
    return found


@dsl.component
def leak(given: str, model: dsl.Output[dsl.Model]) -> str:
    import base64
    import html
    import json
    import os
    import sys
    import time
    from urllib.parse import quote, quote_plus

    canary = os.environ["CANARY"]
    for text in (
        canary,
        json.dumps([canary]),
        json.dumps(json.dumps([canary], ensure_ascii=False)),
        repr([canary]),
        repr(canary.encode()),
        ascii(KeyError(canary)),
        quote(canary),
        quote(canary, safe="").lower(),
        quote_plus(canary),
        html.escape(canary),
        base64.b64encode(f"user:{canary}".encode()).decode(),
    ):
        print(text)
    for byte in f"split {canary}\n".encode():
        sys.stdout.buffer.write(bytes([byte]))
        sys.stdout.buffer.flush()
        time.sleep(0.001)
    model.metadata["canary"] = {canary: [canary]}
    model.uri = f"https://me:{quote(canary, safe='')}@host/model"
    return canary


@dsl.component
def crash(value: str) -> None:
    import os

    raise KeyError(os.environ["CANARY"], {"value": value})


@dsl.component
def tidy(status: dsl.PipelineTaskFinalStatus) -> None:
    print(status.error_message)


@dsl.pipeline
def leaking(given: str) -> None:
    with dsl.ExitHandler(tidy()):
        leaked = leak(given=given)
        crash(value=leaked.outputs["Output"])


def test_secrets_are_only_where_the_documentation_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("CANARY", CANARY)
    monkeypatch.setenv("STANDPIPE_CACHE", str(tmp_path / "environments"))
    options: dict[str, Any] = {"pipeline_root": tmp_path / "root", "secret_env": ["CANARY"], "enable_caching": True}
    options |= {"runner": local.SubprocessRunner(use_venv=False), "cache_root": tmp_path / "cache"}
    caplog.set_level("DEBUG")
    with pytest.raises(TaskFailed) as caught:
        local.run(leaking, {"given": CANARY}, **options)
    with pytest.raises(ArgumentError, match="its arguments held a secret"):
        local.resume("latest", pipeline=leaking, **options)
    run = local.get_run("latest", tmp_path / "root")
    messages = (*capfd.readouterr(), caplog.text, str(caught.value), repr((run, run.inputs, [*run.all_tasks()])))
    (tmp_path / "messages").write_text("\n".join(messages))
    assert set(find_in(tmp_path, CANARY)) == {"request.json", "executor_output.json", "error.json"}
    with closing(sqlite3.connect(tmp_path / "root/runs.sqlite")) as store:
        ((outline,),) = store.execute("SELECT body FROM outlines")
    assert "crash" in outline
    assert "***" in outline
    (log,) = (tmp_path / "root").rglob("leak/log.txt")
    assert log.read_text().endswith("split ***\n")


def test_a_result_with_a_secret_is_not_cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY", CANARY)
    ran: list[str] = []

    def work(given: str, model: str) -> dict[str, Any]:
        ran.append(given)
        return {"Output": f"it is {CANARY}" if given == "secret" else given}

    runner = FakeRunner(leak=work)
    options: dict[str, Any] = {"runner": runner, "pipeline_root": tmp_path, "secret_env": ["CANARY"]}
    for _ in range(2):
        for given, output in (("plain", "plain"), ("secret", f"it is {CANARY}")):
            assert local.run(leak, {"given": given}, **options, enable_caching=True).outputs["Output"] == output
    assert ran == ["plain", "secret", "secret"]
    assert set(find_in(tmp_path, CANARY)) == {"executor_output.json"}


def test_asterisks_of_the_user_are_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY", CANARY)
    ran: list[str] = []

    def work(given: str, model: str) -> dict[str, Any]:
        ran.append("leak")
        return {"Output": given}

    def fail_first(value: str) -> None:
        ran.append("crash")
        if ran.count("crash") == 1:
            raise ValueError("not yet")

    runner = FakeRunner(leak=work, crash=fail_first, tidy=lambda status: None)
    options: dict[str, Any] = {"runner": runner, "pipeline_root": tmp_path, "secret_env": ["CANARY"], "quiet": True}
    with pytest.raises(TaskFailed):
        local.run(leaking, {"given": "***bold and italic***"}, **options)
    local.resume("latest", pipeline=leaking, **options)
    assert ran == ["leak", "crash", "crash"], "only what failed ran again"


@pytest.mark.parametrize("secret", ["task", "leak", "STRING", "root", "inputs", "Constant", "name", "system.Model"])
def test_a_secret_equal_to_a_word_of_the_store_destroys_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    monkeypatch.setenv("CANARY", secret)
    failing = [True]

    def fail_first(value: str) -> None:
        if failing:
            raise ValueError(failing.pop())

    runner = FakeRunner(leak=lambda given, model: {"Output": "x"}, crash=fail_first, tidy=lambda status: None)
    options: dict[str, Any] = {"runner": runner, "pipeline_root": tmp_path, "secret_env": ["CANARY"], "quiet": True}
    with pytest.raises(TaskFailed):
        local.run(leaking, {"given": "x"}, **options)
    local.resume("latest", pipeline=leaking, **options)
    run = local.get_run("latest", tmp_path)
    assert run.status is Status.SUCCEEDED
    assert [task.name for task in run.all_tasks()] == ["exit-handler-1", "leak", "crash", "tidy"]


# --- packages ---------------------------------------------------------------------------------------------------------


class Site(SimpleHTTPRequestHandler):
    """Files for those who know the password."""

    def do_GET(self) -> None:
        login = base64.b64encode(f"me:{PASSWORD}".encode()).decode()
        if self.headers.get("Authorization") == f"Basic {login}":
            return super().do_GET()
        self.send_response(401)
        self.send_header("WWW-Authenticate", 'Basic realm="packages"')
        self.send_header("Content-Length", "0")
        return self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  as the base class has it
        pass


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    """Return the URL, with a password, of packages: an index, a file and a git repository."""
    root = tmp_path / "site"
    write_wheel(root / "simple" / "from-index", "from_index")
    write_wheel(root / "files", "from_url")
    write_repository(root / "repository.git", tmp_path / "source")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Site, directory=str(root)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://me:{quote(PASSWORD, safe='')}@127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    shutil.rmtree(root)


def write_wheel(folder: Path, name: str) -> None:
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as wheel:
        info = f"{name}-1.0.dist-info"
        wheel.writestr(f"{name}.py", "")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


def write_repository(folder: Path, source: Path) -> None:
    """Write a repository with a package that is its own build backend, so that no other package is needed."""
    source.mkdir()
    (source / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        '[project]\nname = "from_git"\nversion = "1.0"\n'
    )
    write_wheel(source / "made", "from_git")
    (source / "backend.py").write_text(
        "import shutil\n\ndef build_wheel(folder, config_settings=None, metadata_directory=None):\n"
        "    return shutil.copy('made/from_git-1.0-py3-none-any.whl', folder).rpartition('/')[2]\n"
    )
    git = ["git", "-c", "user.name=me", "-c", "user.email=me@localhost"]
    for command in (["init", "-q"], ["add", "-f", "."], ["commit", "-qm", "first"]):
        subprocess.run([*git, *command], cwd=source, check=True)
    subprocess.run(["git", "clone", "-q", "--bare", str(source), str(folder)], check=True)
    subprocess.run(["git", "update-server-info"], cwd=folder, check=True)


@pytest.fixture
def command_lines() -> Iterator[set[bytes]]:
    """Return the command lines of the processes that are seen meanwhile."""
    seen: set[bytes] = set()
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(0.005):
            seen.update(read_process(pid, "cmdline") for pid in process_ids())

    thread = threading.Thread(target=watch)
    thread.start()
    yield seen
    stop.set()
    thread.join()


@pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")
@pytest.mark.skipif(not shutil.which("git"), reason="it needs git")
@pytest.mark.parametrize("has_uv", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_passwords_of_packages_are_on_no_command_line_and_in_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, site: str, command_lines: set[bytes], has_uv: bool
) -> None:
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    monkeypatch.setenv("PIP_CACHE_DIR", str(tmp_path / "pip"))
    monkeypatch.delenv("PIP_INDEX_URL", raising=False)
    if not has_uv:
        monkeypatch.setattr(installer, "find_uv", lambda: None)
    packages = ("from-index", f"from_url @ {site}/files/from_url-1.0-py3-none-any.whl", f"git+{site}/repository.git")
    notices: list[str] = []
    environments = Venvs(tmp_path / "environments")
    python = environments.python(PythonFunction("f", "", packages, (f"{site}/simple",)), inform=notices.append)
    subprocess.run([python, "-c", "import from_git, from_index, from_url"], check=True)
    with pytest.raises(Exception, match="cannot be installed") as caught:
        environments.python(PythonFunction("f", "", ("missing",), (f"{site}/simple",)), inform=notices.append)
    (tmp_path / "notices").write_text("\n".join((*notices, str(caught.value))))
    (tmp_path / "command-lines").write_bytes(b"\n".join([*command_lines]))
    assert any(b"install" in line or b"git" in line for line in command_lines)
    assert find_in(tmp_path, PASSWORD) == {}


def test_passwords_of_packages_are_secret_without_being_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("INDEX_TOKEN", "t0k3n-of-the-index")
    url = f"https://me:{quote(PASSWORD, safe='')}@packages.invalid"

    @dsl.component(packages_to_install=[f"x @ {url}/x.whl"], pip_index_urls=["https://me:${INDEX_TOKEN}@index.invalid"])
    def packaged() -> str:
        return ""

    def show() -> dict[str, str]:
        return {"Output": f"{PASSWORD}, {os.environ['INDEX_TOKEN']}"}

    local.run(packaged, runner=FakeRunner(packaged=show), pipeline_root=tmp_path)
    for secret in (PASSWORD, "t0k3n-of-the-index"):
        assert set(find_in(tmp_path, secret)) == {"executor_output.json"}
    assert PASSWORD not in "".join(capfd.readouterr())
