from __future__ import annotations

import hashlib
import importlib.machinery
import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "bootstrap"
DIGEST = "0" * 64
URL = "https://index.example/simple/pip/"
UV_PIN = "uv==0.13.9 \\\n    --hash=sha256:00 \\\n    --hash=sha256:11\n"
LOCK = f"uvicorn==1.0 \\\n    --hash=sha256:22\n{UV_PIN}    # via standpipe (pyproject.toml)\nzizmor==1.32.0\n"


@pytest.fixture
def bootstrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    loader = importlib.machinery.SourceFileLoader("bootstrap", str(SCRIPT))
    spec = importlib.util.spec_from_loader("bootstrap", loader)
    assert spec is not None
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "PYTHON", tmp_path / "python")
    monkeypatch.setattr(module, "UV", tmp_path / "uv")
    monkeypatch.setattr(module, "LOCK", tmp_path / "requirements.lock")
    monkeypatch.setattr(module, "STAMP", tmp_path / "stamp.json")
    (tmp_path / "pyproject.toml").write_text("[project]")
    (tmp_path / "requirements.lock").write_text(LOCK)
    (tmp_path / "python").touch()
    return module


def link(name: str, fragment: str = f"#sha256={DIGEST}", attributes: str = "") -> str:
    return f'<a href="/files/{name}{fragment}" {attributes}>{name}</a>'


def stamp(bootstrap: ModuleType, *groups: str) -> None:
    bootstrap.STAMP.write_text(json.dumps({**bootstrap.fingerprint(), "groups": groups}))


def test_the_newest_pip_is_chosen_by_number_and_not_by_text(bootstrap: ModuleType) -> None:
    page = link("pip-9.0-py3-none-any.whl") + link("pip-26.3-py3-none-any.whl") + link("pip-26.10-py3-none-any.whl")

    wheel = bootstrap.newest_pip(page, URL, (3, 11))

    assert wheel == ("pip-26.10-py3-none-any.whl", "https://index.example/files/pip-26.10-py3-none-any.whl", DIGEST)


@pytest.mark.parametrize(
    "unfit",
    [
        link("pip-30.0.tar.gz"),
        link("pip-30.0b1-py3-none-any.whl"),
        link("pip-30.0-py3-none-any.whl", fragment=""),
        link("pip-30.0-py3-none-any.whl", attributes='data-yanked="broken"'),
        link("pip-30.0-py3-none-any.whl", attributes='data-requires-python="&gt;=3.14"'),
        link("pipx-30.0-py3-none-any.whl"),
    ],
)
def test_what_does_not_fit_is_passed_over(bootstrap: ModuleType, unfit: str) -> None:
    fits = link("pip-26.3-py3-none-any.whl", attributes='data-requires-python="&gt;=3.10"')

    assert bootstrap.newest_pip(fits + unfit, URL, (3, 11)).name == "pip-26.3-py3-none-any.whl"
    with pytest.raises(SystemExit, match="lists no wheel of pip"):
        bootstrap.newest_pip(unfit, URL, (3, 11))


def test_a_wheel_with_another_digest_is_refused(
    bootstrap: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = hashlib.sha256(b"good").hexdigest()
    page = link("pip-26.3-py3-none-any.whl", fragment=f"#sha256={good}").encode()
    content = {"wheel": b"good"}
    monkeypatch.setenv("PIP_INDEX_URL", "https://index.example/simple/")
    monkeypatch.setattr(bootstrap, "fetch", lambda url: page if url == URL else content["wheel"])

    assert bootstrap.fetch_pip(tmp_path).read_bytes() == b"good"
    content["wheel"] = b"evil"
    with pytest.raises(SystemExit, match="its SHA-256 differs"):
        bootstrap.fetch_pip(tmp_path)


def test_an_index_out_of_reach_is_named(bootstrap: ModuleType) -> None:
    with pytest.raises(SystemExit, match=r"http://127\.0\.0\.1:9/ cannot be read: .*\n.*PIP_INDEX_URL"):
        bootstrap.fetch("http://127.0.0.1:9/")


def test_nothing_is_done_when_the_groups_are_there(bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "run", lambda *_, **__: pytest.fail("something was run"))
    stamp(bootstrap, "dev", "docs")

    bootstrap.main([])
    bootstrap.main(["docs"])


def test_an_environment_is_out_of_date_without_a_stamp_or_a_python(bootstrap: ModuleType) -> None:
    assert bootstrap.installed_groups() is None

    stamp(bootstrap, "dev")
    assert bootstrap.installed_groups() == {"dev"}

    bootstrap.PYTHON.unlink()
    assert bootstrap.installed_groups() is None


@pytest.mark.parametrize("name", ["pyproject.toml", "requirements.lock"])
def test_an_environment_is_out_of_date_when_a_file_has_changed(bootstrap: ModuleType, name: str) -> None:
    stamp(bootstrap, "dev")

    (bootstrap.ROOT / name).write_text("changed")

    assert bootstrap.installed_groups() is None


def test_the_pinned_uv_is_installed_with_its_hashes(bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    installed: list[tuple[str, str]] = []

    def run(command: list[str], **_: object) -> None:
        installed.append((command[0], Path(command[-1]).read_text()))
        assert "--require-hashes" in command

    monkeypatch.setattr(bootstrap, "run", run)
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")

    bootstrap.install_uv()
    bootstrap.UV.touch()
    bootstrap.install_uv()

    assert installed == [("/usr/bin/uv", UV_PIN)]


def test_a_lock_without_a_pin_is_named(bootstrap: ModuleType) -> None:
    bootstrap.LOCK.write_text("uvicorn==1.0\n")

    with pytest.raises(SystemExit, match=r"requirements\.lock does not pin uv: run `make lock`"):
        bootstrap.pinned("uv")


def test_groups_are_added_to_those_that_are_there(bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[str] = []
    monkeypatch.setattr(bootstrap, "run", lambda command, **_: commands.append(" ".join(command)))
    stamp(bootstrap, "dev")

    bootstrap.UV.touch()

    bootstrap.main(["docs"])

    assert bootstrap.installed_groups() == {"dev", "docs"}
    assert len(commands) == 1
    assert commands[0].endswith("--group dev --group docs")
    assert f"--constraint {bootstrap.LOCK} --build-constraint {bootstrap.LOCK}" in commands[0]


def test_a_failed_command_is_shown_and_ends_the_bootstrap(bootstrap: ModuleType) -> None:
    with pytest.raises(SystemExit, match=r"this command failed.*false"):
        bootstrap.run(["false"])
