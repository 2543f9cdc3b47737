"""The semantics of a cluster: every construct, and bugs of `kfp.local` 2.17.3, with real processes."""

from __future__ import annotations

import builtins
import html
import json
import logging
import os
import re
import tempfile
import threading
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from standpipe import compiler, dsl, local
from standpipe.cli.main import main
from standpipe.errors import TaskFailed
from standpipe.local import FakeRunner
from standpipe.runs.clock import SystemClock
from standpipe.ui.views.junit import make_junit
from standpipe.ui.views.summary import make_summary
from tests.clock import FastClock

RUNNER = local.SubprocessRunner(use_venv=False)


@dsl.component
def say(text: str) -> str:
    return text


@dsl.component
def echo(x: int) -> int:
    return x


@dsl.component
def add(a: int, b: int) -> int:
    return a + b


@dsl.component
def count(n: int) -> list[int]:
    return list(range(n))


@dsl.component
def total(values: list[int]) -> int:
    return sum(values)


@dsl.component
def join(texts: list[str]) -> str:
    return "|".join(texts)


@dsl.component
def several(n: int = 3) -> NamedTuple("Several", [("numbers", list[int]), ("rows", list[dict[str, int]]), ("n", int)]):  # type: ignore[valid-type]
    return (list(range(n)), [{"a": i, "b": i * i} for i in range(n)], n)


@dsl.component
def as_json(value: dict, items: list, text: str) -> str:
    import json

    return json.dumps([value, items, text])


@dsl.component
def boom(x: int = 0) -> int:
    raise ValueError(f"boom {x}")


@dsl.component
def make(text: str, data: dsl.Output[dsl.Dataset]) -> None:
    with open(data.path, "w") as file:
        file.write(text)
    data.metadata["text"] = text


@dsl.component
def read(data: dsl.Input[dsl.Dataset]) -> str:
    with open(data.path) as file:
        return file.read()


@dsl.component
def read_all(parts: dsl.Input[list[dsl.Dataset]]) -> str:
    return "|".join(open(part.path).read() for part in parts)


@dsl.component
def status_of(status: dsl.PipelineTaskFinalStatus, path: str) -> None:
    with open(path, "a") as file:
        file.write(f"{status.state} {status.pipeline_task_name} {status.error_message}\n")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)

    def run(target: Any, **arguments: Any) -> Any:
        options = {"runner": RUNNER, "pipeline_root": tmp_path / "root", "quiet": True}
        return local.run(target, arguments, **{**options, **options_of.pop("options", {})})

    options_of: dict[str, Any] = {}
    run.options = options_of  # type: ignore[attr-defined]
    return run


class Chosen(NamedTuple):
    lone: str
    items: int
    fields: int


class Twice(NamedTuple):
    joined: str
    again: str


class Gathered(NamedTuple):
    deep: int
    flat: int
    sum: int


class Returned(NamedTuple):
    looped: list[int]
    single: list[int]
    n: int


class Joined(NamedTuple):
    text: str
    data: dsl.Dataset


@pytest.mark.parametrize(
    ("authored", "on_a_cluster"),
    [
        (r"C:\new", "C:\new"),
        (r"\u0041", "A"),
        ("\\\\", "\\"),
        (r"C:\path", r"C:\path"),
        ("a\nb", "a\nb"),
        ("it's", "it's"),
    ],
)
def test_a_pipeline_compares_the_authors_text_and_a_compiled_file_what_a_cluster_reads(
    run: Any, authored: str, on_a_cluster: str
) -> None:
    @dsl.pipeline
    def compares(text: str) -> str:
        with dsl.If(text != authored):
            one = say(text="other")
        with dsl.Else():
            two = say(text="same")
        return dsl.OneOf(one.output, two.output)

    line = compares.plan.root.body.nodes["condition-branches-1"].source_location.line  # type: ignore[union-attr]
    with pytest.warns(UserWarning, match=r"A cluster (reads|cannot parse)") as warned:
        compiler.Compiler().compile(compares, "compares.yaml")
    assert {(warning.filename, warning.lineno) for warning in warned} == {(__file__, line), (__file__, line + 2)}
    for text in (authored, on_a_cluster):
        for target, equal in ((compares, authored), ("compares.yaml", on_a_cluster)):
            run.options["options"] = {"runner": FakeRunner({"say": lambda text: text})}
            assert run(target, text=text).output == ("same" if text == equal else "other")


# --- 1, 2: conditions -------------------------------------------------------------------------------------------------


@dsl.pipeline
def is_pizza(food: str) -> str:
    given = say(text=food)
    with dsl.If(given.output == "it's pizza"):
        one = say(text="yes")
    with dsl.Else():
        two = say(text="no")
    return dsl.OneOf(one.output, two.output)


@pytest.mark.parametrize(
    ("food", "expected"),
    [
        ("it's pizza", "yes"),
        ("it's", "no"),
        ("' == '' or True or '", "no"),
        ("'; __import__('os').system('touch hacked'); '", "no"),
        ('"', "no"),
        ("", "no"),
        ("{{$.inputs.parameters['x']}}", "no"),
        ("a\nb\\", "no"),
    ],
)
def test_values_in_conditions_are_data(run: Any, food: str, expected: str) -> None:
    assert run(is_pizza, food=food).output == expected
    assert not Path("hacked").exists()


def test_conditions_on_named_outputs_items_and_fields(run: Any) -> None:
    @dsl.pipeline
    def chooses() -> Chosen:
        made = several()
        with dsl.If(made.outputs["n"] == 3):
            say(text="lone")
        with dsl.ParallelFor(made.outputs["numbers"]) as i:
            with dsl.If(i == 2):
                one = echo(x=100)
            with dsl.Else():
                two = echo(x=i)
            picked = echo(x=dsl.OneOf(one.output, two.output))
        with dsl.ParallelFor(made.outputs["rows"]) as row:
            with dsl.If(row.b == 4):
                three = echo(x=row.a)
            with dsl.Else():
                four = echo(x=0)
            field = echo(x=dsl.OneOf(three.output, four.output))
        lone = say(text="done")
        return Chosen(
            lone.output,
            total(values=dsl.Collected(picked.output)).output,
            total(values=dsl.Collected(field.output)).output,
        )

    task = run(chooses)
    assert task.outputs == {"lone": "done", "items": 101, "fields": 2}
    (folder,) = Path("root").glob("chooses-*")
    assert (folder / "condition-1" / "say").is_dir()


def test_a_condition_that_cannot_be_evaluated_fails_its_task(run: Any) -> None:
    @dsl.pipeline
    def compares(n: int) -> None:
        with dsl.If(n == "5"):  # type: ignore[comparison-overlap]
            echo(x=n)

    with pytest.raises(TaskFailed, match=r"condition-1.*Compare it with a value of its own type"):
        run(compares, n=5)


# --- 3, 4, 9, 10: loops -----------------------------------------------------------------------------------------------


def test_loop_bodies_use_values_from_outside_the_loop(run: Any) -> None:
    @dsl.pipeline
    def loops(base: int) -> int:
        upstream = add(a=base, b=1)
        items = several(n=upstream.output)
        with dsl.ParallelFor(items.outputs["numbers"]) as i:
            inside = add(a=upstream.output, b=i)
            again = add(a=inside.output, b=items.outputs["n"])
        return total(values=dsl.Collected(again.output)).output

    assert run(loops, base=2).output == sum(3 + i + 3 for i in range(3))


def test_a_loop_without_items_succeeds_and_collects_nothing(run: Any) -> None:
    @dsl.pipeline
    def loops(items: list[int]) -> int:
        with dsl.ParallelFor(items) as i:
            made = echo(x=i)
        return total(values=dsl.Collected(made.output)).output

    assert run(loops, items=[]).output == 0
    assert run(loops, items=[1, 2]).output == 3


def test_iterations_run_in_parallel_up_to_the_parallelism(tmp_path: Path) -> None:
    together = threading.Barrier(8)
    running: list[int] = []
    most: list[int] = []

    def waits(x: int) -> dict[str, int]:
        together.wait(timeout=20)
        return {"Output": x}

    def counts(x: int) -> dict[str, int]:
        running.append(x)
        most.append(len(running))
        running.remove(x)
        return {"Output": x}

    @dsl.pipeline
    def loops() -> None:
        with dsl.ParallelFor(list(range(8))) as i:
            echo(x=i)

    @dsl.pipeline
    def limited() -> None:
        with dsl.ParallelFor(list(range(8)), parallelism=1) as i:
            echo(x=i)

    local.run(loops, {}, runner=FakeRunner(echo=waits), pipeline_root=tmp_path, quiet=True)
    local.run(limited, {}, runner=FakeRunner(echo=counts), pipeline_root=tmp_path, quiet=True)
    assert len(most) == 8
    assert max(most) == 1


def test_a_run_leaves_nothing_in_this_process(
    run: Any, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("t")))  # other tests use the system's
    before = (builtins.print, list(logging.getLogger().handlers), set(os.listdir(tempfile.gettempdir())))

    @dsl.pipeline
    def loops() -> None:
        with dsl.ParallelFor([1, 2, 3]) as i:
            echo(x=i)

    run(loops)
    assert builtins.print is before[0]
    assert logging.getLogger().handlers == before[1]
    left = {name for name in os.listdir(tempfile.gettempdir()) if name.startswith("standpipe")} - before[2]
    assert left == set()


def test_loops_take_items_of_every_type(run: Any) -> None:
    @dsl.component
    def note(x: str, path: str) -> None:
        with open(path, "a") as file:
            file.write(x + "\n")

    @dsl.pipeline
    def loops(path: str, nested: list[list[int]]) -> None:
        with dsl.ParallelFor(["a", "it's"], parallelism=1) as text:
            first = note(x=text, path=path)
        with dsl.ParallelFor([1.5, 2.0], parallelism=1) as number:
            second = note(x=f"{number}", path=path).after(first)
        with dsl.ParallelFor([True], parallelism=1) as flag:
            third = note(x=f"{flag}", path=path).after(second)
        with dsl.ParallelFor([{"a": {"b": [1, 2]}}], parallelism=1) as row:
            fourth = note(x=f"{row.a}", path=path).after(third)
        with dsl.ParallelFor(nested, parallelism=1) as items, dsl.ParallelFor(items, parallelism=1) as i:
            note(x=f"{items}: {i}", path=path).after(fourth)

    run(loops, path=os.path.abspath("notes"), nested=[[1], [2, 3]])
    assert Path("notes").read_text().splitlines() == [
        *("a", "it's", "1.5", "2", "true", '{"b":[1,2]}', "[1]: 1", "[2,3]: 2", "[2,3]: 3")
    ]


def test_items_of_an_untyped_list_keep_their_types_in_conditions(run: Any) -> None:
    @dsl.pipeline
    def chooses(numbers: list) -> list[int]:
        with dsl.ParallelFor(numbers) as number, dsl.If(number != "1"):
            doubled = add(a=number, b=number)
        return dsl.Collected(doubled.output)  # type: ignore[return-value]

    run.options["options"] = {"runner": FakeRunner({"add": lambda a, b: a + b})}
    assert run(chooses, numbers=[0, 1, 21]).output == [0, 42]


@pytest.mark.parametrize(("text", "outputs"), [("a", {"looped": [2, 4], "single": 3, "n": 5}), ("b", {"n": 5})])
def test_a_pipeline_returns_outputs_of_a_condition(run: Any, text: str, outputs: dict[str, Any]) -> None:
    @dsl.pipeline
    def chooses(text: str) -> Returned:
        with dsl.If(text == "a"):
            single = echo(x=3)
            with dsl.ParallelFor([1, 2]) as number:
                looped = add(a=number, b=number)
        return Returned(dsl.Collected(looped.output), dsl.Collected(single.output), echo(x=5).output)  # type: ignore[arg-type]

    run.options["options"] = {"runner": FakeRunner({"add": lambda a, b: a + b, "echo": lambda x: x})}
    assert run(chooses, text=text).outputs == outputs


@pytest.mark.parametrize("fails", [False, True])
def test_an_exit_pipeline_passes_its_status_on_as_a_dict(run: Any, fails: bool) -> None:
    @dsl.component
    def write(status: dict, path: str) -> None:
        with open(path, "w") as file:
            file.write(status["state"])

    @dsl.pipeline
    def exits(path: str, status: dsl.PipelineTaskFinalStatus) -> None:
        write(status=status, path=path)

    @dsl.pipeline
    def guards(path: str) -> None:
        with dsl.ExitHandler(exits(path=path)):
            boom() if fails else say(text="a")

    path = os.path.abspath("status")
    if fails:
        with pytest.raises(TaskFailed):
            run(guards, path=path)
    else:
        run(guards, path=path)
    assert Path(path).read_text() == ("FAILED" if fails else "SUCCEEDED")


def test_artifacts_are_collected_in_order_and_looped_over(run: Any) -> None:
    @dsl.pipeline
    def makes(texts: list[str]) -> list[dsl.Dataset]:
        with dsl.ParallelFor(texts) as text, dsl.ParallelFor(["1", "2"]) as number:
            made = make(text=f"{text}{number}")
        return dsl.Collected(made.outputs["data"])  # type: ignore[return-value]

    @dsl.pipeline
    def uses() -> Twice:
        made = makes(texts=["a", "b"])
        with dsl.ParallelFor(made.output) as data:
            text = read(data=data)
        return Twice(read_all(parts=made.output).output, join(texts=dsl.Collected(text.output)).output)

    assert run(uses).outputs == {"joined": "a1|a2|b1|b2", "again": "a1|a2|b1|b2"}


def test_nested_loops_collect_lists_as_deep_as_the_consumer_input(run: Any) -> None:
    @dsl.component
    def deep(values: list[list[int]]) -> int:
        return len(values) * 100 + sum(len(inner) for inner in values)

    @dsl.component
    def flat(values: list) -> int:
        return len(values)

    @dsl.pipeline
    def loops() -> Gathered:
        with dsl.ParallelFor([1, 2]) as x, dsl.ParallelFor([10, 20, 30]) as y:
            made = add(a=x, b=y)
        return Gathered(
            deep(values=dsl.Collected(made.output)).output,
            flat(values=dsl.Collected(made.output)).output,
            total(values=dsl.Collected(made.output)).output,
        )

    assert run(loops).outputs == {"deep": 206, "flat": 6, "sum": 129}


# --- 5, 6: optional inputs and skipped tasks --------------------------------------------------------------------------


@pytest.mark.parametrize(("food", "expected"), [("pizza", "yes"), ("pasta", "no")])
def test_one_of_joins_artifacts(run: Any, food: str, expected: str) -> None:
    @dsl.pipeline
    def chooses(food: str) -> Joined:
        with dsl.If(food == "pizza"):
            one = make(text="yes")
        with dsl.Else():
            two = make(text="no")
        either = dsl.OneOf(one.outputs["data"], two.outputs["data"])
        return Joined(read(data=either).output, either)

    task = run(chooses, food=food)
    assert task.outputs["text"] == expected
    assert Path(task.outputs["data"].path).read_text() == expected


def test_a_task_that_ignores_upstream_failure_gets_the_default(run: Any) -> None:
    @dsl.component
    def after_all(x: int = -1, path: str = "after-all") -> None:
        with open(path, "w") as file:
            file.write(str(x))

    @dsl.pipeline
    def fails(path: str) -> None:
        after_all(x=boom(x=3).output, path=path).ignore_upstream_failure()

    path = os.path.abspath("after-all")
    with pytest.raises(TaskFailed, match="boom 3"):
        run(fails, path=path)
    assert Path(path).read_text() == "-1"


def test_optional_parameters_can_be_omitted(run: Any) -> None:
    @dsl.component
    def shows(x: str = "default", y: int = 7) -> str:
        return f"{x} {y}"

    @dsl.pipeline
    def passes(x: str | None = None, y: int | None = None) -> str:
        return shows(x=x, y=y).output

    assert run(passes).output == "default 7"
    assert run(passes, x="given").output == "given 7"


def test_skips_propagate_and_other_branches_finish(run: Any) -> None:
    @dsl.pipeline
    def fails(path: str) -> None:
        broken = boom()
        echo(x=broken.output)
        one = say(text="independent")
        with dsl.ExitHandler(status_of(path=path)), dsl.ParallelFor([1, 2, 3]) as i:
            with dsl.If(i == 2):
                boom(x=i)
            say(text=f"{i}")
        say(text="late").after(one)

    path = os.path.abspath("status")
    with pytest.raises(TaskFailed) as caught:
        run(fails, path=path)
    assert 'raise ValueError(f"boom {x}")' in str(caught.value)
    (folder,) = Path("root").glob("fails-*")
    assert {child.name for child in folder.iterdir()} == {"boom", "exit-handler-1", "say", "say-3", "status-of"}
    loop = folder / "exit-handler-1" / "for-loop-3"
    assert sorted(child.name for child in loop.iterdir()) == ["0", "1", "2"]
    state, name, message = Path(path).read_text().split(" ", 2)
    assert (state, name) == ("FAILED", "exit-handler-1")
    assert "boom 2" in message


# --- 11, 12, 14: failures ---------------------------------------------------------------------------------------------


def test_a_retry_in_a_loop_returns_the_outputs_of_the_last_attempt(run: Any) -> None:
    @dsl.component
    def second_try(n: int, data: dsl.Output[dsl.Dataset]) -> int:
        import os

        index = os.environ["KFP_RETRY_INDEX"]
        with open(data.path, "x") as file:
            file.write(f"{n} at {index}")
        if n == 2 and index == "0":
            data.metadata["failed"] = True
            raise ValueError("the first try fails")
        return int(index)

    @dsl.pipeline
    def tries() -> Joined:
        with dsl.ParallelFor([1, 2]) as n:
            tried = second_try(n=n).set_retry(3)
            text = say(text=f"{read(data=tried.outputs['data']).output}: {tried.outputs['Output']}")
        return Joined(join(texts=dsl.Collected(text.output)).output, make(text="end").outputs["data"])

    assert run(tries).outputs["text"] == "1 at 0: 0|2 at 1: 1"


def test_a_missing_output_fails_its_task(run: Any) -> None:
    @dsl.component
    def forgets(there: dsl.OutputPath(str), missing: dsl.OutputPath(int)) -> None:  # type: ignore[valid-type]
        with open(there, "w") as file:
            file.write("x")

    @dsl.pipeline
    def outer() -> None:
        with dsl.ParallelFor([1]):
            echo(x=forgets().outputs["missing"])

    with pytest.raises(TaskFailed, match=r"for-loop-2/0/forgets.*did not write its output 'missing'"):
        run(outer)


# --- 7, 13, 15, 17, 19: values and settings ---------------------------------------------------------------------------


def test_the_workspace_is_kept_and_shared_by_iterations(run: Any) -> None:
    @dsl.component
    def leave(path: str) -> None:
        open(path, "w").close()

    @dsl.pipeline(pipeline_config=dsl.PipelineConfig(workspace=dsl.WorkspaceConfig(size="1Gi")))
    def uses() -> None:
        with dsl.ParallelFor([1, 2]) as i:
            leave(path=f"{dsl.WORKSPACE_PATH_PLACEHOLDER}/{i}")

    Path("mine").mkdir()
    Path("mine", "own").touch()
    run.options["options"] = {"workspace_root": "mine"}
    run(uses)
    assert sorted(os.listdir("mine")) == ["1", "2", "own"]


def test_a_pipeline_is_stopped_at_its_deadline_and_says_why(
    run: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @dsl.component
    def wait(seconds: int) -> int:
        import time

        time.sleep(seconds)
        return seconds

    @dsl.pipeline(pipeline_config=dsl.PipelineConfig(active_deadline_seconds=1000))
    def waits(seconds: int) -> int:
        return wait(seconds=wait(seconds=seconds).output).output

    with monkeypatch.context() as patch:
        clock = FastClock()
        patch.setattr(SystemClock, "now", clock.now)
        patch.setattr(SystemClock, "wait", clock.wait)
        reason = "it had not ended after 1000 s (PipelineConfig(active_deadline_seconds=...))"
        with pytest.raises(TaskFailed, match=re.escape(f"was cancelled: {reason}.")) as failure:
            run(waits, seconds=100)
    stopped = failure.value.run
    assert (stopped.status.value, stopped.stop_reason) == ("CANCELLED", reason)
    assert stopped.failures == (f"The run was stopped: {reason}.",)
    for text in (str(stopped), html.unescape(make_summary(stopped)).replace("\\", ""), make_junit(stopped)):
        assert f"The run was stopped: {reason}." in text or f"cancelled, as the run was stopped: {reason}." in text
    assert main(["show", stopped.id, "--root", str(stopped.folder.parent)]) == 0
    assert f"The run was stopped: {reason}." in capsys.readouterr().out
    assert run(waits, seconds=0).output == 0


def test_numbers_keep_their_types(run: Any) -> None:
    @dsl.pipeline
    def passes(n: int, table: dict) -> str:
        with dsl.ParallelFor([{"lr": 1, "deep": [2, 2.5]}]) as row:
            text = as_json(value=table, items=[1, 2.5, True, n], text=f"epoch-{row.lr}-{n}-{row.deep}")
        return join(texts=dsl.Collected(text.output)).output

    value, items, text = json.loads(run(passes, n=3, table={"a": 1, "b": 1.5, "c": [2**60]}).output)
    assert (value, items, text) == ({"a": 1, "b": 1.5, "c": [2**60]}, [1, 2.5, True, 3], "epoch-1-3-[2,2.5]")
    assert [type(item) for item in items] == [int, float, bool, int]


def test_any_text_passes_through_loops_and_branches(run: Any) -> None:
    @dsl.pipeline
    def passes(text: str) -> str:
        with dsl.ParallelFor([1]), dsl.If(text != ""):
            say(text=text)
        return say(text=text).output

    for text in ("{{$.foo}} {{$}} {{$.inputs.parameters['x']}}", "é漢\n'\"", "x" * 300_000):
        assert run(passes, text=text).output == text


def test_importers_run_alone_and_in_loops(run: Any) -> None:
    Path("a.txt").write_text("A")
    Path("b.txt").write_text("B")

    @dsl.pipeline
    def imports(paths: list[str]) -> str:
        with dsl.ParallelFor(paths) as path:
            given = dsl.importer(artifact_uri=path, artifact_class=dsl.Dataset, metadata={"from": path})
            text = read(data=given.output)
        return join(texts=dsl.Collected(text.output)).output

    local.init(runner=RUNNER, pipeline_root="root", quiet=True)
    alone = dsl.importer(artifact_uri="a.txt", artifact_class=dsl.Dataset, metadata={"n": 3})
    assert (Path(alone.output.path).read_text(), alone.output.metadata) == ("A", {"n": 3})
    assert run(read, data=alone.output).output == "A"
    assert run(imports, paths=[os.path.abspath("a.txt"), os.path.abspath("b.txt")]).output == "A|B"


def test_placeholders_of_unknown_inputs_stay_as_text(run: Any) -> None:
    texts = ["{{$.inputs.parameters['text']}}", "{{$.inputs.parameters['n']}} {{$.outputs.output_file}}"]

    @dsl.pipeline
    def passes() -> str:
        return join(texts=[say(text=texts[0]).output, say(text=texts[1]).output]).output

    assert run(passes).output == "|".join(texts)


def test_settings_for_clusters_are_accepted(run: Any) -> None:
    @dsl.pipeline
    def sets() -> int:
        task = echo(x=1).set_cpu_limit("1").set_memory_request("1G").set_display_name("Echo")
        task.set_caching_options(True).set_env_variable("A", "b")
        return task.output

    assert run(sets).output == 1


# --- combinations -----------------------------------------------------------------------------------------------------


def test_a_loop_in_a_condition_in_a_pipeline_in_a_loop(run: Any) -> None:
    @dsl.pipeline
    def inner(n: int, text: str = "-") -> str:
        with dsl.If(n > 1):
            with dsl.ParallelFor(["a", "b"]) as letter:
                made = say(text=f"{text}{letter}{n}")
            many = join(texts=dsl.Collected(made.output))
        with dsl.Else():
            one = say(text=f"{text}{n}")
        return dsl.OneOf(many.output, one.output)

    @dsl.pipeline
    def outer(ns: list[int]) -> str:
        with dsl.ParallelFor(ns) as n:
            made = inner(n=n)
            with dsl.If(n == 3):
                inner(n=n, text=made.output)
        return join(texts=dsl.Collected(made.output)).output

    assert run(outer, ns=[1, 2, 3]).output == "-1|-a2|-b2|-a3|-b3"


def test_a_pipeline_as_exit_task(run: Any) -> None:
    @dsl.component
    def leave(path: str, text: str) -> None:
        with open(path, "w") as file:
            file.write(text)

    @dsl.pipeline
    def cleanup(path: str) -> None:
        leave(path=path, text=say(text="cleaned").output)

    @dsl.pipeline
    def fails(path: str) -> None:
        with dsl.ExitHandler(cleanup(path=path)):
            boom()

    with pytest.raises(TaskFailed, match="boom 0"):
        run(fails, path=os.path.abspath("left"))
    assert Path("left").read_text() == "cleaned"
