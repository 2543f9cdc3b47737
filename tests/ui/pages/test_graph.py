"""The tabs Graph and Timeline as pages."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from standpipe import dsl, local
from standpipe.local import FakeRunner
from standpipe.ui import rendering
from standpipe.ui.rendering import link
from standpipe.ui.source import RunSource
from standpipe.ui.views.timeline import draw_timeline

Client = Callable[[], TestClient]

NAME = 'Say "hi" </script><b>ä'


@dsl.component
def greet(text: str, data: dsl.Output[dsl.Dataset]) -> str: ...


@dsl.pipeline
def page_of_a_graph(items: list = ["a", "b"]) -> None:  # noqa: B006  as users write it
    first = greet(text="x").set_display_name(NAME)
    with dsl.ParallelFor(items) as item:
        greet(text=item)
    with dsl.If(first.outputs["Output"] == "never"):
        greet(text="y")


@pytest.fixture
def run(tmp_path: Path) -> str:
    return run_of(tmp_path, lambda text: {"Output": text})


def run_of(root: Path, function: Callable[..., Any]) -> str:
    runner = FakeRunner(greet=function)
    local.run(page_of_a_graph, runner=runner, pipeline_root=root, quiet=True, raise_on_error=False)
    return local.get_run("latest", root).id


def get(client: Client, run: str, **query: object) -> str:
    response = client().get(link("runs", run, **query))
    assert response.status_code == 200
    assert not re.search(r"\sstyle=|\son[a-z]+=|javascript:", response.text)
    return response.text


def test_the_graph_is_in_the_page_as_data_and_as_a_list(client: Client, run: str) -> None:
    page = get(client, run)

    (data,) = re.findall(r'<script type="application/json" id="graph-data"[^>]*>(.*?)</script>', page, re.S)
    nodes = json.loads(data)["nodes"]
    assert {node["name"] for node in nodes} == {NAME, "for-loop-1", "condition-2", "data"}
    assert ">Say &#34;hi&#34; &lt;/script&gt;&lt;b&gt;ä</a>" in page
    assert NAME not in page
    assert link("runs", run, tab="graph", layer="for-loop-1").replace("&", "&amp;") in page
    assert '<li><span class="state state-succeeded"' in page


def test_the_layer_of_the_selected_task_is_shown(client: Client, run: str) -> None:
    page = get(client, run, task="for-loop-1/1/greet-2", panel="logs")

    assert '<span aria-current="page">1</span>' in page
    assert re.search(r'<a [^>]*layer=for-loop-1%2F1"[^>]*aria-label="Close the panel"', page)  # it stays
    assert '<tr id="row-for-loop-1/1" class="selected">' in get(client, run, task="for-loop-1/1")
    assert '"kind": "loop"' in client().get(link("runs", run, tab="graph") + "&layer=&task=for-loop-1/1").text


def test_a_loop_is_a_table_with_pages_and_filters(client: Client, tmp_path: Path) -> None:
    def fails(text: str) -> dict[str, str]:
        if text == "b":
            raise ValueError("<i>bad</i>")
        return {"Output": text}

    run = run_of(tmp_path, fails)
    page = get(client, run, layer="for-loop-1", task="for-loop-1/1", page="x")
    rows = re.findall(r'<tr id="row-([^"]*)"([^>]*)>', page)

    assert rows == [("for-loop-1/1", ' class="selected"'), ("for-loop-1/0", "")]
    assert "&lt;i&gt;bad" in page
    assert "1 to 2 of 2" in page
    filtered = get(client, run, layer="for-loop-1", state="SUCCEEDED")
    assert re.findall(r'<tr id="row-([^"]*)"', filtered) == ["for-loop-1/0"]
    assert "There are none in this state." in get(client, run, layer="for-loop-1", state="CANCELLED")


def test_an_iteration_opens_as_a_graph(client: Client, run: str) -> None:
    page = get(client, run, layer="for-loop-1/1")

    assert '<span aria-current="page">1</span>' in page
    assert "graph-canvas" in page


def test_a_run_without_a_plan_says_what_its_graph_lacks(
    client: Client, run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RunSource, "plan", lambda self, run: None)

    page = get(client, run)
    assert "an older version recorded" in page
    assert '"kind": "loop"' in page
    assert "timeline-critical" not in get(client, run, tab="timeline")


def test_an_unknown_layer_says_so(client: Client, run: str) -> None:
    page = get(client, run, layer="no/such/<layer>")

    assert "No such layer" in page
    assert "no/such/&lt;layer&gt;" in page


def test_a_task_that_has_not_started_can_be_selected(client: Client, run: str) -> None:
    assert "has not started." in get(client, run, layer="condition-2", task="condition-2/greet-3")


def test_a_timeline_without_links_for_reports(tmp_path: Path, run: str) -> None:
    source = RunSource(tmp_path)
    record = source.run(run)
    timeline = draw_timeline(record, source.plan(record), datetime.now(timezone.utc))
    macros: Any = rendering._environment.get_template("run/timeline_chart.html").module
    text = str(macros.chart(timeline))

    assert text.count('class="timeline-bars"') == 3
    assert not re.search("<a |href|style=|script>", text)


def test_the_timeline_has_a_row_for_each_task(client: Client, run: str) -> None:
    page = get(client, run, tab="timeline", task="condition-2")

    names = re.findall(r'<span class="timeline-name">(.*?)</span>', page)
    assert sorted(names) == ["Say &#34;hi&#34; &lt;/script&gt;&lt;b&gt;ä", "condition-2", "for-loop-1"]
    assert 'class="bar bar-attempt bar-succeeded"' in page
    assert 'aria-current="true"' in page
    assert 'class="timeline-strip' in page
    opened = get(client, run, tab="timeline", toggle="for-loop-1")
    assert opened.count('<span class="timeline-name">greet') == 2
    assert 'aria-label="Close for-loop-1"' in opened
