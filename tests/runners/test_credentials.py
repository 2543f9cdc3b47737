"""Credentials in URLs of packages, and where installers get them."""

from __future__ import annotations

import json
import netrc
import os
import subprocess
import sys
from pathlib import Path

from standpipe.runners.credentials import has_credentials, move_git_credentials, pip_command
from standpipe.runners.process.pip_options import Arguments, Option
from standpipe.runners.process.uv_call import make_uv_call

URL = "https://me:t%40k@host/a"


def test_only_a_login_over_http_is_a_credential() -> None:
    texts = ["https://host/a@b", "git+ssh://git@host/a", "x @ file:///a", "https://token@host", f"x @ {URL}"]
    assert [has_credentials(text) for text in texts] == [False, False, False, True, True]


def test_git_gets_credentials_from_its_configuration(tmp_path: Path) -> None:
    texts, variables = move_git_credentials([f"x @ git+{URL}.git@main#egg=x", URL], {"GIT_CONFIG_COUNT": "2"})
    assert texts == ["x @ git+https://host/a.git@main#egg=x", URL]
    assert variables["GIT_CONFIG_COUNT"] == "3"
    assert variables["GIT_CONFIG_KEY_2"] == "credential.https://host/a.git.helper"
    # git itself understands it, and only for that repository
    _, variables = move_git_credentials([f"git+{URL}.git"], {})
    for path, is_known in (("a.git", True), ("b.git", False)):
        asked = subprocess.run(
            ["git", "-c", "credential.useHttpPath=false", "credential", "fill"],
            input=f"protocol=https\nhost=host\npath={path}\n\n",
            env={**variables, "PATH": "/usr/bin:/bin", "GIT_TERMINAL_PROMPT": "0", "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ("username=me\npassword=t@k\n" in asked.stdout) is is_known


def test_uv_gets_indexes_from_variables_and_requirements_from_its_input() -> None:
    sources = (Option("index-url", URL), Option("extra-index-url", "https://b"), Option("find-links", "/wheels"))
    options = (*sources, Option("requirement", f"{URL}/r.txt"), Option("no-deps"))
    call = make_uv_call(Arguments(("x", f"y @ {URL}"), options), {})
    shown = "--extra-index-url https://b --find-links /wheels --no-deps --index-strategy unsafe-best-match -r -"
    assert " ".join(call.options) == shown
    assert call.requirements == ["x"]
    assert call.variables["UV_INDEX_URL"] == URL
    assert call.standard_input == f"-r {URL}/r.txt\ny @ {URL}\n"


def test_arguments_without_credentials_stay_on_the_command_line() -> None:
    call = make_uv_call(Arguments(("x",), (Option("index-url", "https://a"),)), {})
    assert call == (["--index-url", "https://a"], ["x"], {}, "")
    assert pip_command("python", ["install", "x"], {}) == (["python", "-m", "pip", "install", "x"], {})


def test_pip_gets_arguments_from_a_variable_and_passwords_from_a_netrc(tmp_path: Path) -> None:
    words = ["install", f"x @ {URL}", "https://b:c@two/1", "https://d:e@two/2"]
    command, variables = pip_command("python", words, {})
    arguments, passwords = json.loads(variables["STANDPIPE_PIP"])
    assert "t%40k" not in " ".join(command)
    assert arguments == ["install", "x @ https://host/a", "https://b:c@two/1", "https://d:e@two/2"]
    (tmp_path / "netrc").write_text(passwords)
    assert netrc.netrc(tmp_path / "netrc").hosts == {"host": ("me", "", "t@k")}


def test_nothing_is_left_of_a_netrc_if_pip_is_killed(tmp_path: Path) -> None:
    (tmp_path / "pip.py").write_text(
        "import os, subprocess\n"
        "subprocess.run(['cat', os.environ['NETRC']], check=True)\n"
        "subprocess.run(['echo', os.environ['NETRC']], check=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    command, variables = pip_command(sys.executable, [f"x @ {URL}"], {})
    variables["PYTHONPATH"] = str(tmp_path)
    done = subprocess.run(command, env={**os.environ, **variables}, stdout=subprocess.PIPE, text=True, check=False)
    content, path = done.stdout.splitlines()
    assert content == 'machine host login "me" password "t@k"'
    assert done.returncode == -9
    if sys.platform == "linux":
        assert not Path(path).exists()
