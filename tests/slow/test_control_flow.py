"""Every construct of the language in real containers: few runs, each with many constructs."""

from __future__ import annotations

from pathlib import Path
from typing import Any, List, NamedTuple, Optional  # noqa: UP035  the components run on what their image has

import pytest

from standpipe import compiler, dsl, local
from standpipe.errors import TaskFailed

from .docker_engine import IMAGE

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("docker_client")]


@dsl.component(base_image=IMAGE)
def say(text: str) -> str:
    return text


@dsl.component(base_image=IMAGE)
def add(a: int, b: int = 1) -> int:
    return a + b


@dsl.component(base_image=IMAGE)
def join(texts: List[str]) -> str:  # noqa: UP006
    return " ".join(texts)


@dsl.component(base_image=IMAGE)
def shape(rows: List[List[int]], flat: list) -> str:  # noqa: UP006
    return f"{rows} {flat}"


@dsl.component(base_image=IMAGE)
def show(items: list) -> str:
    return str(items)


@dsl.component(base_image=IMAGE)
def second_try(n: int, data: dsl.Output[dsl.Dataset]) -> str:
    import os

    with open(data.path, "x") as file:
        file.write(os.environ["KFP_RETRY_INDEX"])
    if n == 2 and os.environ["KFP_RETRY_INDEX"] == "0":
        raise ValueError("the first try fails")
    return os.environ["KFP_RETRY_INDEX"]


@dsl.component(base_image=IMAGE)
def boom(x: int) -> int:
    raise ValueError(f"boom {x}")


@dsl.component(base_image=IMAGE)
def make(text: str, data: dsl.Output[dsl.Dataset]) -> None:
    with open(data.path, "w") as file:
        file.write(text)
    data.metadata["text"] = text


@dsl.component(base_image=IMAGE)
def read(data: dsl.Input[dsl.Dataset]) -> str:
    with open(data.path) as file:
        return file.read() + data.metadata.get("text", "")


@dsl.component(base_image=IMAGE)
def place(data: dsl.Input[dsl.Dataset]) -> str:
    return data.path


@dsl.component(base_image=IMAGE)
def read_all(parts: dsl.Input[List[dsl.Dataset]], either: dsl.Input[dsl.Dataset]) -> str:  # noqa: UP006
    return "|".join(open(part.path).read() for part in [*parts, either])


@dsl.container_component
def shell(
    text: str,
    said: dsl.OutputPath(str),  # type: ignore[valid-type]
    data: dsl.Output[dsl.Dataset],
    note: Optional[str] = None,  # noqa: UP045
    given: Optional[dsl.Input[dsl.Dataset]] = None,  # noqa: UP045
) -> dsl.ContainerSpec:
    return dsl.ContainerSpec(
        image=IMAGE,
        command=["sh", "-ec", 'said=$1; data=$2; shift 2; printf "%s," "$@" > "$said"; cat "$said" > "$data"', "sh"],
        args=[
            said,
            data.path,
            dsl.ConcatPlaceholder(
                ["--text=", text, dsl.IfPresentPlaceholder("note", dsl.ConcatPlaceholder(["/", note]))]  # type: ignore[list-item]
            ),
            dsl.IfPresentPlaceholder("given", ["--given", given.metadata["text"]], ["--nothing"]),  # type: ignore[union-attr]
        ],
    )


@dsl.component(base_image=IMAGE)
def note(text: str, folder: str) -> None:
    with open(f"{folder}/{text}", "w"):
        pass


@dsl.component(base_image=IMAGE)
def note_status(status: dsl.PipelineTaskFinalStatus, folder: str) -> None:
    with open(f"{folder}/{status.pipeline_task_name}", "w") as file:
        file.write(f"{status.state}: {status.error_message}")


@dsl.component(base_image=IMAGE)
def after_all(folder: str, x: int = -1) -> None:
    with open(f"{folder}/default", "w") as file:
        file.write(str(x))


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)

    def run(target: Any, volumes: tuple[str, ...] = (), **arguments: Any) -> Any:
        runner = local.DockerRunner(volumes=volumes)
        return local.run(target, arguments, runner=runner, pipeline_root="root", quiet=True)

    return run


class Found(NamedTuple):
    chosen: str
    shapes: str
    artifacts: str
    either: dsl.Dataset


@dsl.pipeline
def branch(n: int) -> str:
    with dsl.If(n > 1):
        with dsl.ParallelFor(["a", "b"]) as letter:
            made = say(text=f"{letter}{n}")
        many = join(texts=dsl.Collected(made.output))
    with dsl.Else():
        one = say(text=f"only {n}")
    return dsl.OneOf(many.output, one.output)


@dsl.pipeline
def summed_over(ns: List[int]) -> str:  # noqa: UP006
    with dsl.ParallelFor(ns) as n:
        made = add(a=n)
    return say(text=f"{show(items=dsl.Collected(made.output)).output}").output


@dsl.pipeline
def flows(ns: List[int]) -> Found:  # noqa: UP006
    with dsl.ParallelFor(ns, parallelism=1) as n:
        chosen = branch(n=n)
        with dsl.ParallelFor([10, 20]) as ten:
            summed = add(a=n, b=ten)
        data = make(text=f"d{n}")
    with dsl.If(summed_over(ns=ns).output == "[2, 3]"):
        first = make(text="yes")
    with dsl.Else():
        second = make(text="no")
    either = dsl.OneOf(first.outputs["data"], second.outputs["data"])
    return Found(
        join(texts=dsl.Collected(chosen.output)).output,
        shape(rows=dsl.Collected(summed.output), flat=dsl.Collected(summed.output)).output,
        read_all(parts=dsl.Collected(data.outputs["data"]), either=either).output,
        either,
    )


def test_branches_and_loops_in_pipelines_in_loops(run: Any) -> None:
    compiler.Compiler().compile(flows, "flows.yaml")

    task = run("flows.yaml", ns=[1, 2])
    assert {name: value for name, value in task.outputs.items() if name != "either"} == {
        "chosen": "only 1 a2 b2",
        "shapes": "[[11, 21], [12, 22]] [11, 21, 12, 22]",
        "artifacts": "d1|d2|yes",
    }
    assert Path(task.outputs["either"].path).read_text() == "yes"


class Told(NamedTuple):
    plain: str
    full: str
    files: str


@dsl.pipeline
def copies(rows: List[dict], mark: str) -> List[dsl.Dataset]:  # noqa: UP006
    with dsl.ParallelFor(rows) as row:
        full = shell(text=f"{row.n}{mark}", note=mark, given=make(text=f"m{row.n}").outputs["data"])
    return dsl.Collected(full.outputs["data"])  # type: ignore[return-value]


def test_commands_with_optional_inputs_in_loops(run: Any) -> None:
    @dsl.pipeline
    def commands(rows: List[dict], mark: str = "é", nobody: Optional[str] = None) -> Told:  # noqa: UP006, UP045
        alone = shell(text="alone", note=nobody)
        with dsl.ParallelFor(rows) as row:
            plain = shell(text=row.text).after(alone)
        with dsl.ParallelFor(copies(rows=rows, mark=mark).output) as copy:
            text = read(data=copy)
        return Told(
            join(texts=dsl.Collected(plain.outputs["said"])).output,
            say(text=f"{alone.outputs['said']} and {mark}").output,
            join(texts=dsl.Collected(text.output)).output,
        )

    rows = [{"text": "it's", "n": 1}, {"text": "{{$.x}} $HOME", "n": 2}]
    assert run(commands, rows=rows).outputs == {
        "plain": "--text=it's,--nothing, --text={{$.x}} $HOME,--nothing,",
        "full": "--text=alone,--nothing, and é",
        "files": "--text=1é/é,--given,m1, --text=2é/é,--given,m2,",
    }


def test_files_of_this_machine_are_imported_and_downloaded(run: Any) -> None:
    @dsl.pipeline(pipeline_config=dsl.PipelineConfig(workspace=dsl.WorkspaceConfig(size="1Gi")))
    def imports(paths: List[str]) -> str:  # noqa: UP006
        with dsl.ParallelFor(paths) as path:
            left = dsl.importer(artifact_uri=path, artifact_class=dsl.Dataset, metadata={"text": path})
            copy = dsl.importer(artifact_uri=path, artifact_class=dsl.Dataset, download_to_workspace=True)
            both = say(text=f"{read(data=left.output).output} {read(data=copy.output).output}")
            where = place(data=copy.output)
            told = say(text=f"{both.output} {where.output}")
        return join(texts=dsl.Collected(told.output)).output

    Path("elsewhere").mkdir()
    given = Path("elsewhere", "a.txt").absolute()
    given.write_text("A")
    told = run(imports, paths=[str(given)]).output
    copied = list(Path("root").absolute().glob(f"*/.workspace/.artifacts{given}"))
    assert told == f"A{given} A {copied[0]}"


def test_a_task_in_a_loop_is_retried_in_a_new_folder(run: Any) -> None:
    @dsl.pipeline
    def tries() -> str:
        with dsl.ParallelFor([1, 2]) as n:
            tried = second_try(n=n).set_retry(2)
            both = say(text=f"{tried.outputs['Output']}{read(data=tried.outputs['data']).output}")
        return join(texts=dsl.Collected(both.output)).output

    assert run(tries).output == "00 11"


def test_exit_tasks_run_after_failures_and_get_their_status(run: Any, tmp_path: Path) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()
    folder.chmod(0o777)

    @dsl.pipeline
    def clean_up(folder: str) -> None:
        note(text=say(text="cleaned").output, folder=folder)

    @dsl.pipeline
    def fails(folder: str) -> None:
        with dsl.ExitHandler(clean_up(folder=folder)):
            say(text="well")
        with dsl.ExitHandler(note_status(folder=folder), name="whole"), dsl.ParallelFor([1, 2]) as n:
            with dsl.If(n == 2):
                boom(x=n)
            note(text=f"kept-{n}", folder=folder)
        broken = boom(x=3)
        after_all(x=broken.output, folder=folder).ignore_upstream_failure()
        note(text="never", folder=folder).after(broken)

    with pytest.raises(TaskFailed, match="boom 3") as caught:
        run(fails, volumes=(f"{folder}:/notes",), folder="/notes")
    assert 'raise ValueError(f"boom {x}")' in str(caught.value)
    assert {path.name for path in folder.iterdir()} == {"cleaned", "default", "exit-handler-2", "kept-1", "kept-2"}
    assert (folder / "default").read_text() == "-1"
    state, _, message = (folder / "exit-handler-2").read_text().partition(": ")
    assert state == "FAILED"
    assert "boom 2" in message
