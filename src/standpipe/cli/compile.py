"""`standpipe compile`: a pipeline or component of a script, to the YAML that clusters run."""

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
    """Compiles what the arguments say.

    Raises:
        ArgumentError: if the script holds no such pipeline, or several and none was named.
        StandpipeError: as `Compiler.compile`.
        BaseException: whatever the script raises when it is imported.
    """
    options = _parser().parse_args(arguments)
    path, colon, name = options.source.rpartition(":")
    if not colon or name.endswith(".py"):  # a path may hold a colon
        path, name = options.source, ""
    module = script.load(path, [], name="__standpipe__")
    component = _named(module, name, path) if name else _only(module, path)
    output = options.output or f"{component.name}.yaml"
    compiler.Compiler().compile(component, output)
    sys.stdout.write(f"{output}\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "standpipe compile",
        description=(
            "Imports a script, without running what it does under `if __name__ == '__main__'`, and compiles a pipeline "
            "or component of it. Prints the name of the file."
        ),
    )
    parser.add_argument(
        "source", metavar="SCRIPT[:NAME]", help="the script, and the name there, needed if it has several pipelines"
    )
    parser.add_argument("output", nargs="?", help="the file, ending in .yaml; by default named after the pipeline")
    return parser


def _named(module: ModuleType, name: str, path: str) -> BaseComponent:
    found = vars(module).get(name)
    if not isinstance(found, BaseComponent):
        raise ArgumentError(f"{path} has no pipeline or component {name!r}. {_choice(_components(module), path)}")
    return found


def _only(module: ModuleType, path: str) -> BaseComponent:
    """The one pipeline of a script, or its one component if it has no pipeline."""
    components = _components(module)
    pipelines = [name for name, each in components.items() if isinstance(each, GraphComponent)] or list(components)
    if len(pipelines) != 1:
        raise ArgumentError(f"It is not clear what to compile. {_choice(pipelines, path)}")
    return components[pipelines[0]]


def _components(module: ModuleType) -> dict[str, BaseComponent]:
    return {name: each for name, each in vars(module).items() if isinstance(each, BaseComponent)}


def _choice(names: Collection[str], path: str) -> str:
    if not names:
        return f"{path} defines none at its top level: decorate a function with @dsl.pipeline."
    return f"Name one of these: {', '.join(f'{path}:{name}' for name in names)}."
