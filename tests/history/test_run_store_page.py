"""The documentation of the run store is up to date."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from standpipe.model import events as e
from standpipe.model.layout import RUN_STORE_FILE
from standpipe.model.refs import TaskRef
from standpipe.store import facts, notation
from standpipe.store.runs import RunRecorder
from tests.plans import RUN, dag, node, plan

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "run-store.md").read_text(encoding="utf-8")


RECORDS = (
    *facts.RECORDS,
    *(facts.FAILURE, facts.REPORT, facts.RESOURCES),
    *(notation.ARTIFACT, notation.ARTIFACT_TYPE, notation.CHECKSUM),
)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.name)
def test_each_kind_and_object_is_documented_with_its_fields(record: notation.Record) -> None:
    row = re.search(rf"^\| `{record.name}` \| (.*?)\| ", PAGE, re.MULTILINE)
    assert row
    assert re.findall(r"`(\w+)`", row[1]) == [field.name for field in record.fields.values()]


def test_former_names_are_documented() -> None:
    section = PAGE.split("## Older names")[1].split("## ")[0]
    former = [(r.name, field.name, old) for r in RECORDS for field in r.fields.values() for old in field.former]
    assert re.findall(r"^\| `(\w+)` \| `(\w+)` \| `(\w+)` \|$", section, re.MULTILINE) == former


@pytest.fixture
def store(tmp_path: Path) -> Path:
    task = TaskRef((("a", None),))
    with closing(RunRecorder(tmp_path, RUN, plan(dag(node("a"))))) as recorder:
        recorder((e.RunStarted({}), e.TaskSucceeded(task, {}, e.AttemptReport(2.5))))
    return tmp_path / RUN_STORE_FILE


def test_each_table_is_documented_with_its_columns_and_the_version(store: Path) -> None:
    with closing(sqlite3.connect(store)) as db:
        names = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        columns = {name: [row[1] for row in db.execute(f"PRAGMA table_info({name})")] for name in names}
        (version,) = db.execute("PRAGMA user_version").fetchone()
    told: dict[str, list[str]] = {}
    described = ""
    for table, names in re.findall(r"^\| (`\w+`)? ?\| ((?:`\w+`(?:, )?)+) \|", PAGE, re.M):
        described = table.strip("`") or described  # a row without a name belongs to the table above
        told.setdefault(described, []).extend(re.findall(r"`(\w+)`", names))
    assert {name: told[name] for name in columns} == columns
    assert f"is the version of the schema, {version} at present" in PAGE


def test_the_documented_query_works(store: Path) -> None:
    (question,) = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
    with closing(sqlite3.connect(store)) as db:
        assert db.execute(question).fetchall() == [(RUN.id, '[["a",null]]', 2.5)]
