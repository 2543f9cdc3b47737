"""`standpipe run --dry-run`: what would run, what is cached, why the rest is not; and nothing is written or started."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from standpipe import local
from standpipe.cli.main import main
from standpipe.local import FakeRunner

SCRIPT = """\
from kfp import dsl, kubernetes, local


@dsl.component
def make(n: int) -> list:
    return list(range(n))


@dsl.component{packages}
def double(item: int, factor: int = 2) -> int:
    return item * factor  # {comment}


@dsl.component
def flip() -> str:
    return "heads"


@dsl.component
def tell(text: str, data: dsl.Input[dsl.Dataset]):
    print(text)


@dsl.component
def clean(status: dsl.PipelineTaskFinalStatus):
    pass


@dsl.pipeline
def demo(n: int = 3, label: str = "a"):
    coin = flip()
    with dsl.ExitHandler(clean()):
        made = make(n=n)
        with dsl.If(coin.output == "heads"):
            data = dsl.importer(artifact_uri="data.csv", artifact_class=dsl.Dataset)
            tell(text=label, data=data.output)
        with dsl.Else():
            flip().set_caching_options(False)
        with dsl.ParallelFor(made.output, parallelism=2) as item:
            double(item=item)
"""


@pytest.fixture(autouse=True)
def _in_a_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [*sys.argv])
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name in ("kfp", "kfp.dsl", "kfp.local", "kfp.kubernetes", "__standpipe__"):
        monkeypatch.setitem(sys.modules, name, sys.modules.get(name, SimpleNamespace()))
        monkeypatch.delitem(sys.modules, name)
    Path("data.csv").write_text("1,2")
    write()


def write(comment: str = "", packages: str = "") -> None:
    Path("demo.py").write_text(SCRIPT.format(comment=comment, packages=packages))


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeRunner:
    runner = FakeRunner(
        make=lambda n: [*range(n)], double=lambda item, factor: item * factor, flip=lambda: "heads",
        tell=lambda **_: None, clean=lambda **_: None,
    )  # fmt: skip
    monkeypatch.setattr(local.SubprocessRunner, "open", lambda self: runner.open())
    return runner


@pytest.fixture
def has_run(capsys: pytest.CaptureFixture[str], fake: FakeRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run whose results are in the cache; its runner is that of the dry runs, as its fingerprint is its own."""
    opened = fake.open()
    monkeypatch.setattr(local.SubprocessRunner, "open", lambda self: opened)
    assert main(["run", "demo.py:demo", "--cache", "--quiet"]) == 0
    capsys.readouterr()


def dry_run(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    code = main(["run", "demo.py:demo", "--dry-run", "--json", *arguments])
    captured = capsys.readouterr()
    assert code == 0, captured.err
    return json.loads(captured.out)


def actions(document: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {task["path"]: (task["action"], task["reason"]) for task in document["tasks"] if task["action"] != "group"}


def contents() -> dict[str, str]:
    """Return all files with their digests, and the folders; SQLite's own files of a database in use are left out."""
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in Path().rglob("*")
        if not path.name.endswith(("-shm", "-wal", ".pyc")) and path.name != "__pycache__"
    }


def test_nothing_is_known_to_be_cached_before_the_first_run_and_nothing_is_written(
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = contents()
    document = dry_run(capsys, "--cache")
    assert (document["pipeline"], document["cache"], document["problem"]) == ("demo", True, None)
    assert document["inputs"] == {"n": 3, "label": "a"}
    first = "no earlier run of this pipeline has this task"
    assert actions(document) == {
        "flip": ("run", first),
        "exit-handler-1": ("later", "depends on flip"),
        "exit-handler-1/make": ("later", ""),
        "exit-handler-1/condition-branches-2": ("later", ""),
        "exit-handler-1/condition-branches-2/condition-3": ("later", ""),
        "exit-handler-1/condition-branches-2/condition-3/importer": ("later", ""),
        "exit-handler-1/condition-branches-2/condition-3/tell": ("later", ""),
        "exit-handler-1/condition-branches-2/condition-4": ("later", ""),
        "exit-handler-1/condition-branches-2/condition-4/flip-2": ("later", ""),
        "exit-handler-1/for-loop-5": ("later", ""),
        "exit-handler-1/for-loop-5/*/double": ("later", ""),
        "clean": ("later", "depends on exit-handler-1"),
    }
    assert contents() == before


@pytest.mark.usefixtures("has_run")
def test_all_that_a_cached_run_finds_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    before = contents()
    run = local.get_run("latest").id
    found = actions(dry_run(capsys, "--cache"))
    branches = "exit-handler-1/condition-branches-2"
    action, reason = found.pop(f"{branches}/condition-4")
    assert action == "skip"
    assert reason.startswith("its condition is false")
    assert found.pop("clean") == ("run", "parameter status changed")
    assert found == {
        path: ("cached", f"from {run}/{path}")
        for path in (
            "flip",
            "exit-handler-1/make",
            f"{branches}/condition-3/importer",
            f"{branches}/condition-3/tell",
            *(f"exit-handler-1/for-loop-5/{number}/double" for number in range(3)),
        )
    }
    assert contents() == before


@pytest.mark.usefixtures("has_run")
def test_what_would_run_is_explained_and_what_depends_on_it_is_not_known(capsys: pytest.CaptureFixture[str]) -> None:
    found = actions(dry_run(capsys, "--cache", "--arg", "n=5", "--arg", "label=b"))
    assert found["exit-handler-1/make"] == ("run", "parameter n 3 → 5")
    assert found["exit-handler-1/condition-branches-2/condition-3/tell"] == ("run", "parameter text a → b")
    assert found["exit-handler-1/for-loop-5"] == ("later", "depends on make")
    assert found["flip"][0] == "cached"
    assert found["clean"] == ("later", "depends on exit-handler-1")


@pytest.mark.usefixtures("has_run")
def test_changed_code_is_named_and_a_changed_comment_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    write(comment="twice")
    assert actions(dry_run(capsys, "--cache"))["exit-handler-1/for-loop-5/0/double"][0] == "cached"
    Path("demo.py").write_text(Path("demo.py").read_text().replace("item * factor", "factor * item"))
    assert actions(dry_run(capsys, "--cache"))["exit-handler-1/for-loop-5/2/double"] == ("run", "code changed")


@pytest.mark.usefixtures("has_run")
def test_without_the_cache_everything_runs(capsys: pytest.CaptureFixture[str]) -> None:
    document = dry_run(capsys)
    assert document["cache"] is False
    assert actions(document)["flip"] == ("run", "")
    assert main(["run", "demo.py:demo", "--dry-run"]) == 0
    assert "cache: off (--cache turns it on)" in capsys.readouterr().out


def test_tasks_have_their_inputs_their_packages_and_what_decides_when_they_run(
    capsys: pytest.CaptureFixture[str],
) -> None:
    write(packages="(packages_to_install=['six==1.16.0'])")
    tasks = {task["path"]: task for task in dry_run(capsys)["tasks"]}
    double = tasks["exit-handler-1/for-loop-5/*/double"]
    assert (double["function"], double["packages"]) == ("double", ["six==1.16.0"])
    assert (double["inputs"], double["sources"]) == ({}, {"item": "the item"})
    assert tasks["exit-handler-1/for-loop-5"]["starts"] == [
        "for each item of make.Output, at most 2 at a time",
        "after make",
    ]
    condition = tasks["exit-handler-1/condition-branches-2/condition-3"]
    assert condition["starts"] == ["if flip-Output == 'heads'"]
    assert condition["parent"] == "exit-handler-1/condition-branches-2"
    assert tasks["clean"]["starts"] == ["after exit-handler-1, whether or not it succeeds"]


_FIELDS = """
from standpipe import dsl

@dsl.component
def search() -> list:
    return [{"rate": 1, "sizes": [1]}]

@dsl.component
def train(rate: int, settings: dict = {}) -> int:
    return rate

@dsl.pipeline
def fields(known: list = [{"rate": 7}]):
    with dsl.ParallelFor(search().output) as item:
        train(rate=item.rate, settings=item)
        with dsl.If(item.rate == 3):
            train(rate=item.rate)
        with dsl.ParallelFor(item.sizes) as size:
            train(rate=size)
        with dsl.ParallelFor([{"rate": 1}]) as constant:
            train(rate=constant.rate)
    with dsl.ParallelFor(known) as item:
        with dsl.If(item.rate == 7):
            train(rate=item.rate)
"""


def test_a_field_of_an_item_is_named_until_it_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    Path("fields.py").write_text(_FIELDS)
    assert main(["run", "fields.py:fields", "--dry-run", "--json"]) == 0
    tasks = {task["path"]: task for task in json.loads(capsys.readouterr().out)["tasks"]}
    trained = {path: task for path, task in tasks.items() if path.rpartition("/")[2].startswith("train")}
    assert {path: task["sources"] for path, task in trained.items()} == {
        "for-loop-1/*/train": {"rate": "the item's rate", "settings": "the item"},
        "for-loop-1/*/condition-2/train-2": {"rate": "the item's rate"},
        "for-loop-1/*/for-loop-3/*/train-3": {"rate": "the item"},
        "for-loop-1/*/for-loop-5/*/train-4": {"rate": "the item's rate"},
        "for-loop-6/0/condition-7/train-5": {},
    }
    assert trained["for-loop-6/0/condition-7/train-5"]["inputs"] == {"rate": 7, "settings": {}}
    assert tasks["for-loop-1/*/condition-2"]["starts"] == ["if the item's rate == '3'"]
    assert tasks["for-loop-1/*/for-loop-3"]["starts"] == ["for each item of the item's sizes"]
    known = tasks["for-loop-6/0/condition-7"]
    assert known["inputs"]["known-loop-item-subvar-rate"] == 7


@pytest.mark.usefixtures("has_run")
def test_the_text_is_a_tree_with_a_summary(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "demo.py:demo", "--dry-run", "--cache", "-a", "n=3", "-a", "label=b"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(
        "Dry run of demo from demo.py:demo: nothing is started or written.\nrunner: SubprocessRunner("
    )
    [row] = [line for line in text.splitlines() if " tell " in line]
    assert row.split("tell")[1].strip() == "runs: parameter text a → b"
    assert "skipped: its condition is false" in text
    assert text.splitlines()[-1] == "1 would run, 6 cached, 1 skipped, 1 not known yet."
    assert max(map(len, text.splitlines()[3:])) <= 100


@pytest.mark.usefixtures("has_run")
def test_a_long_loop_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "demo.py:demo", "--cache", "--quiet", "-a", "n=40"]) == 0
    assert main(["run", "demo.py:demo", "--dry-run", "--cache", "-a", "n=40"]) == 0
    text = capsys.readouterr().out
    [rest] = [line.split() for line in text.splitlines() if "more" in line]
    assert " ".join(rest[-5:]) == "and 35 more 35 cached"
    assert len(text.splitlines()) < 70


def test_the_only_pipeline_of_a_script_is_planned_and_the_script_does_not_run(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    source = Path("demo.py").read_text()
    Path("demo.py").write_text(
        f"import sys\nassert sys.argv[1:] == ['--epochs', '3']\n{source}\n"
        "if __name__ == '__main__':\n    raise SystemExit('the main block ran')\n"
    )
    assert main(["run", "--dry-run", "demo.py", "--epochs", "3"]) == 0
    assert capsys.readouterr().out.startswith("Dry run of demo from demo.py: ")


def test_what_the_check_before_a_run_finds_is_shown_with_its_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    Path("box.py").write_text(
        "from kfp import dsl\n\n\n@dsl.container_component\ndef box():\n"
        "    return dsl.ContainerSpec(image='alpine', command=['true'])\n"
    )
    assert main(["run", "box.py:box", "--dry-run", "--runner", "in-process"]) == 10
    captured = capsys.readouterr()
    assert "box  runs" in captured.out
    assert "image alpine" in captured.out
    assert captured.err.startswith("The check before the run failed, so nothing was started.")
    assert not Path("local_outputs").exists()


KINDS = """\
from kfp import dsl


@dsl.component
def use(n: int, opts: dict, text: str, data: dsl.Input[dsl.Dataset], fixed: list = [1.5, "b"], late: str = ""):
    pass


@dsl.component
def flip() -> str:
    return "heads"


@dsl.pipeline
def kinds(n: int, opts: dict, text: str, data: dsl.Input[dsl.Dataset]):
    use(n=n, opts=opts, text=text, data=data, fixed=[True, None])
    late = use(n=n, opts={"a": f"in {text}"}, text="the item", data=data, late=flip().output)
    with dsl.ParallelFor([{"k": 1}]) as item:
        use(n=item.k, opts=item, text="", data=data).after(late)
"""


def test_inputs_in_json_have_the_values_and_types_that_show_has(capsys: pytest.CaptureFixture[str]) -> None:
    Path("kinds.py").write_text(KINDS)
    arguments = ["-a", "n=3", "-a", 'opts={"k": [5]}', "-a", "text=3", "-a", "data=data.csv"]
    assert main(["run", "kinds.py:kinds", "--dry-run", "--json", *arguments]) == 0
    document = json.loads(capsys.readouterr().out)
    data = document["inputs"].pop("data")
    assert (data["type"], data["uri"], data["exists"]) == ("system.Dataset", str(Path("data.csv").resolve()), True)
    assert document["inputs"] == {"n": 3, "opts": {"k": [5]}, "text": "3"}
    tasks = {task["path"]: task for task in document["tasks"]}
    passed = {"n": 3, "opts": {"k": [5]}, "text": "3", "data": data}
    assert tasks["use"]["inputs"] == {**passed, "fixed": [True, None], "late": ""}
    assert tasks["use"]["sources"] == {}
    assert tasks["use-2"]["inputs"] == {"n": 3, "text": "the item", "data": data}
    assert tasks["use-2"]["sources"].keys() == {"opts", "late"}
    assert tasks["use-2"]["sources"]["late"] == "flip.Output"


def test_a_number_that_is_a_secret_leaves_the_json_valid(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIN", "123456")
    document = dry_run(capsys, "-a", "n=123456", "-a", "label=is 123456", "--secret-env", "PIN")
    assert document["inputs"] == {"n": "***", "label": "is ***"}


def test_a_secret_is_redacted(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_TOKEN", "correct-horse-battery")
    arguments = ("--arg", "label=correct-horse-battery", "--secret-env", "API_TOKEN")
    assert main(["run", "demo.py:demo", "--dry-run", *arguments]) == 0
    assert "correct-horse" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("demo.py:demo", "--json"), 2, "--json is for --dry-run."),
        (("demo.py:demo", "--dry-run", "--arg", "m=1"), 2, "has no input 'm'"),
        (("demo.py:demo", "--dry-run", "--root", "data.csv/x"), 0, ""),
        (("nowhere.py:demo", "--dry-run"), 2, "nowhere.py cannot be run"),
        (("broken.yaml", "--dry-run"), 3, "broken.yaml"),
    ],
)
def test_a_failure_is_explained(
    arguments: tuple[str, ...], code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("broken.yaml").write_text("root: {}\n")
    assert main(["run", *arguments]) == code
    assert says in capsys.readouterr().err
