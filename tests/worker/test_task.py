"""What a request does to the process that carries it out."""

from __future__ import annotations

import os

import pytest

from tests.worker.tasks import PREAMBLE, Tasks


@pytest.mark.parametrize(
    ("wish", "code", "printed"),
    [
        ("", 0, ""),
        ("0", 0, ""),
        ("3", 3, ""),
        ("None", 0, ""),
        ("-1", 255, ""),
        ("'bad input'", 1, "bad input\n"),
        ("True", 1, ""),
    ],
)
def test_the_exit_code_is_what_python_makes_of_it(tasks: Tasks, wish: str, code: int, printed: str) -> None:
    result = tasks.run(f"import sys\ndef f(): sys.exit({wish})")

    assert (result.code, result.printed) == (code, printed)
    assert not (result.folder / "error.json").exists()


def test_an_interrupt(tasks: Tasks) -> None:
    result = tasks.run("def f(): raise KeyboardInterrupt")

    assert result.code == 130
    assert result.error["kind"] == "KeyboardInterrupt"


def test_any_text_can_be_printed_in_any_locale(tasks: Tasks) -> None:
    result = tasks.run("def f(): print('é𝄞\\ud800')", env={"LC_ALL": "C", "PYTHONIOENCODING": "ascii"})

    assert result.printed == "é𝄞\\ud800\n"


def test_lines_come_in_order(tasks: Tasks) -> None:
    source = """
        import os, sys
        def f():
            for i in range(3):
                print(i)
                print('e', i, file=sys.stderr)
                os.system(f'echo sub {i}')
    """
    assert tasks.run(source).printed.split("\n") == [w for i in range(3) for w in (f"{i}", f"e {i}", f"sub {i}")] + [""]


def test_a_program_does_not_see_our_arguments(tasks: Tasks) -> None:
    assert tasks.value_of("import sys\ndef f() -> int: return len(sys.argv)") == 1


def test_the_path_is_that_of_a_module_run_in_the_working_directory(tasks: Tasks) -> None:
    source = """
        import os, sys
        def f() -> list:
            return [sys.path[0] == os.getcwd(), [p for p in sys.path if 'standpipe' in p and 'site-packages' not in p]]
    """
    first, ours = tasks.value_of(source)

    assert first is True
    assert [path for path in ours if path.endswith("worker")] == []


def test_our_modules_hide_none_of_the_users(tasks: Tasks) -> None:
    (tasks.folder / "cwd").mkdir(parents=True)
    for name in ("source", "task", "executor"):
        (tasks.folder / "cwd" / f"{name}.py").write_text("whose = 'the user'")

    assert tasks.value_of("import executor, source, task\ndef f() -> str: return task.whose") == "the user"


def test_kfp_says_that_it_runs(tasks: Tasks) -> None:
    assert tasks.value_of("import os\ndef f() -> str: return os.environ['_KFP_RUNTIME']") == "true"


def test_functions_of_a_program_can_be_pickled(tasks: Tasks) -> None:
    source = """
        import pickle
        def helper(): return 3
        def f() -> int: return pickle.loads(pickle.dumps(helper))()
    """
    assert tasks.value_of(source) == 3


def test_a_program_without_the_function(tasks: Tasks) -> None:
    assert "has no attribute 'f'" in tasks.failure_of("def g(): pass")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_outputs_are_given_to_their_owner(tasks: Tasks) -> None:
    source = """
        import os
        def f(a: Output[Model]):
            os.makedirs(a.path + '/deep')
            open(a.path + '/deep/file', 'w').close()
            os.symlink('/nowhere', a.path + '/link')
            raise ValueError
    """
    result = tasks.run(source, output_artifacts={"a": "system.Model"}, owner=[1234, 5678])

    for name in ("", "a", "a/deep", "a/deep/file", "a/link", "error.json"):
        status = os.lstat(result.folder / name)
        assert (status.st_uid, status.st_gid) == (1234, 5678), name


CLASS = """class Table(Dataset):
    schema_title = 'system.Table'
    def rows(self): return self.metadata['rows'] / 1
"""


@pytest.mark.parametrize("module", ["__main__", "mine", "mine.deep.down", "json.mine"])
@pytest.mark.parametrize("imported", ["from {module} import Table", "import {module}"])
def test_an_artifact_class_that_is_not_installed(tasks: Tasks, module: str, imported: str) -> None:
    name = "Table" if imported.startswith("from") else f"{module}.Table"
    source = f"""
        {imported.format(module=module)}
        def f(a: Input[{name}]) -> list:
            return [type(a).__name__, a.rows(), type(a).__module__]
    """
    artifact = {"uri": "/x", "metadata": {"rows": 2}, "type": {"schemaTitle": "system.Table"}}
    value = tasks.value_of(source, artifacts={"a": [artifact]}, classes={f"{module}.Table": CLASS})

    assert value == ["Table", 2.0, module]


def test_an_artifact_class_may_derive_from_another(tasks: Tasks) -> None:
    classes = {"__main__.Table": CLASS, "__main__.Big": "class Big(Table):\n    schema_title = 'system.Big'\n"}
    source = "from __main__ import Big\ndef f(a: Input[Big]) -> str: return type(a).__mro__[1].__name__"
    artifact = {"uri": "/x", "type": {"schemaTitle": "system.Big"}}

    assert tasks.value_of(source, artifacts={"a": [artifact]}, classes=classes) == "Table"


def test_an_installed_artifact_class_is_the_one_that_is_used(tasks: Tasks) -> None:
    (tasks.folder / "cwd").mkdir(parents=True)
    (tasks.folder / "cwd" / "mine.py").write_text(PREAMBLE + CLASS + "\ninstalled = True\n")
    source = "import mine\ndef f(a: Input[mine.Table]) -> bool: return mine.installed"
    artifact = {"uri": "/x", "type": {"schemaTitle": "system.Table"}}

    assert tasks.value_of(source, artifacts={"a": [artifact]}, classes={"mine.Table": "not even Python"}) is True


def test_a_class_that_is_in_the_program_is_not_looked_for(tasks: Tasks) -> None:
    assert tasks.value_of("def f() -> int: return 1", classes={"m.g.<locals>.Table": "not even Python"}) == 1


def test_lines_of_an_artifact_class_are_in_tracebacks(tasks: Tasks) -> None:
    source = "from __main__ import Table\ndef f(a: Input[Table]): a.rows()"
    artifact = {"uri": "/x", "metadata": {"rows": "?"}, "type": {"schemaTitle": "system.Table"}}
    traceback = tasks.run(source, artifacts={"a": [artifact]}, classes={"__main__.Table": CLASS}).error["traceback"]

    assert '"<artifact class __main__.Table>", line 3, in rows' in traceback
    assert "return self.metadata['rows'] / 1" in traceback
