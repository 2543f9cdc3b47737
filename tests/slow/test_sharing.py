"""Many processes in one pipeline root at the same time, with one run store, cache and set of environments."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from standpipe import local

pytestmark = pytest.mark.slow

PROCESSES, RUNS = 8, 50

PROGRAM = """
import sys
from standpipe import dsl, local

@dsl.component(packages_to_install=["six==1.16.0"])
def square(x: int) -> int:
    import six
    return x ** int(six.text_type(2))

@dsl.component
def save(x: int, data: dsl.Output[dsl.Dataset]) -> int:
    with open(data.path, "w") as file:
        file.write(str(x))
    return x

@dsl.component
def read(data: dsl.Input[dsl.Dataset]) -> int:
    with open(data.path) as file:
        return int(file.read()) + 1

@dsl.pipeline
def shared(x: int) -> int:
    saved = save(x=square(x=x).output)
    return read(data=saved.outputs["data"]).output

local.init(local.SubprocessRunner(), sys.argv[1], enable_caching=True, quiet=True)
for number in range(int(sys.argv[2])):
    assert shared(x=number % 10).output == (number % 10) ** 2 + 1
"""


def test_no_result_is_lost_or_stored_twice(tmp_path: Path) -> None:
    root, environments = tmp_path / "root", tmp_path / "environments"
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    command = [sys.executable, str(program), str(root), str(RUNS)]
    env = {**os.environ, "STANDPIPE_CACHE": str(environments)}
    running = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=env) for _ in range(PROCESSES)]
    told = [process.communicate()[1] for process in running]
    assert [process.returncode for process in running] == [0] * PROCESSES, told
    assert "locked" not in "".join(told)

    with closing(sqlite3.connect(root / "runs.sqlite")) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        ended = [json.loads(body) for (body,) in db.execute("SELECT body FROM facts WHERE kind = 'RunEnded'")]
        gaps = db.execute("SELECT run FROM facts GROUP BY run HAVING count(*) != max(seq)").fetchall()
    assert Counter(each["state"] for each in ended) == {"SUCCEEDED": PROCESSES * RUNS}
    assert gaps == []
    assert len(local.runs(root)) == PROCESSES * RUNS
    assert len({run.id for run in local.runs(root)}) == PROCESSES * RUNS

    with closing(sqlite3.connect(root / "cache.sqlite")) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert db.execute("SELECT count(*) FROM entries").fetchone() == (30,), "three tasks with ten inputs"
    built = [folder for folder in (environments / "envs").iterdir() if (folder / "bin").is_dir()]
    assert len(built) == 2, "one with the package and one without"
    assert not [path.name for path in root.rglob(".running")], "no lock is left"
