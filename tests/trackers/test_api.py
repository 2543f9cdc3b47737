"""The registry of trackers, and who knows of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import standpipe
from standpipe.runs.options import all_options
from standpipe.trackers.api import TRACKERS

PACKAGE = Path(standpipe.__file__).parent


def test_each_tracker_has_its_option() -> None:
    assert TRACKERS.keys() <= {option.name for option in all_options()}


@pytest.mark.parametrize("folder", ["engine", "execution", "history", "model", "runs", "store", "support"])
def test_what_is_around_trackers_knows_none_by_name(folder: str) -> None:
    names = re.compile("|".join(TRACKERS), re.IGNORECASE)
    files = [file for file in (PACKAGE / folder).rglob("*.py") if file.name != "options.py"]

    assert files
    assert [file for file in files if names.search(file.read_text("utf-8"))] == []
