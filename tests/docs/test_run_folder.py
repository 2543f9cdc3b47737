"""The page on the files of a run names all of them."""

from __future__ import annotations

from standpipe.model import layout
from tests.docs.code_blocks import ROOT

PAGE = ROOT / "docs" / "reference" / "run-folder.md"


def test_each_name_of_a_file_or_folder_is_there() -> None:
    names = {value for name, value in vars(layout).items() if name.endswith(("_FILE", "_FOLDER"))}
    text = PAGE.read_text(encoding="utf-8")
    assert len(names) >= 10
    assert not {name for name in names if name not in text}
