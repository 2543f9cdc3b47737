"""The connection to a cluster: credentials, redirects, certificates, retries, and errors that say what to do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from standpipe.cli.main import main
from standpipe.errors import ArgumentError, ClusterError
from standpipe.kfp_cluster.api import KfpApi
from standpipe.kfp_cluster.credentials import Credentials, find_credentials
from standpipe.kfp_cluster.hosts import parse_host
from standpipe.kfp_cluster.http import HttpClient
from tests.kfp_cluster.mock_kfp import MockKfp, run_of, serve

SECRET = "top-secret-token-1234"


def connect(cluster: MockKfp, credentials: Credentials | None = None) -> KfpApi:
    return KfpApi(HttpClient(cluster.host, credentials or Credentials(), sleep=lambda _: None))


def test_files_are_read_for_each_request(kfp: MockKfp, tmp_path: Path) -> None:
    token, cookies = tmp_path / "token", tmp_path / "cookies"
    token.write_text("old\n", encoding="ascii")
    cookies.write_text("session=1\n", encoding="ascii")
    api = connect(kfp, find_credentials({}, str(token), str(cookies)))
    kfp.runs["r"] = run_of("r", state="RUNNING")
    api.get_run("r")
    token.write_text("new\n", encoding="ascii")
    cookies.write_text("session=2\n", encoding="ascii")
    api.get_run("r")
    assert [each.headers["authorization"] for each in kfp.requests] == ["Bearer old", "Bearer new"]
    assert [each.headers["cookie"] for each in kfp.requests] == ["session=1", "session=2"]


@pytest.mark.parametrize(
    ("environment", "headers"),
    [
        ({"STANDPIPE_KFP_TOKEN": f" {SECRET}\n"}, {"Authorization": f"Bearer {SECRET}"}),
        ({"STANDPIPE_KFP_COOKIES": "authservice_session=abc"}, {"Cookie": "authservice_session=abc"}),
        ({}, {}),
    ],
)
def test_variables_have_credentials(environment: dict[str, str], headers: dict[str, str]) -> None:
    assert find_credentials(environment).make_headers() == headers


def test_the_variable_of_the_sdk_names_the_token_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(SECRET, encoding="ascii")
    found = find_credentials({"KF_PIPELINES_SA_TOKEN_PATH": str(tmp_path / "token")})
    assert found.make_headers() == {"Authorization": f"Bearer {SECRET}"}


def test_a_token_of_several_lines_is_refused_without_showing_it() -> None:
    with pytest.raises(ArgumentError, match="expected one line of ASCII") as caught:
        find_credentials({"STANDPIPE_KFP_TOKEN": f"{SECRET}\r\nX-Evil: 1"})
    assert SECRET not in str(caught.value)
    assert SECRET not in repr(Credentials(SECRET))


def test_a_missing_token_is_explained(kfp: MockKfp) -> None:
    kfp.token = SECRET
    with pytest.raises(ClusterError, match=r"demands a login \(401\).*Pass a token"):
        connect(kfp).get_run("r")


def test_no_flag_has_the_token_and_nothing_shows_it(
    kfp: MockKfp, script: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kfp.token = SECRET
    monkeypatch.setenv("STANDPIPE_KFP_TOKEN", SECRET)
    assert main(["submit", "training.py", "--host", kfp.host]) == 0
    captured = capsys.readouterr()
    assert SECRET not in captured.out + captured.err
    assert not [path for path in script.parent.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]


def test_a_redirect_to_another_host_never_gets_the_token(kfp: MockKfp) -> None:
    with serve(MockKfp()) as other:
        kfp.redirect = f"{other.host}/login"
        with pytest.raises(ClusterError, match="redirects to another host, 127.0.0.1, which is not followed"):
            connect(kfp, Credentials(SECRET)).get_run("r")
        assert not other.requests


def test_a_redirected_post_is_not_repeated(kfp: MockKfp) -> None:
    kfp.redirect = f"{kfp.host}/pipeline/apis/v2beta1/runs"
    with pytest.raises(ClusterError, match=r"redirects a request to /pipeline/apis/v2beta1/runs"):
        connect(kfp).create_run({"display_name": "x"})
    assert len(kfp.requests) == 1


def test_reads_are_tried_again_and_creations_are_not(kfp: MockKfp) -> None:
    kfp.runs["r"] = run_of("r", state="RUNNING")
    kfp.statuses = [503, 502]
    assert connect(kfp).get_run("r")["run_id"] == "r"
    kfp.statuses = [503]
    with pytest.raises(ClusterError, match="503"):
        connect(kfp).create_run({"display_name": "x"})
    assert len(kfp.posted("/apis/v2beta1/runs")) == 1


def test_a_login_page_is_recognized(kfp: MockKfp) -> None:
    kfp.login_page = True
    with pytest.raises(ClusterError, match="does not answer as the API of KFP: it answered with a page for people"):
        connect(kfp).get_run("r")


def test_what_the_server_says_is_shown(kfp: MockKfp) -> None:
    with pytest.raises(ClusterError, match=r"refused to create the run \(400\): .*display_name is empty"):
        connect(kfp).create_run({})


def test_a_host_that_is_not_there(kfp: MockKfp) -> None:
    client = HttpClient("http://127.0.0.1:1", Credentials(), sleep=lambda _: None)
    with pytest.raises(ClusterError, match="cannot be reached: Connection refused"):
        KfpApi(client).get_run("r")


def test_a_cluster_that_refuses_has_an_exit_code_of_its_own(
    kfp: MockKfp, script: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kfp.token = SECRET
    assert main(["submit", "training.py", "--host", kfp.host]) == 7
    assert "demands a login" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("kfp.example.com/", "https://kfp.example.com"),
        ("kfp.example.com/me@home", "https://kfp.example.com/me@home"),
        ("http://localhost:8080/pipeline/#/runs/details/7", "http://localhost:8080/pipeline"),
    ],
)
def test_hosts_are_urls(host: str, url: str) -> None:
    assert parse_host(host) == url


@pytest.mark.parametrize(
    "host", ["ftp://x", "https://", "http://[::1", "https://x:port", "https://user:pw@x", "user:pw@x:port", "user:pw@x"]
)
def test_other_hosts_are_refused(host: str) -> None:
    with pytest.raises(ArgumentError, match="Invalid host") as caught:
        parse_host(host)
    assert "pw" not in str(caught.value)


def test_credentials_without_encryption_are_warned_about(capsys: pytest.CaptureFixture[str]) -> None:
    HttpClient("http://kfp.example.com", Credentials(SECRET))
    error = capsys.readouterr().err
    assert "sent without encryption" in error
    assert SECRET not in error


def test_the_certificates_of_an_authority_must_be_readable(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="Invalid --ca"):
        HttpClient("https://kfp.example.com", Credentials(), str(tmp_path / "missing.pem"))


def test_help_does_without_the_network() -> None:
    program = (
        "import sys\nfrom standpipe.cli import submit, pull\nsubmit.make_parser(); pull.make_parser()\n"
        "print([name for name in ('ssl', 'urllib.request', 'http.client') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_answers_that_break_off_are_asked_for_again(kfp: MockKfp) -> None:
    kfp.runs["r"] = run_of("r", state="RUNNING")
    kfp.statuses, kfp.cut_after = [200, 500], [3, 3]
    assert connect(kfp).get_run("r")["run_id"] == "r"
    kfp.statuses, kfp.cut_after = [400] * 4, [3] * 4
    with pytest.raises(ClusterError, match="the connection ended before the answer did"):
        connect(kfp).get_run("r")
