"""`import kfp` in a task."""

from __future__ import annotations

import pytest

from standpipe.model import kfp
from standpipe.worker.constants import KFP_VERSION
from tests.worker.tasks import Tasks

RUNTIME_NAMES = [
    *("Artifact", "ClassificationMetrics", "Dataset", "HTML", "Markdown", "Metrics", "Model"),
    *("SlicedClassificationMetrics", "Input", "InputPath", "Output", "OutputPath"),
    *("PipelineTaskFinalStatus", "TaskConfig", "get_uri", "run_notebook"),
    *("PIPELINE_JOB_CREATE_TIME_UTC_PLACEHOLDER", "PIPELINE_JOB_ID_PLACEHOLDER", "PIPELINE_JOB_NAME_PLACEHOLDER"),
    *("PIPELINE_JOB_RESOURCE_NAME_PLACEHOLDER", "PIPELINE_JOB_SCHEDULE_TIME_UTC_PLACEHOLDER"),
    *("PIPELINE_ROOT_PLACEHOLDER", "PIPELINE_TASK_EXECUTOR_INPUT_PLACEHOLDER"),
    *("PIPELINE_TASK_EXECUTOR_OUTPUT_PATH_PLACEHOLDER", "PIPELINE_TASK_ID_PLACEHOLDER"),
    *("PIPELINE_TASK_NAME_PLACEHOLDER", "WORKSPACE_PATH_PLACEHOLDER"),
]


def test_the_version_is_the_one_that_authors_have() -> None:
    assert KFP_VERSION == kfp.KFP_VERSION


def test_imports_in_every_form(tasks: Tasks) -> None:
    source = """
        def f() -> bool:
            import kfp, kfp.dsl
            import kfp.dsl.types.artifact_types as types
            from kfp.dsl.types.type_annotations import InputPath
            from kfp.dsl.types import type_annotations
            from kfp import dsl
            return (
                dsl is kfp.dsl and types.Model is dsl.Model is Model and InputPath is type_annotations.InputPath
                and kfp.__version__ == '2.17.3' and dsl.PIPELINE_JOB_NAME_PLACEHOLDER == '{{$.pipeline_job_name}}'
            )
    """
    assert tasks.value_of(source) is True


def test_the_modules_of_the_language_are_importable_by_name(tasks: Tasks) -> None:
    source = """
        def f() -> bool:
            import kfp.dsl.notebook_helpers
            from kfp.dsl.constants import WORKSPACE_MOUNT_PATH
            from kfp.dsl.task_config import TaskConfig as Config
            from kfp.dsl.task_final_status import PipelineTaskFinalStatus as Status
            return (
                Config is TaskConfig and Status is PipelineTaskFinalStatus and WORKSPACE_MOUNT_PATH == '/kfp-workspace'
                and kfp.dsl.notebook_helpers.run_notebook is run_notebook
            )
    """
    assert tasks.value_of(source) is True


def test_a_star_import_brings_the_runtime_names_only(tasks: Tasks) -> None:
    source = "def f() -> list: return sorted(n for n in globals() if not n.startswith('__') and n not in ('f', 'dsl'))"

    assert tasks.value_of(source, preamble="from kfp import dsl\nfrom kfp.dsl import *\n") == sorted(RUNTIME_NAMES)


@pytest.mark.parametrize(
    ("expression", "module"),
    [("dsl.component", "kfp.dsl"), ("kfp.compiler", "kfp"), ("dsl.types.type_utils", "kfp.dsl.types")],
)
def test_what_authors_need_says_that_it_is_missing(tasks: Tasks, expression: str, module: str) -> None:
    message = tasks.failure_of(f"def f(): {expression}")

    assert message.startswith(f"module '{module}' has no attribute '{expression.rpartition('.')[2]}' in a running task")
    assert "packages_to_install" in message


def test_the_name_of_a_notebook_helper(tasks: Tasks) -> None:
    assert "needs a component with a notebook" in tasks.failure_of("def f(): dsl.run_notebook(a=1)")


def test_packages_that_share_the_folder_of_kfp_stay_importable(tasks: Tasks) -> None:
    folder = tasks.folder / "cwd" / "kfp" / "pipeline_spec"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("here = True")
    source = "def f() -> bool:\n    from kfp import pipeline_spec\n    return pipeline_spec.here and dsl.Model is Model"

    assert tasks.value_of(source) is True


def test_an_installed_sdk_is_left_alone_and_runs_the_function(tasks: Tasks) -> None:
    folder = tasks.folder / "cwd" / "kfp" / "dsl"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").write_text("__version__ = 'real'")
    (folder / "__init__.py").write_text("")
    (folder / "executor.py").write_text(
        "import os\n"
        "class Executor:\n"
        "    def __init__(self, executor_input, function_to_execute):\n"
        "        self.given = executor_input['inputs']['parameterValues'], function_to_execute\n"
        "    def execute(self):\n"
        "        print(self.given[0], self.given[1](), os.environ['_KFP_RUNTIME'])\n"
    )
    result = tasks.run("import kfp\ndef f(): return kfp.__version__", parameters={"a": 1}, preamble="")

    assert result.printed == "{'a': 1} real true\n"


def test_others_can_look_for_kfp(tasks: Tasks) -> None:
    source = "import importlib.util\ndef f() -> str: return importlib.util.find_spec('kfp.dsl').name"

    assert tasks.value_of(source) == "kfp.dsl"
