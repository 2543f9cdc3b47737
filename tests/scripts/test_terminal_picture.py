"""`scripts/terminal-picture`: what the SVG of a recording contains, and the one in the documentation."""

from __future__ import annotations

import re
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pyte
import pytest

ROOT = Path(__file__).resolve().parents[2]
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    loader = SourceFileLoader("terminal_picture", str(ROOT / "scripts" / "terminal-picture"))
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    monkeypatch.setitem(sys.modules, loader.name, module)
    loader.exec_module(module)
    return module


def test_a_recording_has_each_line_once_and_each_screen_at_its_time(script: ModuleType) -> None:
    screen = pyte.Screen(20, 3)
    stream = pyte.Stream(screen)
    stream.feed("first <line>\r\n")
    frames = [script.Frame(0.0, script.screen_lines(screen))]
    stream.feed("\x1b[1;32mok\x1b[0m 2 s")
    frames.append(script.Frame(2.0, script.screen_lines(screen)))

    svg = ElementTree.fromstring(script.draw(frames))

    texts = ["".join(text.itertext()) for text in svg.iter(f"{SVG}text")]
    assert sorted(texts) == ["first <line>", "ok 2 s"]
    assert [span.get("class") for span in svg.iter(f"{SVG}tspan") if span.text == "ok"] == ["green b"]
    assert [len(list(group)) for group in svg.iter(f"{SVG}g")] == [1, 2]
    style = svg.findtext(f"{SVG}style") or ""
    assert "@keyframes k0{0.00%{visibility:visible}25.00%{visibility:hidden}}" in style
    assert "@keyframes k1{0%{visibility:hidden}25.00%{visibility:visible}}" in style


def test_a_program_that_fails_makes_no_picture(script: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="exit code 3"):
        list(script.written([sys.executable, "-c", "raise SystemExit(3)"], tmp_path))


def test_the_picture_of_the_documentation_shows_a_run_from_its_start_to_its_end() -> None:
    svg = ElementTree.parse(ROOT / "docs" / "images" / "terminal.svg").getroot()
    texts = "\n".join("".join(text.itertext()) for text in svg.iter(f"{SVG}text"))
    assert "$ standpipe run examples/sweep.py" in texts
    assert re.search(r"Succeeded in [\d.]+ s", texts)
    assert len(list(svg.iter(f"{SVG}g"))) > 5
