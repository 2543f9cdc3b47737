"""Components that import modules of the author: what their tasks get, on the runners that need no engine."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from standpipe import dsl, local
from standpipe.errors import ArgumentError, TaskFailed
from standpipe.runners.api import LocalRunner

RUNNERS = {
    "subprocess": lambda: local.SubprocessRunner(use_venv=False),
    "in-process": local.InProcessRunner,
}


@pytest.fixture(params=RUNNERS)
def runner(request: pytest.FixtureRequest) -> LocalRunner:
    made: LocalRunner = RUNNERS[request.param]()
    return made


@pytest.fixture
def src(tmp_path: Path) -> Iterator[Path]:
    """Return a source root, which this program imports from as a script in it would."""
    folder = tmp_path / "src"
    folder.mkdir()
    before = dict(sys.modules)
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))
    for name in sys.modules.keys() - before.keys():
        if str(getattr(sys.modules[name], "__file__", None) or "").startswith(str(folder)):
            del sys.modules[name]


def write(folder: Path, **files: str) -> None:
    """Write modules; `__` in a name is a folder, and `init` is the file of a package."""
    for name, source in files.items():
        path = folder / f"{name.replace('__', '/').replace('init', '__init__')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(source), encoding="utf-8")


def run(component: Any, runner: LocalRunner, src: Path, **options: Any) -> dsl.PipelineTask:
    """Run a component with a source root."""
    root = src.parent / "outputs"
    return local.run(component, runner=runner, pipeline_root=root, source_root=src, quiet=True, **options)


@dsl.component
def use_helpers() -> str:
    import helpers  # type: ignore[import-not-found]

    return helpers.value()


@dsl.component
def use_package() -> str:
    from shop.pricing import total  # type: ignore[import-not-found]

    return total()


def test_a_task_imports_a_module(runner: LocalRunner, src: Path) -> None:
    write(src, helpers="def value(): return 'from helpers'")

    assert run(use_helpers, runner, src).output == "from helpers"
    assert "helpers" not in sys.modules
    assert not (src / "__pycache__").exists()


def test_an_edit_between_two_runs_is_seen(runner: LocalRunner, src: Path) -> None:
    write(src, helpers="from deep import VALUE\ndef value(): return VALUE", deep="VALUE = 'one'")
    assert run(use_helpers, runner, src).output == "one"

    write(src, deep="VALUE = 'two'")

    assert run(use_helpers, runner, src).output == "two"


def test_a_module_that_this_program_has_imported_stays_its_own(src: Path) -> None:
    write(src, helpers="def value(): return 'one'")
    import helpers

    write(src, helpers="def value(): return 'two'")

    assert run(use_helpers, local.InProcessRunner(), src).output == "two"
    assert sys.modules["helpers"] is helpers
    assert helpers.value() == "one"


def test_a_package_with_relative_imports(runner: LocalRunner, src: Path) -> None:
    write(
        src,
        shop__init="from . import rates",
        shop__rates="RATE = 2",
        shop__pricing="from .rates import RATE\nfrom ..shop import tax as t\ndef total(): return f'{RATE} {t.T}'",
        shop__tax="T = 3",
    )

    with pytest.raises(TaskFailed, match="beyond top-level package"):
        run(use_package, runner, src)

    write(src, shop__pricing="from .rates import RATE\nfrom . import tax as t\ndef total(): return f'{RATE} {t.T}'")

    assert run(use_package, runner, src).output == "2 3"


def test_a_namespace_package_and_imports_in_a_circle(runner: LocalRunner, src: Path) -> None:
    write(
        src,
        shop__pricing="import shop.rates\ndef total(): return shop.rates.both()\nBASE = 'base'",
        shop__rates="from shop import pricing\ndef both(): return pricing.BASE",
    )

    assert run(use_package, runner, src).output == "base"


def test_a_star_import_of_a_package(runner: LocalRunner, src: Path) -> None:
    @dsl.component
    def use_all() -> str:
        import stars  # type: ignore[import-not-found]

        return stars.VALUE

    write(src, stars="from many import *\nVALUE = first.A", many__init="__all__ = ['first']", many__first="A = 'a'")

    assert run(use_all, runner, src).output == "a"


def test_a_failure_names_the_file_and_line(runner: LocalRunner, src: Path) -> None:
    write(src, helpers="import math\n\n\ndef value():\n    raise ValueError('wrong')  # here\n")

    with pytest.raises(TaskFailed) as caught:
        run(use_helpers, runner, src)

    assert f'File "{src}/helpers.py", line 5, in value' in str(caught.value)
    assert "raise ValueError('wrong')  # here" in str(caught.value)


def test_a_syntax_error_names_the_file_and_line(runner: LocalRunner, src: Path) -> None:
    write(src, helpers="x = 1\ndef value(:\n")

    with pytest.raises(TaskFailed) as caught:
        run(use_helpers, runner, src)

    assert f'File "{src}/helpers.py", line 2' in str(caught.value)
    assert "SyntaxError" in str(caught.value)
    assert "worker/own_modules.py" not in str(caught.value)


def test_a_name_error_in_a_module_gets_no_hint_for_components(runner: LocalRunner, src: Path) -> None:
    write(src, helpers="def value(): return missing\n")

    with pytest.raises(TaskFailed, match="name 'missing' is not defined") as caught:
        run(use_helpers, runner, src)

    assert "additional_funcs" not in str(caught.value)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_child_processes_have_the_modules(src: Path, method: str) -> None:
    @dsl.component
    def use_children(method: str) -> list[int]:
        import multiprocessing

        from shop.work import double  # type: ignore[import-not-found]

        with multiprocessing.get_context(method).Pool(1) as pool:
            return pool.map(double, [1, 2])

    write(src, shop__work="from . import factor\ndef double(x): return x * factor.FACTOR", shop__factor="FACTOR = 2")

    runner = local.SubprocessRunner(use_venv=False)
    assert run(use_children, runner, src, arguments={"method": method}).output == [2, 4]


def test_modules_of_python_and_installed_packages_win(
    runner: LocalRunner, src: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    @dsl.component
    def draw() -> str:
        import random

        import helpers
        import yaml

        return f"{random.__file__} {yaml.__file__} {helpers.typing.__file__}"

    write(src, random="1 / 0", yaml="1 / 0", kfp="1 / 0", typing="1 / 0", test="1 / 0", helpers="import typing")
    sys.path.remove(str(src))  # where it is first in this program, its modules are those of the program
    sys.path.append(str(src))

    output = local.run(draw, runner=runner, pipeline_root=src.parent / "outputs", source_root=src).output

    assert str(src) not in output
    assert f"tasks get Python's module of that name, not {src}/random.py" in capsys.readouterr().err


def test_a_module_reads_its_own_path(runner: LocalRunner, src: Path) -> None:
    write(src, helpers="def value(): return __file__")

    assert run(use_helpers, runner, src).output == str(src / "helpers.py")


def test_computed_names_are_not_found(src: Path) -> None:
    @dsl.component
    def compute() -> str:
        import importlib

        return importlib.import_module("help" + "ers").value()

    write(src, helpers="def value(): return 'x'")

    with pytest.raises(TaskFailed, match="Write `import helpers` into the function"):
        run(compute, local.SubprocessRunner(use_venv=False), src)


def test_a_module_that_cannot_be_read_fails_before_the_run(src: Path) -> None:
    (src / "helpers.py").write_bytes(b"x = '\xff'")

    with pytest.raises(Exception, match="Module 'helpers', which a component imports, cannot be read"):
        run(use_helpers, local.SubprocessRunner(use_venv=False), src)
    assert not (src.parent / "outputs").exists()


@pytest.mark.parametrize("edited", ["helpers", "deep"])
def test_an_edit_of_a_module_is_a_cache_miss(src: Path, edited: str) -> None:
    runner = local.SubprocessRunner(use_venv=False)
    write(src, helpers="import deep\ndef value(): return 'x'", deep="A = 1", other="A = 1")
    run(use_helpers, runner, src, enable_caching=True)

    write(src, other="A = 2", deep="A = 1  # with a comment")
    again = run(use_helpers, runner, src, enable_caching=True)
    (src / f"{edited}.py").write_text("import deep\nB = 1\ndef value(): return 'y'", encoding="utf-8")
    run(use_helpers, runner, src, enable_caching=True)

    assert again.output == "x"
    assert [cached_tasks(src, name) for name in run_names(src)] == [0, 1, 0]


def run_names(src: Path) -> list[str]:
    return [each.id for each in reversed(local.runs(src.parent / "outputs"))]


def cached_tasks(src: Path, run: str) -> int:
    return sum(bool(task.cached_from) for task in local.get_run(run, src.parent / "outputs").tasks)


def test_a_component_whose_module_may_read_files_is_not_cached(src: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runner = local.SubprocessRunner(use_venv=False)
    write(src, helpers="import pathlib\ndef value(): return (pathlib.Path(__file__).parent / 'data').read_text()")
    outputs = []
    for text in ("one", "two"):
        (src / "data").write_text(text)
        root = src.parent / "outputs"
        task = local.run(use_helpers, runner=runner, pipeline_root=root, source_root=src, enable_caching=True)
        outputs.append(task.output)

    assert outputs == ["one", "two"]
    assert "'use_helpers' is not cached: its module 'helpers' may read files beside it" in capsys.readouterr().err


@dsl.component
def first() -> str:
    import helpers

    return helpers.value()


@dsl.component
def fail_unless_fixed(text: str) -> str:
    import gate  # type: ignore[import-not-found]

    assert gate.OPEN
    return text


@dsl.pipeline
def two_steps() -> str:
    return fail_unless_fixed(text=first().output).output


def test_a_resumed_run_has_the_modules_as_they_are_now(src: Path) -> None:
    runner = local.SubprocessRunner(use_venv=False)
    write(src, helpers="def value(): return 'one'", gate="OPEN = False")
    with pytest.raises(TaskFailed):
        run(two_steps, runner, src)

    write(src, gate="OPEN = True")
    options: dict[str, Any] = {
        "runner": runner,
        "pipeline_root": src.parent / "outputs",
        "source_root": src,
        "quiet": True,
    }
    assert local.resume("latest", **options).output == "one"


def test_a_resumed_run_reruns_tasks_whose_modules_have_changed(src: Path) -> None:
    runner = local.SubprocessRunner(use_venv=False)
    write(src, helpers="def value(): return 'one'", gate="OPEN = False")
    with pytest.raises(TaskFailed):
        run(two_steps, runner, src)

    write(src, helpers="def value(): return 'two'", gate="OPEN = True")
    options: dict[str, Any] = {
        "runner": runner,
        "pipeline_root": src.parent / "outputs",
        "source_root": src,
        "quiet": True,
    }
    assert local.resume("latest", **options).output == "two"


def test_a_rerun_of_recorded_code_has_the_recorded_modules(src: Path) -> None:
    write(src, helpers="def value(): return 'one'")
    run(use_helpers, local.SubprocessRunner(use_venv=False), src)
    write(src, helpers="def value(): return 'two'")
    program = f"""
        from standpipe import local
        options = dict(runner=local.SubprocessRunner(use_venv=False), quiet=True)
        task = local.rerun_task("latest", "use-helpers", pipeline_root={str(src.parent / "outputs")!r}, **options)
        print(task.output)
    """
    assert execute(src.parent, "rerun_it.py", program).stdout == "one\n"


def execute(folder: Path, name: str, program: str, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    (folder / name).write_text(textwrap.dedent(program), encoding="utf-8")
    return subprocess.run(
        [sys.executable, *(arguments or (name,))],
        cwd=folder,
        input=text,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": ""},
        check=False,
    )


SCRIPT = """
    import sys
    from standpipe import dsl, local

    @dsl.component
    def use_helpers() -> str:
        import helpers
        return helpers.value()

    runner = local.InProcessRunner() if "in-process" in sys.argv else local.SubprocessRunner(use_venv=False)
    print(local.run(use_helpers, runner=runner, quiet=True).output)
"""


@pytest.mark.parametrize("runner", RUNNERS)
def test_the_folder_of_the_script_is_the_default(tmp_path: Path, runner: str) -> None:
    (tmp_path / "code").mkdir()
    write(tmp_path / "code", helpers="def value(): return 'beside'")
    (tmp_path / "code" / "train.py").write_text(textwrap.dedent(SCRIPT))

    completed = execute(tmp_path, "unused.py", "", "code/train.py", runner)

    assert completed.stdout == "beside\n", completed.stderr


def test_a_module_of_a_package_is_run(tmp_path: Path) -> None:
    (tmp_path / "package").mkdir()
    write(tmp_path, helpers="def value(): return 'of -m'", package__train=SCRIPT, package__init="")

    completed = execute(tmp_path, "unused.py", "", "-m", "package.train")

    assert completed.stdout == "of -m\n", completed.stderr


def test_code_without_a_file_imports_from_the_working_directory(tmp_path: Path) -> None:
    write(tmp_path, helpers="def value(): return 'of cwd'")
    program = textwrap.dedent(SCRIPT)
    name = tmp_path / "unused.py"
    name.write_text(program)
    code = f"import linecache; exec(compile(open({str(name)!r}).read(), {str(name)!r}, 'exec'))"

    completed = execute(tmp_path, "unused.py", SCRIPT, "-c", code)

    assert completed.stdout == "of cwd\n", completed.stderr


CLI = """
    from standpipe import dsl, local

    @dsl.component
    def use_helpers() -> str:
        import helpers
        return helpers.value()

    @dsl.pipeline
    def helped() -> str:
        return use_helpers().output

    local.init(local.SubprocessRunner(use_venv=False), quiet=True)
    if __name__ == "__main__":
        helped()
"""


def test_the_command_line_resumes_with_the_modules_as_they_are_or_were(tmp_path: Path) -> None:
    write(tmp_path / "code", helpers="def value(): return 1 / 0", run_it=CLI)
    standpipe = ("-m", "standpipe")
    assert execute(tmp_path, "unused.py", "", "code/run_it.py").returncode == 1
    write(tmp_path / "code", helpers="def value(): return 'mended'")

    as_it_was = execute(tmp_path, "unused.py", "", *standpipe, "resume", "latest", "--no-venv")
    script = ("--script", "code/run_it.py")
    as_it_is = execute(tmp_path, "unused.py", "", *standpipe, "resume", "latest", "--no-venv", *script)

    assert "ZeroDivisionError" in as_it_was.stderr
    assert as_it_is.returncode == 0, as_it_is.stderr
    assert "mended" in as_it_is.stdout


def test_the_command_line_runs_a_compiled_file_with_a_source_root(tmp_path: Path) -> None:
    write(tmp_path / "code", helpers="def value(): return 'for a file'", run_it=CLI)
    file = ("helped.yaml", "--no-venv")
    execute(tmp_path, "unused.py", "", "-m", "standpipe", "compile", "code/run_it.py:helped", "helped.yaml")

    without = execute(tmp_path, "unused.py", "", "-m", "standpipe", "run", *file)
    done = execute(tmp_path, "unused.py", "", "-m", "standpipe", "run", *file, "--source-root", "code")

    assert "it imports 'helpers', which its environment does not have" in without.stderr
    assert "--source-root" in without.stderr
    assert "for a file" in done.stdout, done.stderr


def test_a_notebook_imports_from_its_folder(tmp_path: Path) -> None:
    write(tmp_path, helpers="def value(): return 'of the notebook'")
    program = """
        from IPython.core.interactiveshell import InteractiveShell

        shell = InteractiveShell.instance()
        cells = [
            "from standpipe import dsl, local",
            "@dsl.component\\ndef use() -> str:\\n    import helpers\\n    return helpers.value()",
            "print(local.run(use, runner=local.SubprocessRunner(use_venv=False), quiet=True).output)",
        ]
        for cell in cells:
            shell.run_cell(cell).raise_error()
    """
    completed = execute(tmp_path, "notebook.py", program)

    assert completed.stdout.endswith("of the notebook\n"), completed.stderr


def test_a_task_does_not_get_the_script(tmp_path: Path) -> None:
    program = """
        from standpipe import dsl, local

        @dsl.component
        def work() -> int:
            import train_it
            return train_it.NUMBER

        NUMBER = 3
        local.run(work, runner=local.SubprocessRunner(use_venv=False))
    """
    completed = execute(tmp_path, "train_it.py", program)

    assert completed.returncode == 1
    assert "imports 'train_it', which is the script itself" in completed.stderr
    assert "Move what it needs into a module of its own" in completed.stderr


def test_pdb_stops_in_a_module(tmp_path: Path) -> None:
    write(tmp_path, helpers="def value():\n    text = 'in pdb'\n    return text\n")
    (tmp_path / "train.py").write_text(textwrap.dedent(SCRIPT))
    commands = "import helpers\nb helpers.py:3\nc\np text.upper()\nc\nq\n"

    completed = execute(tmp_path, "unused.py", "", "-m", "pdb", "train.py", "in-process", text=commands)

    assert "'IN PDB'" in completed.stdout, completed.stdout + completed.stderr


def test_a_missing_source_root_is_refused() -> None:
    with pytest.raises(ArgumentError, match="Invalid source_root='/nowhere': there is no such folder"):
        local.init(local.SubprocessRunner(), source_root="/nowhere")
