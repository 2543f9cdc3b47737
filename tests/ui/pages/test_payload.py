"""Payloads: images and pages for frames that can do nothing, all else as downloads, nothing outside of an artifact."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from standpipe.ui.pages.payload import content_disposition
from tests.ui.artifacts import location, run_with_artifacts, text_writer

Client = Callable[[], TestClient]


def get(
    client: TestClient, run: str, use: str = "document", headers: dict[str, str] | None = None, **query: str
) -> Any:
    return client.get(f"/runs/{run}/payload", params=query, headers={"Sec-Fetch-Dest": use, **(headers or {})})


def policy(response: Any) -> dict[str, str]:
    parts = (part.strip().partition(" ") for part in response.headers["Content-Security-Policy"].split(";"))
    return {name: value for name, _, value in parts}


def bytes_writer(content: bytes) -> Callable[[Any], object]:
    return lambda data: Path(data.path).write_bytes(content)


PAGE = "<!doctype html><p>hello<script>alert(1)</script>"


def test_a_page_of_html_is_for_a_frame_that_can_do_nothing(client: Client, tmp_path: Path) -> None:
    run = run_with_artifacts(tmp_path, text_writer(PAGE))
    response = get(client(), run, "iframe", uri=location(tmp_path, run))

    assert response.text.startswith("<!doctype html><p>hello<style media=")
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["X-DNS-Prefetch-Control"] == "off"
    rules = policy(response)
    assert rules["sandbox"] == ""
    assert rules["default-src"] == rules["script-src"] == rules["connect-src"] == rules["form-action"] == "'none'"
    assert "Content-Disposition" not in response.headers


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_page_without_scripts_has_no_frames(client: Client, tmp_path: Path, encoding: str) -> None:
    page = '<!doctype html><IFrame src="x"></iframe><frameset><frame><p title="<iframe">é</p>'
    run = run_with_artifacts(tmp_path, bytes_writer(page.encode(encoding)))
    text = get(client(), run, "iframe", uri=location(tmp_path, run)).text.removeprefix("\ufeff")

    assert text == '<!doctype html><x-IFrame src="x"></x-iframe><x-frameset><x-frame><p title="<x-iframe">é</p>'


def test_scripts_run_if_the_user_asks_for_it(client: Client, tmp_path: Path) -> None:
    run = run_with_artifacts(tmp_path, text_writer(PAGE))
    response = get(client(), run, "iframe", uri=location(tmp_path, run), scripts="1")

    assert response.text == PAGE
    rules = policy(response)
    assert rules["sandbox"] == "allow-scripts"
    assert rules["default-src"] == rules["connect-src"] == "'none'"


@pytest.mark.parametrize("use", ["document", "script", "image", "empty", "object", "embed", ""])
def test_a_page_of_html_is_a_download_anywhere_but_in_a_frame(client: Client, tmp_path: Path, use: str) -> None:
    run = run_with_artifacts(tmp_path, text_writer(PAGE))
    response = get(client(), run, use, uri=location(tmp_path, run), scripts="1")

    assert response.headers["Content-Type"] == "application/octet-stream"
    assert response.headers["Content-Disposition"] == "attachment; filename=\"data.html\"; filename*=UTF-8''data.html"
    assert policy(response)["sandbox"] == ""
    assert policy(response)["default-src"] == "'none'"


@pytest.mark.parametrize(("content", "media"), [(b"GIF89a", "image/gif"), (b"<svg></svg>", "image/svg+xml")])
def test_an_image_is_for_image_elements_only(client: Client, tmp_path: Path, content: bytes, media: str) -> None:
    run = run_with_artifacts(tmp_path, bytes_writer(content))
    image = get(client(), run, "image", uri=location(tmp_path, run))
    document = get(client(), run, "document", uri=location(tmp_path, run))

    assert (image.headers["Content-Type"], image.content) == (media, content)
    assert policy(image)["default-src"] == "'none'"
    assert document.headers["Content-Type"] == "application/octet-stream"


@pytest.mark.parametrize("use", ["iframe", "image", "script", "document"])
def test_anything_else_is_a_download(client: Client, tmp_path: Path, use: str) -> None:
    run = run_with_artifacts(tmp_path, text_writer("a,b\n1,2\n"))
    response = get(client(), run, use, uri=location(tmp_path, run))

    assert response.text == "a,b\n1,2\n"
    assert response.headers["Content-Type"] == "application/octet-stream"
    assert response.headers["Content-Disposition"].startswith("attachment")


@pytest.mark.parametrize(
    ("range_", "status", "content", "content_range"),
    [
        ("bytes=0-3", 206, b"0123", "bytes 0-3/10"),
        ("bytes=4-", 206, b"456789", "bytes 4-9/10"),
        ("bytes=-2", 206, b"89", "bytes 8-9/10"),
        ("bytes=5-100", 206, b"56789", "bytes 5-9/10"),
        ("bytes=10-", 416, b"", "bytes */10"),
        ("bytes=-0", 416, b"", "bytes */10"),
        ("bytes=3-2", 416, b"", "bytes */10"),
        ("bytes=0-1,3-4", 200, b"0123456789", None),
        ("lines=0-1", 200, b"0123456789", None),
        ("bytes=-", 200, b"0123456789", None),
    ],
)
def test_a_range_can_be_requested(
    client: Client, tmp_path: Path, range_: str, status: int, content: bytes, content_range: str | None
) -> None:
    run = run_with_artifacts(tmp_path, text_writer("0123456789"))
    response = get(client(), run, headers={"Range": range_}, uri=location(tmp_path, run))

    assert (response.status_code, response.content) == (status, content)
    assert response.headers.get("Content-Range") == content_range
    assert response.headers["Content-Length"] == str(len(content))


@pytest.mark.parametrize(
    ("content", "name"),
    [
        *((b"a,b\n1,2\n", "data.csv"), (b"a\tb\n1\t2\n", "data.tsv"), (b'{"a": 1}', "data.json"), (b"hi", "data.txt")),
        *((b"PAR1...", "data.parquet"), (b"\x80\x04...", "data.pkl"), (bytes(100), "data"), (b"<svg/>", "data.svg")),
    ],
)
def test_a_download_has_the_ending_of_its_type(client: Client, tmp_path: Path, content: bytes, name: str) -> None:
    run = run_with_artifacts(tmp_path, bytes_writer(content))
    response = get(client(), run, uri=location(tmp_path, run))

    assert response.headers["Content-Disposition"].endswith(f"UTF-8''{name}")


def test_a_large_payload_is_sent_in_pieces(client: Client, tmp_path: Path) -> None:
    content = os.urandom(3_000_000)
    run = run_with_artifacts(tmp_path, bytes_writer(content))

    assert get(client(), run, uri=location(tmp_path, run)).content == content


def test_an_empty_payload_is_sent(client: Client, tmp_path: Path) -> None:
    run = run_with_artifacts(tmp_path, text_writer(""))

    assert get(client(), run, uri=location(tmp_path, run)).content == b""


def test_a_file_in_a_folder_is_sent(client: Client, tmp_path: Path) -> None:
    def write(data: Any) -> None:
        (Path(data.path) / "a").mkdir(parents=True)
        (Path(data.path) / "a" / "naïve.txt").write_text("hello")

    run = run_with_artifacts(tmp_path, write)
    response = get(client(), run, uri=location(tmp_path, run), path="a/naïve.txt")

    assert response.text == "hello"
    assert response.headers["Content-Disposition"].endswith("filename*=UTF-8''na%C3%AFve.txt")
    assert get(client(), run, uri=location(tmp_path, run)).status_code == 404


@pytest.mark.parametrize("path", ["../secret", "/etc/passwd", "link", "links/passwd", "a/../../secret", "fifo", "x"])
def test_nothing_outside_of_an_artifact_is_sent(client: Client, tmp_path: Path, path: str) -> None:
    def write(data: Any) -> None:
        folder = Path(data.path)
        folder.mkdir()
        (folder.parent / "secret").write_text("secret")
        (folder / "link").symlink_to("../secret")
        (folder / "links").symlink_to("/etc")
        os.mkfifo(folder / "fifo")

    run = run_with_artifacts(tmp_path, write)
    response = get(client(), run, uri=location(tmp_path, run), path=path)

    assert response.status_code == 404
    assert "<main" in response.text
    assert "root:" not in response.text


@pytest.mark.parametrize("uri", ["/etc/passwd", "runs.sqlite", "../../etc/passwd"])
def test_only_artifacts_of_the_run_are_sent(client: Client, tmp_path: Path, uri: str) -> None:
    run = run_with_artifacts(tmp_path, text_writer("x"))

    assert get(client(), run, uri=uri).status_code == 404
    assert get(client(), run, uri=str(tmp_path / uri)).status_code == 404


def test_an_artifact_that_became_a_link_out_of_the_root_is_not_sent(client: Client, tmp_path: Path) -> None:
    run = run_with_artifacts(tmp_path / "root", text_writer("x"))
    path = Path(location(tmp_path / "root", run))
    (tmp_path / "secret").write_text("secret")
    path.unlink()
    path.symlink_to(tmp_path / "secret")
    from standpipe.ui.app import make_app  # another root than that of the fixture
    from standpipe.ui.source import RunSource
    from tests.ui.conftest import ACCESS

    made = TestClient(make_app(RunSource(tmp_path / "root"), ACCESS), base_url="http://127.0.0.1:7717")
    made.cookies.set(ACCESS.cookie, ACCESS.token)
    response = get(made, run, uri=str(path))

    assert response.status_code == 404
    assert "outside of the pipeline root" in response.text


def test_a_payload_that_grows_is_sent_as_it_was(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from standpipe.ui import payloads  # patched

    run = run_with_artifacts(tmp_path, text_writer("0123456789"))
    path, read = Path(location(tmp_path, run)), payloads.OpenFile.read

    def grow_and_read(self: payloads.OpenFile, length: int, offset: int = 0) -> bytes:
        path.write_text("0123456789" * 2)
        return read(self, length, offset)

    monkeypatch.setattr(payloads.OpenFile, "read", grow_and_read)

    assert get(client(), run, uri=str(path)).text == "0123456789"


def test_requests_of_other_pages_get_nothing(client: Client, tmp_path: Path) -> None:
    run = run_with_artifacts(tmp_path, text_writer("x"))
    made = client()

    assert get(made, run, headers={"Origin": "null"}, uri=location(tmp_path, run)).status_code == 403
    made.cookies.clear()
    assert get(made, run, uri=location(tmp_path, run)).status_code == 403


def test_the_name_of_a_download_may_have_any_characters() -> None:
    name = 'a"b\\c;d\r\ne é \udcff.csv'

    assert content_disposition(name) == (
        "attachment; filename=\"a_b_c_d__e _ _.csv\"; filename*=UTF-8''a%22b%5Cc%3Bd%0D%0Ae%20%C3%A9%20%FF.csv"
    )
