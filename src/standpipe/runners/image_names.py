"""The names of container images."""

from __future__ import annotations

import re

from standpipe.model.ports import Problem

#: The name of an image, as engines take it (`distribution/reference`, `regexp.go`).
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_IMAGE = re.compile(
    rf"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::\d+)?/)?{_PART}(?:/{_PART})*"
    r"(?P<tag>:\w[\w.-]{0,127})?(?P<digest>@[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,})?"
)


def find_image_problem(image: object) -> Problem | None:
    """Return what is wrong with the name of an image; None if nothing is, or it is not known before its task."""
    if not isinstance(image, str) or _IMAGE.fullmatch(image):
        return None
    return Problem(
        f"invalid name of an image {image!r}: expected lower case, such as 'python:3.11-slim' or "
        "'registry.example.org/team/train:1.2'"
    )


def is_pinned(image: str) -> bool:
    """Return whether the name of an image has a digest, or a tag other than `latest`, which is meant to move.

    >>> [is_pinned(image) for image in ("python", "python:latest", "localhost:5000/python", "python:3.11")]
    [False, False, False, True]
    """
    match = _IMAGE.fullmatch(image)
    return bool(match and (match["digest"] or match["tag"] not in (None, ":latest")))
