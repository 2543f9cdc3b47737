"""The page of all runs."""

from __future__ import annotations

from collections.abc import Callable

from starlette.testclient import TestClient


def test_a_root_without_runs_says_what_to_do(client: Callable[[], TestClient]) -> None:
    page = client().get("/")

    assert page.status_code == 200
    assert "No runs yet" in page.text
