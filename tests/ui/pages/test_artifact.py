"""The page of an artifact: what it is, what it contains, what it says about a model, and its lineage."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from standpipe.history import get_run
from standpipe.ui.pages.artifact import find_artifact
from standpipe.ui.payloads import NoSuchArtifact
from tests.ui.artifacts import location, run_with_artifacts, text_writer

Client = Callable[[], TestClient]


def page_text(client: TestClient, run: str, **query: object) -> str:
    """Return the text of an artifact's page, without markup, in one line."""
    page = client.get(f"/runs/{run}/artifact", params={name: str(value) for name, value in query.items()})
    assert page.status_code == 200, page.text
    return " ".join(re.sub(r"<[^>]+>", " ", page.text.partition("<main")[2]).split())


def test_a_page_says_what_an_artifact_is(client: Client, tmp_path: Path) -> None:
    run = run_with_artifacts(tmp_path, text_writer("a,b\n1,2\n"))
    text = page_text(client(), run, uri=location(tmp_path, run))

    (artifact,) = (each for each in get_run(tmp_path, run).artifacts if each.name == "data")
    assert artifact.digest in text
    assert location(tmp_path, run) in text
    assert "system.Dataset" in text
    assert "made by make-shown-artifacts" in text
    assert "1 row 2 columns" in text
    assert "Used by use-shown-artifact" in text


def test_a_page_shows_metrics(client: Client, tmp_path: Path) -> None:
    run = run_with_artifacts(tmp_path)
    numbers = page_text(client(), run, uri=location(tmp_path, run, "numbers"))
    scores = page_text(client(), run, uri=location(tmp_path, run, "scores"))

    assert "accuracy 0.975" in numbers
    assert "True cat, predicted dog: 1 (25 % of the row)" in scores
    assert "cat 100 % 75 % 85.7 % 4" in scores
    assert "AUC 0.7500" in scores


def test_a_file_in_a_folder_has_a_page(client: Client, tmp_path: Path) -> None:
    def write(data: Any) -> None:
        folder = Path(data.path)
        folder.mkdir()
        (folder / "notes.md").write_text("# A *title*")

    run = run_with_artifacts(tmp_path, write)

    assert "1 file 11 B notes.md 11 B" in page_text(client(), run, uri=location(tmp_path, run))
    assert "A title" in page_text(client(), run, uri=location(tmp_path, run), path="notes.md")
    missing = page_text(client(), run, uri=location(tmp_path, run), path="other.md")
    assert "There is no such file in this artifact." in missing


def test_names_of_files_that_are_not_text_are_shown(client: Client, tmp_path: Path) -> None:
    def write(data: Any) -> None:
        inner = os.path.join(os.fsencode(data.path), b"caf\xe9")
        os.makedirs(inner)
        Path(os.fsdecode(inner), "x.txt").touch()

    run = run_with_artifacts(tmp_path, write)

    assert "1 file 0 B caf\N{REPLACEMENT CHARACTER} x.txt 0 B" in page_text(client(), run, uri=location(tmp_path, run))


@pytest.mark.parametrize(
    "content",
    [
        *(
            b'{"a": "\\ud800", "\\udfff": 1}',
            b'{"a": "\\ud800"}\n{"b": 1}',
            b"a,b\n\0,\x1b\n",
            b"\xff\xfe\0\xd8",
            b"\xed\xa0\x80",
        ),
        *(
            b"{{ 1 }}{% raw %}",
            b"</pre></main><script>",
            b"[[[[[[]]]]]]",
            b'{"": {}, " ": []}',
            b"\x93NUMPY\1\0\x02\0{}",
        ),
    ],
)
@pytest.mark.parametrize("type_ending", ["", ".md", ".csv"])
def test_any_content_has_a_page(client: Client, tmp_path: Path, content: bytes, type_ending: str) -> None:
    def write(data: Any) -> None:
        Path(data.path).mkdir()
        Path(data.path, f"x{type_ending}").write_bytes(content)

    run = run_with_artifacts(tmp_path, write)

    assert "Lineage" in page_text(client(), run, uri=location(tmp_path, run), path=f"x{type_ending}")


def test_a_payload_that_was_removed_is_named_so(client: Client, tmp_path: Path) -> None:
    run = run_with_artifacts(tmp_path, text_writer("x"))
    Path(location(tmp_path, run)).unlink()

    assert "its payload is no longer there" in page_text(client(), run, uri=location(tmp_path, run))


def test_a_payload_that_was_changed_is_named_so(client: Client, tmp_path: Path) -> None:
    run = run_with_artifacts(tmp_path, text_writer("x"))
    Path(location(tmp_path, run)).write_text("something else")

    assert "changed since its task ended" in page_text(client(), run, uri=location(tmp_path, run))


def test_metadata_and_names_cannot_add_markup(client: Client, tmp_path: Path) -> None:
    def write(data: Any) -> None:
        data.metadata["<script>alert(1)</script>"] = "</main><img src=x>"

    run = run_with_artifacts(tmp_path, write)
    html = client().get(f"/runs/{run}/artifact", params={"uri": location(tmp_path, run)}).text

    assert "<script>alert" not in html
    assert "<img src=x>" not in html
    assert "&lt;script&gt;alert(1)" in html


def test_pages_have_no_inline_style_or_script(client: Client, tmp_path: Path) -> None:
    run = run_with_artifacts(tmp_path, text_writer("a,b\n1,2\n"))
    for output in ("data", "scores", "numbers"):
        html = client().get(f"/runs/{run}/artifact", params={"uri": location(tmp_path, run, output)}).text
        assert not re.search(r"\sstyle=|\son[a-z]+=|<style", html)


def test_an_artifact_is_found_by_its_output(client: Client, tmp_path: Path) -> None:
    run = get_run(tmp_path, run_with_artifacts(tmp_path, text_writer("x")))

    artifact = find_artifact(run, {"task": "make-shown-artifacts", "output": "data"})
    assert str(artifact.path) == location(tmp_path, run.id)
    for query in (
        {"uri": "/etc/passwd"},
        {"task": "make-shown-artifacts", "output": "other"},
        {"task": "make-shown-artifacts", "output": "data", "index": "1"},
        {"task": "missing", "output": "data"},
        {},
    ):
        with pytest.raises(NoSuchArtifact):
            find_artifact(run, query)


def test_an_unknown_artifact_has_a_page_that_says_so(client: Client, tmp_path: Path) -> None:
    run = run_with_artifacts(tmp_path)
    page = client().get(f"/runs/{run}/artifact", params={"uri": "/etc/passwd"})

    assert page.status_code == 404
    assert "There is no such artifact" in page.text


# --- lineage ----------------------------------------------------------------------------------------------------------


def test_lineage_leads_from_inputs_to_outputs(client: Client, tmp_path: Path) -> None:
    run = run_with_artifacts(tmp_path, text_writer("x"))
    data = page_text(client(), run, uri=location(tmp_path, run))
    copy = page_text(client(), run, uri=location(tmp_path, run, "copy", "use-shown-artifact"))

    assert re.search("Task make-shown-artifacts of run .* Task use-shown-artifact of run .* copy Artifact", data)
    assert re.search("Lineage of copy data Dataset .* Task use-shown-artifact of run", copy)


def test_lineage_finds_the_same_content_in_other_runs(client: Client, tmp_path: Path) -> None:
    first = run_with_artifacts(tmp_path, text_writer("same"), seed=1)
    run_with_artifacts(tmp_path, text_writer("different"), seed=2)
    last = run_with_artifacts(tmp_path, text_writer("same"), seed=3)
    text = page_text(client(), last, uri=location(tmp_path, last))

    assert f"Task make-shown-artifacts of run {first}: the same content, another file" in text
    assert f"Task use-shown-artifact of run {first}: the same content, another file" in text
    assert text.count("the same content, another file") == 2
    assert "3 of 3 runs searched" in text


def test_a_deleted_run_does_not_disturb_lineage(client: Client, tmp_path: Path) -> None:
    first = run_with_artifacts(tmp_path, text_writer("same"), seed=1)
    last = run_with_artifacts(tmp_path, text_writer("same"), seed=2)
    made = client()
    before = page_text(made, last, uri=location(tmp_path, last))
    shutil.rmtree(tmp_path / first)

    assert page_text(made, last, uri=location(tmp_path, last)) == before
