"""The code blocks of the documentation that need packages or time, with the fast ones of the same pages."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.code_blocks import PAGES, blocks_of
from tests.docs.pages import is_executed, is_slow, name_of, opened

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("path", [path for path in PAGES if any(map(is_slow, blocks_of(path)))], ids=name_of)
def test_all_blocks_of_a_page_run(path: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with opened(path, tmp_path, capfd) as page:
        for block in blocks_of(path):
            if is_executed(block):
                page.execute(block)
