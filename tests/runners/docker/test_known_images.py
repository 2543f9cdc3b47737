"""What is remembered of an engine's images, and for how long."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from standpipe.runners.docker import known_images as module
from standpipe.runners.docker.known_images import KnownImages


class FakeImages:
    """The images of an engine by name; counts the requests."""

    def __init__(self) -> None:
        self.ids = {"image": "sha256:1"}
        self.requests = 0

    def get(self, name: str) -> SimpleNamespace:
        self.requests += 1
        if name not in self.ids:
            raise OSError("no such image")
        return SimpleNamespace(id=self.ids[name])


def test_an_image_is_asked_for_once_in_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    images, known = FakeImages(), KnownImages()
    client: Any = SimpleNamespace(images=images)

    def find() -> str | None:
        image = known.find(client, "image")
        return image.id if image else None

    assert [find(), find()] == ["sha256:1", "sha256:1"]
    assert images.requests == 1
    images.ids["image"] = "sha256:2"
    monkeypatch.setattr(module, "_LIFETIME", -1.0)
    assert find() == "sha256:2"
    images.ids.clear()
    assert find() is None


def test_a_missing_image_is_asked_for_each_time() -> None:
    images, known = FakeImages(), KnownImages()
    client: Any = SimpleNamespace(images=images)
    assert known.find(client, "other") is None
    images.ids["other"] = "sha256:3"
    found = known.find(client, "other")
    assert found is not None
    assert found.id == "sha256:3"
