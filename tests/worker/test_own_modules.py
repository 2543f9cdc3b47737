"""Modules of the author in the worker, in the oldest Python that images have and in the one at hand."""

from __future__ import annotations

from pathlib import Path

from tests.worker.tasks import Tasks

#: As `own_modules.Entry` has it.
MODULES = [
    ("shop", "/src/shop/__init__.py", True, "from . import rates\nfrom .deep.work import double"),
    ("shop.rates", "/src/shop/rates.py", False, "import shop\nRATE = 2"),
    ("shop.deep", "", True, ""),
    ("shop.deep.work", "/src/shop/deep/work.py", False, "from ..rates import RATE\ndef double(x): return x * RATE"),
    ("json", "/src/json.py", False, "1 / 0"),
]


def test_packages_are_imported(tasks: Tasks) -> None:
    source = "def f() -> int:\n  import shop\n  return shop.double(2)"

    assert tasks.value_of(source, modules=MODULES) == 4


def test_what_a_module_says_of_itself(tasks: Tasks) -> None:
    source = """
        def f() -> list:
            import inspect, json, shop.rates, shop.deep
            return [shop.__file__, shop.rates.__spec__.origin, inspect.getsource(shop.rates), shop.deep.__spec__.origin]
    """

    assert tasks.value_of(source, modules=MODULES) == [
        "/src/shop/__init__.py",
        "/src/shop/rates.py",
        "import shop\nRATE = 2",
        None,
    ]


def test_a_module_in_a_package_that_was_not_shipped_is_missing(tasks: Tasks, tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "other.py").touch()
    modules = [("shop", f"{tmp_path}/shop/__init__.py", True, "")]

    message = tasks.failure_of("def f():\n  import shop.other", modules=modules)

    assert message == "No module named 'shop.other'"


def test_an_installed_package_wins_with_all_of_its_modules(tasks: Tasks) -> None:
    modules = [("email", "/src/email/__init__.py", True, "1 / 0"), ("email.mine", "/src/email/mine.py", False, "")]

    assert tasks.failure_of("def f():\n  import email.mine", modules=modules) == "No module named 'email.mine'"


def test_a_module_can_be_reloaded(tasks: Tasks) -> None:
    source = "def f() -> int:\n  import importlib, shop.rates\n  return importlib.reload(shop.rates).RATE"

    assert tasks.value_of(source, modules=MODULES) == 2


def test_a_module_that_defines_components_fails_with_advice(tasks: Tasks) -> None:
    modules = [("steps", "/src/steps.py", False, "from kfp import dsl\n@dsl.component\ndef step(): ...")]

    assert "cannot define components" in tasks.failure_of("def f():\n  import steps", modules=modules)
