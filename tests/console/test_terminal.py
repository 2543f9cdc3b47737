"""The live display on a real terminal, with notices in between."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tests.terminals import run_on_terminal, screen_lines
from tests.wheels import make_wheel

SCRIPT = """
import sys, time
from standpipe import dsl, local

@dsl.component
def first() -> int:
    import time
    time.sleep(1)
    return 1

@dsl.component(packages_to_install=[sys.argv[1]])
def second(x: int) -> int:
    import time
    print("printed by the task")
    time.sleep(0.3)
    return x

@dsl.pipeline
def chain() -> int:
    return second(x=first().output).output

local.run(chain, {}, runner=local.SubprocessRunner(), pipeline_root=sys.argv[2])
"""


def test_notices_do_not_corrupt_the_live_display(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    wheel = make_wheel(tmp_path, "one")
    env = {**os.environ, "STANDPIPE_CACHE": str(tmp_path / "cache"), "UV_CACHE_DIR": str(tmp_path / "uv")}
    written = run_on_terminal((sys.executable, str(tmp_path / "script.py"), str(wheel), str(tmp_path / "root")), env)

    lines = [line for line in screen_lines(written) if line]
    assert lines[0].startswith("Running chain in ")
    assert lines[1] == f"standpipe: Building an environment with {wheel}. Later tasks will reuse it."
    notices = [line for line in lines if "standpipe: " in line]
    assert all(line.startswith("standpipe: ") for line in notices)
    assert notices[-1].startswith("standpipe: The environment is ready after ")
    others = [line for line in lines if not line.startswith("standpipe: ")][1:]
    assert [line.partition(" in ")[0] for line in others] == [
        "first: succeeded",
        "[second] printed by the task",
        "second: succeeded",
        "Succeeded",
    ]
