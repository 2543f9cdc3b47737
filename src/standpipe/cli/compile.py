"""`standpipe compile`: compile a pipeline or component of a script to YAML."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection, Sequence
from types import ModuleType

from standpipe import compiler
from standpipe.cli import script
from standpipe.dsl import BaseComponent, GraphComponent
from standpipe.errors import ArgumentError


def main(arguments: Sequence[str]) -> int:
    """Compile a pipeline or component of a script.

    Raises:
        ArgumentError: if the script has no such pipeline, or several and none was named.
        StandpipeError: as `Compiler.compile`.
        BaseException: whatever the script raises when it is imported.
    """
    options = _parser().parse_args(arguments)
    path, colon, name = options.source.rpartition(":")
    if not colon or name.endswith(".py"):  # a path may hold a colon
        path, name = options.source, ""
    module = script.load(path, [], name="__standpipe__", expected="a Python script with a pipeline or component")
    component = _named(module, name, path) if name else _only(module, path)
    output = options.output or f"{component.name}.yaml"
    compiler.Compiler().compile(component, output)
    sys.stdout.write(f"{output}\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "standpipe compile",
        allow_abbrev=False,
        description=(
            "Import a script, without its `if __name__ == '__main__'` block, and compile one of its pipelines or "
            "components. The name of the file is printed."
        ),
    )
    parser.add_argument(
        "source", metavar="SCRIPT[:NAME]", help="the script, and a name in it, required if it has several pipelines"
    )
    parser.add_argument(
        "output", nargs="?", help="the file to write, ending in .yaml; by default named after the pipeline"
    )
    return parser


def _named(module: ModuleType, name: str, path: str) -> BaseComponent:
    component = vars(module).get(name)
    if not isinstance(component, BaseComponent):
        raise ArgumentError(f"{path} has no pipeline or component {name!r}. {_choice(_components(module), path)}")
    return component


def _only(module: ModuleType, path: str) -> BaseComponent:
    """Return the only pipeline of a script, or its only component if it has no pipeline."""
    components = _components(module)
    pipelines = [name for name, each in components.items() if isinstance(each, GraphComponent)] or list(components)
    if len(pipelines) != 1:
        problem = "several" if pipelines else "no"
        raise ArgumentError(f"{path} has {problem} pipelines or components to compile. {_choice(pipelines, path)}")
    return components[pipelines[0]]


def _components(module: ModuleType) -> dict[str, BaseComponent]:
    return {name: each for name, each in vars(module).items() if isinstance(each, BaseComponent)}


def _choice(names: Collection[str], path: str) -> str:
    if not names:
        return "Define one at the top level of the script, with @dsl.pipeline or @dsl.component."
    return f"Expected one of {', '.join(f'{path}:{name}' for name in names)}."
