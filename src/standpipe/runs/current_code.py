"""The code of a pipeline as it is now: the flags that take it, and the pipeline that a script defines.

A failed run is resumed, or a task of it rerun, after the user has edited the code. So the commands that messages
suggest take the script, and not what the run store recorded.
"""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from types import ModuleType

from standpipe.dsl.base_component import BaseComponent
from standpipe.dsl.components import ExecutorComponent
from standpipe.dsl.registry import defined_components
from standpipe.errors import ArgumentError
from standpipe.model.frozen import frozen
from standpipe.model.plan import ExecutorRef, Plan
from standpipe.runs.stored_run import load_origin
from standpipe.store.reading import run_row

#: The name under which the commands import a script, which is not `__main__`, so that it only defines its pipelines.
IMPORTED_SCRIPT = "__standpipe__"

_PACKAGE = Path(__file__).parents[1]
_PYTHON = Path(os.__file__).parent


@frozen
class CodeSource:
    """Where the code of a pipeline comes from, as the commands take it.

    Attributes:
        name: what messages call it: `train.py`; empty if no command can take it, as that of a notebook.
        flags: the flags of `standpipe resume` and `standpipe rerun` that take it; empty in the same case.
        arguments: the arguments of the script.
    """

    name: str = ""
    flags: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()


def find_code_source(component: BaseComponent) -> CodeSource:
    """Return where the code of a component comes from: a compiled file, the script of this process, or a module.

    The script of this process is preferred to the module that defines the component, as it has set `sys.path` up. Under
    pytest and other tools that are not the user's, it is the module.
    """
    if component.file:
        return _script(component.file) if os.path.isfile(component.file) else CodeSource()
    main = sys.modules.get(IMPORTED_SCRIPT) or sys.modules["__main__"]
    file = user_file(main)
    if file:
        spec = getattr(main, "__spec__", None)
        source = CodeSource(spec.name, ("--module", spec.name)) if spec else _script(file)
        return CodeSource(source.name, source.flags, tuple(sys.argv[1:]))
    location = component.plan.root.source_location
    if location is None or not os.path.isfile(location.file):
        return CodeSource()  # a notebook, an interactive session, or a file that was deleted
    return _module(location.file) or _script(location.file)


def find_redefined(pipeline: BaseComponent) -> dict[str, ExecutorComponent]:
    """Return the components of a pipeline whose code was defined again after it, by their keys in its Plan.

    In a notebook, the cell of the component was run again, and that of the pipeline was not. Only functions at the top
    level of the pipeline's own module count: in another module the same name may be that of another component.
    """
    plan, module = pipeline.plan, getattr(_function(pipeline), "__module__", None)
    return {
        key: component
        for component in defined_components.newer_than(pipeline)
        if isinstance(component, ExecutorComponent)
        and _top_level_module(component) == module
        and (key := f"comp-{component.name}") in plan.components
        and _program(plan, key) != getattr(component.executor, "program", None)
    }


def _function(component: BaseComponent) -> object:
    return getattr(component, "python_func", None) or getattr(component, "pipeline_func", None)


def _top_level_module(component: BaseComponent) -> str:
    """Return the module of a component's function; empty if it is not at the top level of its module."""
    function = _function(component)
    is_top_level = getattr(function, "__qualname__", "<locals>") == getattr(function, "__name__", "")
    return str(getattr(function, "__module__", "")) if is_top_level else ""


def _program(plan: Plan, key: str) -> object:
    body = plan.components[key].body
    return getattr(plan.executors[body.label], "program", None) if isinstance(body, ExecutorRef) else None


def describe_recorded_code(plan: Plan) -> str:
    """Return the sentences that tell the user that a recorded Plan runs, and how to run the current code instead."""
    location = plan.root.source_location
    file = shlex.quote(location.file) if location and os.path.isfile(location.file) else "FILE"
    return (
        "It runs the code that was recorded, as this program defines no pipeline of that name. For the code as it is "
        f"now, use --script {file} on the command line, or define the pipeline in this program."
    )


def defined_pipeline(root: Path, run_id: str, origin: str) -> BaseComponent:
    """Return the pipeline of a run as this program has just defined it. For a rerun, it is that of the original run.

    Args:
        root: the pipeline root.
        run_id: the id of the run, or the beginning of it, or `latest`.
        origin: the script or module that was imported, for messages.

    Raises:
        ArgumentError: if the program defines none of its name.
        NoSuchRun: if there is no such run.
    """
    row = run_row(root, run_id)
    name = load_origin(root, row).plan.name
    component = defined_components.get(name)
    if component is None:
        others = ", ".join(map(repr, defined_components.names())) or "none"
        raise ArgumentError(
            f"{origin} defines no pipeline or component {name!r}, which run {row.id} is a run of, when it is "
            f"imported. It defines: {others}. Define it at the top level, before the first run, and outside of "
            "`if __name__ == '__main__':`; or leave out --script and --module to run the code that was recorded."
        )
    return component


def _script(file: str) -> CodeSource:
    return CodeSource(os.path.basename(file), ("--script", os.path.abspath(file)))


def _module(file: str) -> CodeSource | None:
    """Return the module in a package that a file is, as it may import others of its package."""
    for name, module in list(sys.modules.items()):
        if "." in name and getattr(module, "__file__", None) == file:
            return CodeSource(name, ("--module", name))
    return None


def user_file(module: ModuleType) -> str:
    """Return the file of a module that the user wrote; empty for a notebook, or the program of a tool."""
    file = getattr(module, "__file__", None)
    if not file or not file.endswith(".py") or not os.path.isfile(file):
        return ""
    path = Path(os.path.abspath(file))
    is_installed = {"site-packages", "dist-packages"}.intersection(path.parts)
    return "" if is_installed or _PACKAGE in path.parents or _PYTHON in path.parents else str(path)
