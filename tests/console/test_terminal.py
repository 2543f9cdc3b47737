"""The live display on a real terminal, with notices in between."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from tests.terminals import run_on_terminal, screen_lines, terminal_environment
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
    env = {**terminal_environment(), "STANDPIPE_CACHE": str(tmp_path / "cache"), "UV_CACHE_DIR": str(tmp_path / "uv")}
    written = run_on_terminal((sys.executable, str(tmp_path / "script.py"), str(wheel), str(tmp_path / "root")), env)

    lines = [line for line in screen_lines(written) if line]
    assert lines[0].startswith("Running chain in ")
    assert lines[1] == f"standpipe: Building an environment with {wheel}. Later tasks will reuse it."
    notices = [line for line in lines if "standpipe: " in line]
    assert all(line.startswith("standpipe: ") for line in notices)
    assert notices[-1].startswith("standpipe: The environment is ready after ")
    others = [line for line in lines if not line.startswith("standpipe: ")][1:]
    assert [re.sub(r"\b[\d.]+ s\b", "N s", line) for line in others] == [
        "[second] printed by the task",
        "✓ first   N s",
        "✓ second  N s",
        "Succeeded in N s",
        "  tasks  2 ran",
        f"  files  {lines[0].removeprefix('Running chain in ')}",
        others[-1],
    ]


HOSTILE = """
import sys
from standpipe import dsl, local

@dsl.component
def hostile():
    import sys, time
    out = sys.stdout
    out.write("first\\x1b[2A\\x1b[2Koverwritten\\r\\x1b]0;title\\x07[red]shown\\x9b3A\\n")
    out.write("split \\x1b")
    out.flush()
    time.sleep(0.3)
    out.write("[5A\\x1b[31mred\\n")
    raise ValueError("boom\\x1b[7A\\x1b]52;c;ZWNobw==\\x07")

try:
    local.run(hostile, {}, runner=local.SubprocessRunner(use_venv=False), pipeline_root=sys.argv[1])
except RuntimeError as error:
    print(error)
print(local.get_run("latest", sys.argv[1]))
"""


def test_tasks_cannot_move_the_cursor(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(HOSTILE)
    written = run_on_terminal(
        (sys.executable, str(tmp_path / "script.py"), str(tmp_path / "root")), terminal_environment()
    )

    assert "\x1b]" not in written
    assert "\x07" not in written
    assert "\x9b" not in written
    lines = [line for line in screen_lines(written) if line]
    assert lines[0].startswith("Running hostile in ")
    assert lines[1:3] == ["[hostile] [red]shown", "[hostile] split red"]
    script = tmp_path / "script.py"
    assert f"hostile: failed at {script}, line 14: ValueError: boom" in lines
    assert f"{script}, line 14: Task 'hostile' failed: ValueError: boom" in lines
    (log,) = tmp_path.rglob("log.txt")
    assert b"\x1b[2A\x1b[2Koverwritten" in log.read_bytes()
