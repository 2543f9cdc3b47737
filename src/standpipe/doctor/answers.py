"""What checks of the machine answer, and what they know of the user's options."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

Status = Literal["ok", "warning", "problem"]


class Surroundings(NamedTuple):
    """The folders that the checks are about.

    Attributes:
        root: the pipeline root, which need not exist.
        cache: the folder of environments, which need not exist.
    """

    root: Path
    cache: Path


class Answer(NamedTuple):
    """What a check has found.

    Attributes:
        status: `problem` if the default runner cannot work, `warning` if something else does not.
        detail: what was found, as a phrase or sentences.
        fix: what to do: a command, or sentences with one. Empty if there is nothing to do.
    """

    status: Status
    detail: str
    fix: str = ""


def ok(detail: str) -> Answer:
    """Return the answer of a check that has found no fault."""
    return Answer("ok", detail)


def warning(detail: str, fix: str) -> Answer:
    """Return the answer for something that the default runner can do without."""
    return Answer("warning", detail, fix)


def problem(detail: str, fix: str) -> Answer:
    """Return the answer for something that the default runner needs."""
    return Answer("problem", detail, fix)
