"""The tracebacks of errors of Standpipe: what users see in a program, in pytest and in IPython."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import standpipe
from standpipe import compiler, components, dsl, local
from standpipe.errors import InternalError, StandpipeError, shorten_errors
from standpipe.tracebacks import file_of, is_own, steps

OWN = os.path.dirname(standpipe.__file__)


@dsl.component
def double(x: int) -> int:
    return x * 2


def trace_pipeline() -> None:
    @dsl.pipeline
    def wrong() -> None:
        double(y=1)


def call_in_notebook() -> None:
    """Define a pipeline in code that is in no file, as in IPython."""
    source = "@dsl.pipeline\ndef wrong():\n    double(y=1)\n"
    exec(compile(source, "<ipython-input-1>", "exec"), {"dsl": dsl, "double": double, "__name__": "__main__"})


CALLS: dict[str, Callable[[], Any]] = {
    "call": lambda: double(y=1),
    "component": lambda: dsl.component(lambda x: None),
    "container component": lambda: dsl.container_component(lambda x: None),
    "get_run": lambda: local.get_run("nothing"),
    "init": lambda: local.init(local.SubprocessRunner(), max_parallel=0),
    "load": lambda: components.load_component_from_text("a: ["),
    "importer": lambda: dsl.importer(artifact_uri=3, artifact_class=dsl.Dataset),  # type: ignore[arg-type]
    "pipeline": trace_pipeline,
    "pipeline in a cell": call_in_notebook,
    "compile": lambda: compiler.Compiler().compile(3, "x.yaml"),  # type: ignore[arg-type]
    "resume": lambda: local.resume("nothing", runner=local.SubprocessRunner()),
    "run": lambda: local.run(3, runner=local.SubprocessRunner()),  # type: ignore[arg-type]
}


def catch(call: Callable[[], Any]) -> StandpipeError:
    with pytest.raises(StandpipeError) as caught:
        call()
    return caught.value


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_traceback_has_no_more_than_the_frame_that_raises_it(
    call: Callable[[], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    error = catch(call)

    own = [step for step in steps(error.__traceback__) if is_own(step)]
    assert {step.tb_frame.f_code.co_name for step in own} == {"call"}
    assert all(step.tb_frame.f_locals["__tracebackhide__"] for step in own), "pytest hides it"
    assert error.__cause__ is None or error.__cause__.__traceback__ is None, "the libraries that Standpipe called"


@pytest.mark.parametrize("call", [trace_pipeline, call_in_notebook])
def test_the_lines_of_a_pipeline_function_stay(call: Callable[[], Any]) -> None:
    names = [step.tb_frame.f_code.co_name for step in steps(catch(call).__traceback__)]
    assert names[-2:] == ["call", "wrong"]


def test_a_defect_keeps_the_whole_traceback() -> None:
    @shorten_errors
    def fail() -> None:
        raise InternalError("an invariant is violated")

    names = [step.tb_frame.f_code.co_name for step in steps(catch(fail).__traceback__)]
    assert names[-2:] == ["call", "fail"]


def test_errors_of_the_users_code_keep_the_whole_traceback() -> None:
    with pytest.raises(ZeroDivisionError) as caught:

        @dsl.pipeline
        def wrong() -> None:
            print(1 / 0)

    assert any(file_of(step).startswith(OWN) for step in steps(caught.value.__traceback__))


def test_a_library_with_pipelines_stays(tmp_path: Path) -> None:
    package = tmp_path / "site-packages" / "library.py"
    package.parent.mkdir()
    package.write_text("def wrong():\n    double(y=1)\n")
    module: dict[str, Any] = {"double": double, "__name__": "library"}
    exec(compile(package.read_text(), package, "exec"), module)

    error = catch(lambda: dsl.pipeline(module["wrong"]))

    assert str(package) in map(file_of, steps(error.__traceback__))


def test_pytest_shows_the_users_line_alone(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        textwrap.dedent("""
        from standpipe import dsl, local

        @dsl.component
        def fail() -> int:
            raise ValueError("broken")

        def test_it():
            local.run(fail, runner=local.FakeRunner({"fail": lambda: 1 / 0}))
        """)
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", tmp_path],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert ">       local.run(fail" in done.stdout
    assert "test_it.py:9: TaskFailed" in done.stdout
    assert OWN not in done.stdout.partition("Captured stdout")[0].replace(str(tmp_path), "")


def test_ipython_gets_a_traceback_without_own_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    """`tests/slow/test_ipython.py` does it with IPython itself."""
    shown: list[str] = []

    class Formatter:
        def structured_traceback(self, kind: type, error: Exception, traceback: Any, tb_offset: int) -> list[str]:
            assert (kind, tb_offset) == (type(error), 1)
            shown.extend(map(file_of, steps(traceback)))
            return ["text"]

    shell = types.SimpleNamespace(InteractiveTB=Formatter())
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))

    assert catch(trace_pipeline)._render_traceback_() == ["text"]
    assert set(shown) == {__file__}
