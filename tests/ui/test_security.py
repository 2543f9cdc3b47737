"""Who may use the server."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from standpipe.ui import static_files
from standpipe.ui.app import make_app
from standpipe.ui.security import MAX_BODY, Access
from standpipe.ui.source import RunSource
from tests.ui.conftest import ACCESS

ADDRESS = "http://127.0.0.1:7717"
ACTIONS = ("stop", "resume", "rerun", "delete")


@pytest.fixture
def stranger(tmp_path: Path) -> TestClient:
    """Return a client without the cookie."""
    return TestClient(make_app(RunSource(tmp_path), ACCESS), base_url=ADDRESS, follow_redirects=False)


@pytest.fixture
def user(client: Callable[[], TestClient]) -> TestClient:
    return client()


def test_the_address_with_the_token_gives_a_cookie_and_leads_to_the_clean_address(stranger: TestClient) -> None:
    response = stranger.get("/", params={"token": ACCESS.token, "q": "a b"})
    assert response.status_code == 303
    assert response.headers["location"] == f"{ADDRESS}/?q=a+b"
    cookie = response.headers["set-cookie"]
    assert cookie.startswith("standpipe-7717=")
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
    assert stranger.get("/").status_code == 200


def test_a_link_with_the_token_on_another_page_leads_there_without_a_redirection(stranger: TestClient) -> None:
    headers = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    response = stranger.get("/", params={"token": ACCESS.token, "q": '"<'}, headers=headers)
    assert response.status_code == 200
    assert f'content="0;url={ADDRESS}/?q=%22%3C"' in response.text
    assert ACCESS.token not in response.text


def test_a_ticket_is_good_for_one_use(tmp_path: Path) -> None:
    access = Access(7717, "a-token", {"a-ticket": time.monotonic() + 60, "expired": time.monotonic() - 1})
    stranger = TestClient(make_app(RunSource(tmp_path), access), base_url=ADDRESS, follow_redirects=False)
    assert stranger.get("/", params={"token": "expired"}).status_code == 403
    assert stranger.get("/", params={"token": "a-ticket"}).status_code == 303
    assert stranger.get("/").status_code == 200
    assert stranger.get("/", params={"token": "a-ticket"}).status_code == 403


@pytest.mark.parametrize("path", ["/", "/runs/x", "/static/page.js", "/events", "/nothing"])
def test_without_the_token_nothing_is_shown(stranger: TestClient, path: str) -> None:
    for params in ({}, {"token": ""}, {"token": "another"}, {"token": "é"}):
        response = stranger.get(path, params=params)
        assert response.status_code == 403
        assert "standpipe ui" in response.text
        assert "set-cookie" not in response.headers


def test_a_wrong_cookie_is_refused(stranger: TestClient) -> None:
    stranger.cookies.set(ACCESS.cookie, "another")
    assert stranger.get("/").status_code == 403


def test_the_token_of_another_port_has_a_cookie_of_its_own() -> None:
    assert Access(7717, "a").cookie != Access(7718, "a").cookie


@pytest.mark.parametrize("host", ["example.com", "example.com:7717", "127.0.0.1", "127.0.0.1:7718", "[::1]:7717", ""])
def test_another_host_is_refused(user: TestClient, host: str) -> None:
    assert user.get("/", headers={"host": host}).status_code == 421
    assert user.get("/", headers={"host": host}, params={"token": ACCESS.token}).status_code == 421


def test_localhost_is_the_same_host(stranger: TestClient) -> None:
    stranger.base_url = "http://localhost:7717"
    assert stranger.get("/", params={"token": ACCESS.token}).headers["location"] == "http://localhost:7717/"


@pytest.mark.parametrize("origin", ["null", "http://example.com", "http://127.0.0.1:7718", "https://127.0.0.1:7717"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_another_origin_is_refused(user: TestClient, origin: str, method: str) -> None:
    data = {"csrf": ACCESS.csrf}
    assert user.request(method, "/delete", data=data, headers={"origin": origin}).status_code == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
@pytest.mark.parametrize(
    ("mode", "dest"), [("no-cors", "image"), ("cors", "empty"), ("navigate", "iframe"), ("navigate", "embed")]
)
def test_what_other_pages_load_or_frame_is_refused(user: TestClient, site: str, mode: str, dest: str) -> None:
    headers = {"sec-fetch-site": site, "sec-fetch-mode": mode, "sec-fetch-dest": dest}
    assert user.get("/", headers=headers).status_code == 403


def test_a_link_that_the_user_follows_is_answered_but_not_a_form_of_another_page(user: TestClient) -> None:
    headers = {"sec-fetch-site": "same-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    assert user.get("/", headers=headers).status_code == 200
    assert user.post("/delete", data={"csrf": ACCESS.csrf}, headers=headers).status_code == 403


@pytest.mark.parametrize("method", ["OPTIONS", "PUT", "DELETE", "PATCH", "TRACE"])
def test_other_methods_are_refused(user: TestClient, method: str) -> None:
    response = user.request(method, "/")
    assert response.status_code == 405
    assert response.headers["allow"] == "GET, HEAD, POST"
    assert not [name for name in response.headers if name.startswith("access-control")]


def test_head_has_no_body(user: TestClient) -> None:
    response = user.head("/")
    assert (response.status_code, response.content) == (200, b"")
    assert user.head("/events").status_code == 200, "it does not wait for events"


@pytest.mark.parametrize("csrf", [None, "", "wrong", ACCESS.token])
@pytest.mark.parametrize("action", ACTIONS)
def test_actions_need_the_csrf_value(user: TestClient, action: str, csrf: str | None) -> None:
    for path in (f"/runs/x/{action}", "/delete"):
        response = user.post(path, data={} if csrf is None else {"csrf": csrf})
        assert response.status_code in (400, 403, 415)


@pytest.mark.parametrize("action", ["stop", "resume", "rerun"])
def test_actions_are_not_done_by_get(user: TestClient, action: str) -> None:
    assert user.get(f"/runs/x/{action}").status_code == 405


def test_only_forms_are_read(user: TestClient) -> None:
    assert user.post("/delete", json={"csrf": ACCESS.csrf}).status_code == 415
    headers = {"content-type": "application/x-www-form-urlencoded"}
    assert user.post("/delete", content=b"csrf=\xff", headers=headers).status_code == 400
    assert user.post("/delete", content=b"csrf", headers=headers).status_code == 400


def test_a_huge_body_is_refused_with_and_without_its_length(user: TestClient) -> None:
    parts = 0

    def stream() -> Iterator[bytes]:
        nonlocal parts
        for _ in range(100):
            parts += 1
            yield b"x" * 1024**2

    headers = {"content-type": "application/x-www-form-urlencoded"}
    assert user.post("/delete", content=b"x" * (MAX_BODY + 1), headers=headers).status_code == 413
    assert user.post("/delete", content=stream(), headers=headers).status_code == 413


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static/..%2fapp.py",
        "/static/%2e%2e%2f%2e%2e%2f__init__.py",
        "/static//etc/passwd",
        "/static/%2fetc%2fpasswd",
        "/static/",
        "/static/%00",
        "/static/vendor",
    ],
)
def test_static_files_are_those_of_the_folder(user: TestClient, path: str) -> None:
    assert user.get(path).status_code == 404


def test_every_response_has_the_security_headers(user: TestClient, stranger: TestClient) -> None:
    responses = [user.get("/"), user.get("/static/page.js"), user.get("/nothing"), user.put("/"), stranger.get("/")]
    for response in responses:
        policy = dict(part.split(" ", 1) for part in response.headers["content-security-policy"].split("; "))
        assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
        assert "unsafe" not in response.headers["content-security-policy"]
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["cross-origin-opener-policy"] == "same-origin"
        assert response.headers["cross-origin-resource-policy"] == "same-origin"
        assert response.headers["referrer-policy"] == "same-origin"
        is_static = "/static/" in str(response.url)
        assert response.headers["cache-control"] == ("no-cache" if is_static else "no-store")
        assert "server" not in response.headers


def test_browsers_keep_files_at_an_address_that_changes_with_them(user: TestClient) -> None:
    scripts = re.findall(r'src="(/static/[0-9a-f]{8}/page\.js)"', user.get("/").text)
    kept, missing = user.get(scripts[0]), user.get(scripts[0].replace("page", "nothing"))

    assert kept.text == user.get("/static/page.js").text
    assert kept.headers["cache-control"] == "max-age=31536000, immutable"
    assert (missing.status_code, missing.headers["cache-control"]) == (404, "no-cache")


@pytest.mark.parametrize("names", ["nothing", "standpipe+nothing", "..%2Fapp", "", "vendor/dagre", "standpipe+"])
def test_style_sheets_are_those_of_the_folder(user: TestClient, names: str) -> None:
    styles = re.findall(r'href="(/static/[0-9a-f]{8}/styles/standpipe\+runs\.css)"', user.get("/").text)[0]
    sheets = user.get(styles)

    assert sheets.headers["content-type"].startswith("text/css")
    assert sheets.text == "\n".join(user.get(f"/static/{name}.css").text for name in ("standpipe", "runs"))
    assert sheets.headers["cache-control"] == "max-age=31536000, immutable"
    assert user.get(styles.replace("standpipe+runs", names)).status_code == 404


def test_the_address_of_kept_files_is_another_one_when_a_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(static_files, "STATIC", tmp_path)
    (tmp_path / "page.js").write_text("one")
    addresses = [static_files.kept_address.__wrapped__()]
    (tmp_path / "page.js").write_text("other")
    addresses.append(static_files.kept_address.__wrapped__())

    assert addresses[0] != addresses[1]


def test_pages_have_no_code_or_style_of_their_own(user: TestClient) -> None:
    page = user.get("/").text
    assert not re.search(r"<script(?![^>]*\ssrc=)|<style|\son\w+=|\sstyle=", page)


def test_the_token_is_in_no_page_and_no_text_of_an_object(user: TestClient) -> None:
    assert ACCESS.token not in user.get("/").text
    assert ACCESS.token not in repr(ACCESS)
