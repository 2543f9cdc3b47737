"""`standpipe graph`: the tasks of a pipeline as text, Mermaid and SVG."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest

from standpipe.cli.main import main
from standpipe.cli.tree import Branch, render_tree

SCRIPT = '''\
from kfp import dsl, local


@dsl.component
def make(n: int, data: dsl.Output[dsl.Dataset]) -> list:
    return []


@dsl.component
def score(item: int, data: dsl.Input[dsl.Dataset]) -> float:
    return 0.5


@dsl.component
def flip() -> str:
    return "heads"


@dsl.component
def tell(text: str):
    raise AssertionError("nothing runs")


@dsl.component
def clean(status: dsl.PipelineTaskFinalStatus):
    pass


@dsl.pipeline
def demo(n: int = 3, label: str = "a") -> str:
    """A pipeline with everything."""
    coin = flip()
    with dsl.ExitHandler(clean()):
        made = make(n=n)
        with dsl.If(coin.output == "heads"):
            tell(text="heads")
        with dsl.Else():
            tell(text='<b>"tails"</b>').set_display_name('the <b>"end"</b> #35; `x`')
        with dsl.ParallelFor(made.outputs["Output"], parallelism=2) as item:
            score(item=item, data=made.outputs["data"])
        with dsl.ParallelFor([1, 2]) as number:
            score(item=number, data=made.outputs["data"])
        data = dsl.importer(artifact_uri="gs://b/o", artifact_class=dsl.Dataset)
        score(item=n, data=data.output).after(coin)
    return coin.output


if __name__ == "__main__":
    raise SystemExit("the main block ran")
'''


@pytest.fixture(autouse=True)
def _in_a_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [*sys.argv])
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name in ("kfp", "kfp.dsl", "kfp.local", "__standpipe__"):
        monkeypatch.setitem(sys.modules, name, sys.modules.get(name, SimpleNamespace()))
        monkeypatch.delitem(sys.modules, name)
    Path("demo.py").write_text(SCRIPT)


def graph(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    code = main(["graph", *arguments])
    captured = capsys.readouterr()
    assert code == 0, captured.err
    return captured.out


def test_the_text_has_each_task_with_what_decides_when_it_runs(capsys: pytest.CaptureFixture[str]) -> None:
    text = graph(capsys, "demo.py")
    assert text.splitlines()[:4] == ["demo", "  n: int = 3", '  label: str = "a"', "  → Output: str"]
    assert text.splitlines()[4:] == [
        "├─ flip",
        "├─ exit-handler-1           exit handler",
        "│  │                        after flip",
        "│  ├─ condition-branches-2",
        "│  │  ├─ condition-3        if flip-Output == 'heads'",
        "│  │  │  └─ tell",
        "│  │  └─ condition-4        else",
        '│  │     └─ the <b>"end"</b> #35; `x`',
        "│  ├─ make",
        "│  ├─ importer              importer",
        "│  ├─ for-loop-5            for each item of make.Output, at most 2 at a time",
        "│  │  │                     after make",
        "│  │  └─ score",
        "│  ├─ for-loop-7            for each of 2 items: 1, 2",
        "│  │  │                     after make",
        "│  │  └─ score-2",
        "│  └─ score-3               after importer",
        "└─ clean                    after exit-handler-1, whether or not it succeeds",
    ]
    assert max(map(len, text.splitlines())) <= 80
    assert [*Path.cwd().iterdir()] == [Path("demo.py").absolute()], "nothing is run or written"


def test_a_component_and_a_compiled_file_have_graphs(capsys: pytest.CaptureFixture[str]) -> None:
    assert graph(capsys, "demo.py:flip") == "flip\n  → Output: str\n└─ flip\n"
    assert main(["compile", "demo.py:demo"]) == 0
    capsys.readouterr()
    assert "if flip-Output == 'heads'" in graph(capsys, "demo.yaml")


def test_a_chart_of_mermaid_has_valid_ids_and_escaped_labels(capsys: pytest.CaptureFixture[str]) -> None:
    chart = graph(capsys, "demo.py", "--format", "mermaid")
    lines = [line.strip() for line in chart.splitlines()]
    assert lines[0] == "flowchart TB"
    label = r'"(?:[^"#&<>`\\]|#\d+;)*"'
    statement = (
        rf"(?:subgraph t[\d_]+\[{label}\]|end|t[\d_]+\[\(?{label}\)?\]|t[\d_]+ (?:-->\|{label}\||-\.->) t[\d_]+)"
    )
    assert [line for line in lines[1:] if not re.fullmatch(statement, line)] == []
    declared = re.findall(r"^\s*(?:subgraph )?(t[\d_]+)\[", chart, re.MULTILINE)
    assert len(declared) == len(set(declared)) == 15
    used = re.findall(r"(t[\d_]+) -|> (t[\d_]+)$|\| (t[\d_]+)$", chart, re.MULTILINE)
    assert {name for names in used for name in names if name} <= set(declared)
    assert "the #60;b#62;#34;end#34;#60;/b#62; #35;35; #96;x#96;" in chart
    assert lines.count("end") == sum(line.startswith("subgraph") for line in lines) == 6
    assert "\"condition-3: if flip-Output == 'heads'\"" in chart


def test_a_picture_is_svg_with_all_layers_and_needs_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    assert graph(capsys, "demo.py", "-o", "demo.svg") == ""
    picture = Path("demo.svg").read_text()
    root = ElementTree.fromstring(picture)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "demo / exit-handler-1 / condition-branches-2 / condition-4" in texts
    assert 'the <b>"end"</b> #35; `x`' in texts
    assert "Loop, for each of 2 items: 1, 2" in texts
    assert not re.findall(r"(?:href|src)=|@import|url\(", picture)
    assert "--ok: #177632" in picture


@pytest.mark.parametrize(("file", "beginning"), [("g.mmd", "flowchart"), ("g.txt", "demo\n"), ("g.svg", "<svg ")])
def test_the_name_of_a_file_decides_the_format(file: str, beginning: str, capsys: pytest.CaptureFixture[str]) -> None:
    graph(capsys, "demo.py", "-o", file)
    assert Path(file).read_text().startswith(beginning)


def test_a_pipeline_that_is_too_large_for_a_picture_is_drawn_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    Path("large.py").write_text(
        SCRIPT.partition("@dsl.pipeline")[0] + "@dsl.pipeline\ndef large():\n    for _ in range(301):\n        flip()\n"
    )
    assert main(["graph", "large.py", "--format", "svg"]) == 4
    assert "Cannot draw 'large': it has more than 300 tasks" in capsys.readouterr().err
    assert len(graph(capsys, "large.py").splitlines()) == 302


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("demo.py:dmeo",), 2, "Did you mean demo.py:demo?"),
        (("parts.py",), 2, "parts.py has several pipelines or components. Expected one of parts.py:make,"),
        (("empty.py",), 2, "empty.py has no pipelines or components. Define one"),
        (
            ("nowhere.py",),
            2,
            "nowhere.py cannot be run: No such file or directory. Expected a script or",
        ),
        (("folder",), 2, "folder cannot be run: Is a directory."),
        (("syntax.py",), 1, "SyntaxError"),
        (("raises.py",), 1, "ZeroDivisionError"),
        (("broken.yaml",), 3, "broken.yaml"),
        (("nowhere.yaml",), 6, "nowhere.yaml cannot be read"),
        (("demo.py", "-o", "folder"), 6, "Cannot write the graph folder: Is a directory."),
        (("demo.py", "-o", "nowhere/x.svg"), 6, "Cannot write the graph nowhere/x.svg: No such file or directory."),
    ],
)
def test_a_failure_is_explained(
    arguments: tuple[str, ...], code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("folder").mkdir()
    Path("parts.py").write_text(SCRIPT.partition("@dsl.pipeline")[0])
    Path("empty.py").touch()
    Path("syntax.py").write_text("def (:\n")
    Path("raises.py").write_text("1 / 0\n")
    Path("broken.yaml").write_text("root: {}\n")
    assert main(["graph", *arguments]) == code
    assert says in capsys.readouterr().err


def test_notes_are_wrapped_beside_the_lines_of_a_tree() -> None:
    long = Branch("a name that is far too long to have notes beside it", ["one two three"])
    tree = [Branch("top", ["a b c d e f g h i j k l m n o p"], [Branch("inner"), long]), Branch("last", ["x", "y"])]
    assert [*render_tree(tree, 38)] == [
        "├─ top       a b c d e f g h i j k l m",
        "│  │           n o p",
        "│  ├─ inner",
        "│  └─ a name that is far too long to have notes beside it",
        "│            one two three",
        "└─ last      x",
        "             y",
    ]


def test_a_terminal_without_such_characters_gets_a_tree_of_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(encoding="ascii"))
    lines = [*render_tree([Branch("a", [], [Branch("b")]), Branch("c")], 80)]
    monkeypatch.undo()
    assert lines == ["|- a", "|  `- b", "`- c"]
