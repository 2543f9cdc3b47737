"""The commands that a failure suggests, for code that is edited: in scripts, modules, tests and notebooks."""

from __future__ import annotations

import json
import linecache
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from standpipe import compiler, dsl, local
from standpipe.cli.main import main
from standpipe.errors import ArgumentError, TaskFailed

BROKEN, CORRECT = "raise ValueError(x)", "return x + y + 1"
DEFINITIONS = f"""
from standpipe import dsl, local

@dsl.component
def double(x: int) -> int:
    return 2 * x

@dsl.component
def finish(x: int, y: int = 1) -> int:
    {BROKEN}

@dsl.pipeline
def job(x: int = 5) -> int:
    return finish(x=double(x=x).output).output
"""
RUN = "local.init(local.SubprocessRunner(use_venv=False), quiet=True)\njob()\n"
MAIN = f"if __name__ == '__main__':\n    {RUN.strip().replace(chr(10), chr(10) + '    ')}\n"


def python(folder: Path, *arguments: str, source: str | None = None) -> str:
    """Run Python in a folder, and return what it writes."""
    folder.mkdir(exist_ok=True)
    done = subprocess.run(
        *([sys.executable, *arguments],),
        cwd=folder,
        env={name: value for name, value in os.environ.items() if name != "CI"},  # pytest then repeats long messages
        input=source,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def suggested(output: str, command: str) -> list[str]:
    """Return the arguments of the suggested command."""
    (line,) = re.findall(rf"^ +standpipe ({command} .*)$", output, re.MULTILINE)
    return shlex.split(line)


def check_that_both_commands_take(output: str, file: Path, flag: str, value: str, folder: Path) -> None:
    """Check that `rerun` and `resume` name the file, and run what it has once it is edited."""
    assert suggested(output, "rerun")[1:3] == suggested(output, "resume")[1:3] == [flag, value]
    file.write_text(file.read_text().replace(BROKEN, CORRECT))
    for command in ("rerun", "resume"):
        done = python(folder, "-m", "standpipe", *suggested(output, command))
        assert '{\n  "Output": 12\n}\n' in done
        assert "the code that was recorded" not in done


@pytest.mark.parametrize("end", [MAIN, RUN], ids=["with a main block", "without a main block"])
@pytest.mark.parametrize("command", [(), ("-m", "standpipe", "run")], ids=["python", "standpipe run"])
def test_a_script_is_named_with_its_absolute_path(tmp_path: Path, command: tuple[str, ...], end: str) -> None:
    folder = tmp_path / "my project"
    folder.mkdir()
    script = folder / "job.py"
    script.write_text(f"{DEFINITIONS}{end}")
    output = python(folder, *command, "job.py")
    check_that_both_commands_take(output, script, "--script", str(script), tmp_path)


def test_a_script_gets_the_arguments_that_it_had(tmp_path: Path) -> None:
    script = tmp_path / "job.py"
    script.write_text(f"import sys\nassert sys.argv[1:] == ['--rate', '1 2'], sys.argv\n{DEFINITIONS}{RUN}")
    output = python(tmp_path, "job.py", "--rate", "1 2")
    assert suggested(output, "rerun")[-3:] == ["--", "--rate", "1 2"]
    check_that_both_commands_take(output, script, "--script", str(script), tmp_path)


def test_the_script_is_preferred_to_a_module_that_it_imports(tmp_path: Path) -> None:
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "job.py").write_text(DEFINITIONS)
    (tmp_path / "main.py").write_text(f"from standpipe import local\nfrom jobs.job import job\n{RUN}")
    output = python(tmp_path, "main.py")
    check_that_both_commands_take(
        output, tmp_path / "jobs" / "job.py", "--script", str(tmp_path / "main.py"), tmp_path / "elsewhere"
    )


def test_a_module_is_named_as_python_m_has_it(tmp_path: Path) -> None:
    package = tmp_path / "pkg"
    package.mkdir()
    (package / "numbers.py").write_text("ONE = 1\n")
    (package / "job.py").write_text(f"from .numbers import ONE\n{DEFINITIONS}{MAIN}")
    output = python(tmp_path, "-m", "pkg.job")
    check_that_both_commands_take(output, package / "job.py", "--module", "pkg.job", tmp_path)


def test_under_pytest_the_module_that_defines_the_pipeline_is_named(tmp_path: Path) -> None:
    test = tmp_path / "test_job.py"
    test.write_text(f"{DEFINITIONS}\ndef test_job():\n    {RUN.strip().replace(chr(10), chr(10) + '    ')}\n")
    output = python(tmp_path, "-m", "pytest", "-p", "no:cacheprovider", "-q", "--tb=short")
    text = "\n".join(line.removeprefix("E   ") for line in output.splitlines())
    check_that_both_commands_take(text, test, "--script", str(test), tmp_path)


def test_without_a_file_the_report_says_what_to_do(tmp_path: Path) -> None:
    """As in a notebook, whose cells have no file that a command could import."""
    source = f"{DEFINITIONS}{RUN}"
    program = f"import linecache\nsource = {source!r}\n"
    program += "linecache.cache['<cell 1>'] = (len(source), None, source.splitlines(True), '<cell 1>')\n"
    output = python(tmp_path, "-c", f"{program}exec(compile(source, '<cell 1>', 'exec'))")
    assert "run its definition again (in a notebook, the cell), then local.rerun_task('job-" in output
    assert "This command runs the code that was recorded:\n    standpipe resume --no-venv --root" in output
    assert "--script" not in output


def test_a_script_that_was_deleted_is_not_named(tmp_path: Path) -> None:
    (tmp_path / "job.py").write_text(f"import os\n{DEFINITIONS}os.unlink(__file__)\n{RUN}")
    output = python(tmp_path, "job.py")
    assert "--script" not in output
    resumed = python(tmp_path, "-m", "standpipe", *suggested(output, "resume"), "--quiet")
    assert "ValueError: 10" in resumed


def test_the_recorded_code_is_announced(tmp_path: Path) -> None:
    script = tmp_path / "job.py"
    script.write_text(f"{DEFINITIONS}{RUN}")
    python(tmp_path, "job.py")
    script.write_text(script.read_text().replace(BROKEN, CORRECT))
    for command in (["resume", "latest"], ["rerun", "latest", "finish"]):
        output = python(tmp_path, "-m", "standpipe", *command, "--no-venv")
        assert "It runs the code that was recorded, as this program defines no pipeline of that name." in output
        assert f"use --script {script} on the command line" in output
        assert "ValueError: 10" in output, "as it was recorded"


def test_a_script_that_does_not_define_the_pipeline_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "argv", [])
    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)  # a package of the tests has its own before Python 3.11
    Path("job.py").write_text(f"{DEFINITIONS}{RUN}")
    python(tmp_path, "job.py")
    Path("other.py").write_text(f"from standpipe import dsl\n{DEFINITIONS.replace('def job', 'def another')}")
    assert main(["resume", "latest", "--script", "other.py", "--no-venv"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("other.py defines no pipeline or component 'job', which run job-")
    assert "It defines: " in error
    assert "'another'" in error
    assert main(["resume", "latest", "--module", "no.such.module", "--no-venv"]) == 2
    assert "Cannot import module no.such.module" in capsys.readouterr().err


def test_a_compiled_file_is_taken_as_it_is_now(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    @dsl.component
    def finish(x: int) -> int:
        raise ValueError(x)

    @dsl.pipeline
    def job(x: int = 5) -> int:
        return finish(x=x).output

    file = str(tmp_path / "job.yaml")
    compiler.Compiler().compile(job, file)
    options = ["--no-venv", "--quiet", "--root", str(tmp_path / "runs")]
    assert main(["run", file, *options]) == 10
    output = capsys.readouterr().err
    assert suggested(output, "resume")[1:3] == suggested(output, "rerun")[1:3] == ["--script", file]

    Path(file).write_text(Path(file).read_text().replace("raise ValueError(x)", "return x + 1"))
    assert main(suggested(output, "rerun")) == 0
    assert capsys.readouterr().out.endswith('{\n  "Output": 6\n}\n')
    assert main([*suggested(output, "resume"), "--quiet"]) == 0
    assert json.loads(capsys.readouterr().out) == {"Output": 6}


# --- local.rerun_task -------------------------------------------------------------------------------------------------


@dsl.component
def finish(x: int) -> int:
    raise ValueError(x)


@dsl.pipeline
def loop(x: int = 5) -> None:
    with dsl.ParallelFor([1, 2]) as item:
        finish(x=item)


@pytest.fixture
def failed(tmp_path: Path) -> str:
    """The id of a run of `loop` that has failed."""
    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=tmp_path, quiet=True)
    with pytest.raises(TaskFailed):
        loop()
    return local.get_run("latest").id


TASK = "for-loop-2/1/finish"


def test_a_task_is_rerun_with_its_new_component(failed: str) -> None:
    @dsl.component
    def corrected(x: int, y: int = 1) -> int:
        return x + y

    assert local.rerun_task(failed, TASK, pipeline=corrected).output == 3
    assert local.runs()[0].rerun_of == f"{failed}/{TASK}"


def test_a_task_is_rerun_with_the_new_pipeline_and_its_new_constants(failed: str, tmp_path: Path) -> None:
    @dsl.component
    def finish(x: int, name: str, y: int = 1) -> str:
        return f"{name} {x + y}"

    @dsl.pipeline(name="loop")
    def corrected(x: int = 5) -> None:
        with dsl.ParallelFor([1, 2]) as item:
            finish(x=item, name="sum")

    assert local.rerun_task(failed, TASK, pipeline=corrected).output == "sum 3"
    assert local.rerun_task(failed, TASK).output == "sum 3", "the newest pipeline that this program defines"
    compiler.Compiler().compile(corrected, str(tmp_path / "loop.yaml"))
    assert local.rerun_task(failed, TASK, pipeline=tmp_path / "loop.yaml").output == "sum 3"
    rerun = local.runs()[0]
    assert local.rerun_task(rerun, "finish").output == "sum 3", "a rerun of a rerun is one of the original"
    assert local.runs()[0].rerun_of == f"{failed}/{TASK}"


def run_cell(names: dict[str, Any], source: str) -> None:
    """Run a cell as a notebook does: its code is in a file that does not exist."""
    file = f"<cell {len(linecache.cache)}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    exec(compile(source, file, "exec"), names)


@pytest.mark.usefixtures("failed")
def test_a_component_that_was_defined_after_its_pipeline_is_the_current_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As in a notebook, where only the cell of the component was run again."""
    notebook: dict[str, Any] = {"__name__": "notebook", "dsl": dsl}
    component = "@dsl.component\ndef end(x: int) -> int:\n    "
    pipeline = "@dsl.pipeline\ndef cells() -> int:\n    return end(x=2).output\n"
    run_cell(notebook, f"{component}{BROKEN}\n")
    run_cell(notebook, pipeline)
    with pytest.raises(TaskFailed):
        notebook["cells"]()
    run = local.get_run("latest").id

    run_cell(notebook, f"{component}return x + 1\n")
    assert local.rerun_task(run, "end").output == 3
    capsys.readouterr()
    with pytest.raises(TaskFailed):
        local.resume(run)
    assert "Component 'end' was defined again after pipeline 'cells'" in capsys.readouterr().err
    run_cell(notebook, pipeline)
    assert local.resume(run).output == 3
    assert "was defined again" not in capsys.readouterr().err


@pytest.mark.usefixtures("failed")
def test_a_component_of_the_same_name_in_another_module_is_another_one(tmp_path: Path) -> None:
    one: dict[str, Any] = {"__name__": "one", "dsl": dsl}
    other: dict[str, Any] = {"__name__": "other", "dsl": dsl}
    pipeline = "@dsl.pipeline\ndef cells() -> int:\n    return end(x=2).output\n"
    run_cell(one, f"@dsl.component\ndef end(x: int) -> int:\n    return x + 1\n{pipeline}")
    assert one["cells"]().output == 3
    run_cell(other, "@dsl.component\ndef end(x: int) -> int:\n    return 100\n")
    assert local.rerun_task("latest", "end").output == 3


def test_what_the_new_code_lacks_is_named(failed: str) -> None:
    @dsl.component
    def give() -> int:
        return 1

    @dsl.component
    def needs_more(x: int, y: int) -> int:
        return x + y

    @dsl.component
    def other_type(x: dict) -> int:
        return len(x)

    @dsl.pipeline(name="loop")
    def moved(x: int = 5) -> None:
        give()

    with pytest.raises(
        ArgumentError, match=r"with its code as it is now: pipeline 'loop' has no task 'for-loop-2/finish'"
    ):
        local.rerun_task(failed, TASK, pipeline=moved)
    with pytest.raises(ArgumentError, match=r"with its code as it is now: .*'y'.*Give that input a default"):
        local.rerun_task(failed, TASK, pipeline=needs_more)
    with pytest.raises(ArgumentError, match=r"with its code as it is now: .*'x'.*expected dict"):
        local.rerun_task(failed, TASK, pipeline=other_type)
    assert [run.id for run in local.runs()] == [failed]


def test_the_report_of_a_rerun_suggests_the_original_task(failed: str) -> None:
    with pytest.raises(TaskFailed) as error:
        local.rerun_task(failed, TASK)
    assert suggested(str(error.value), "rerun")[-2:] == [failed, TASK]
    assert suggested(str(error.value), "resume")[-1] == failed
