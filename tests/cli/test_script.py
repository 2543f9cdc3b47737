"""Scripts as `standpipe` runs them: what `python` would have done, with Standpipe in the place of the KFP SDK."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

IMPORTS = "import sys\nfrom kfp import dsl, local\n"
PIPELINE = """
@dsl.component
def add(a: int, b: int = 1) -> int:
    return a + b

@dsl.pipeline
def math(x: int) -> int:
    return add(a=x).output
"""


def call(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True, text=True, check=False)


def run(script: str, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    (folder / "script.py").write_text(textwrap.dedent(script))
    return call("-m", "standpipe", "script.py", *arguments, folder=folder)


@pytest.mark.parametrize(
    "script",
    [
        """
        import atexit, inspect, pickle, sys, threading
        import beside

        class Point:
            pass

        assert isinstance(pickle.loads(pickle.dumps(Point())), Point)
        print(sys.argv, sys.path[:1], __name__, __file__, __spec__, __package__, type(__loader__), __builtins__)
        print(sys.modules["__main__"].Point is Point, inspect.getsource(Point))
        print(sorted(globals().keys() - {"__annotations__"}))
        atexit.register(lambda: print("at exit", __name__))
        threading.Timer(0.05, lambda: print("later", Point)).start()
        """,
        "import sys\nsys.exit('that is all')",
        "def f(:\n",
        """
        def divide(by):
            try:
                return 1 / by
            except ZeroDivisionError as error:
                raise ValueError("boom") from error
        divide(0)
        """,
        """
        import sys
        sys.excepthook = lambda kind, error, traceback: print("hooked", kind, error)
        raise ValueError("boom")
        """,
        "import nowhere",
    ],
)
def test_a_script_sees_and_does_what_it_does_without_us(script: str, tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "beside.py").touch()
    (tmp_path / "below" / "script.py").write_text(textwrap.dedent(script))
    arguments = ("below/script.py", "--a", "b", "-m")
    theirs = call(*arguments, folder=tmp_path)

    ours = call("-m", "standpipe", *arguments, folder=tmp_path)

    assert (ours.returncode, ours.stdout, ours.stderr) == (theirs.returncode, theirs.stdout, theirs.stderr)


def test_a_script_of_kfp_runs_unchanged(tmp_path: Path) -> None:
    script = f"{IMPORTS}{PIPELINE}\nlocal.init(local.SubprocessRunner(use_venv=False), quiet=True)\n"
    (tmp_path / "script.py").write_text(f"{script}print(math(x=int(sys.argv[1])).output)\n")

    done = call("-m", "standpipe", "run", "script.py", "4", folder=tmp_path)

    assert (done.returncode, done.stdout) == (0, "5\n"), done.stderr


def test_a_run_without_init_says_what_to_type(tmp_path: Path) -> None:
    done = run(f"{IMPORTS}{PIPELINE}\nmath(x=1)\n", folder=tmp_path)

    assert done.returncode == 2
    assert "local.init(runner=local.SubprocessRunner())" in done.stderr
    assert done.stderr.endswith(f"At {tmp_path / 'script.py'}, line 12.\n")
    assert "Traceback" not in done.stderr


def test_the_frames_of_the_users_code_are_all_that_is_shown(tmp_path: Path) -> None:
    done = run(f"{IMPORTS}\ndef broken():\n    1 / 0\ndsl.pipeline(broken)\n", folder=tmp_path)

    assert done.returncode == 1
    files = [line for line in done.stderr.splitlines() if line.startswith("  File")]
    script = tmp_path / "script.py"
    assert files == [f'  File "{script}", line 6, in <module>', f'  File "{script}", line 5, in broken']


def test_ctrl_c_ends_it_with_130(tmp_path: Path) -> None:
    done = run("import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(5)", folder=tmp_path)

    assert done.returncode == 130
    assert done.stderr.rstrip().endswith("KeyboardInterrupt")


def test_what_is_not_installed_is_said_with_the_line_that_wants_it(tmp_path: Path) -> None:
    done = run(
        "import sys\nsys.path[1:] = [p for p in sys.path if 'kfp' not in p]\nfrom kfp import Client\nClient()",
        folder=tmp_path,
    )

    assert done.returncode == 4
    assert done.stderr.startswith("kfp.Client is not part of Standpipe")
    assert done.stderr.endswith("script.py, line 4.\n")
