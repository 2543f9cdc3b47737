"""Targets: what commands take to find a pipeline, as `script.py`, `script.py:name` or a compiled file."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from types import ModuleType
from typing import NamedTuple

from standpipe.cli import script
from standpipe.dsl import BaseComponent, GraphComponent
from standpipe.errors import ArgumentError
from standpipe.model.layout import COMPILED_ENDINGS
from standpipe.support.near_misses import suggest

#: The `__name__` of a script that is imported for its definitions.
MODULE_NAME = "__standpipe__"


class Target(NamedTuple):
    """A pipeline or component, and where it was found.

    Attributes:
        component: the pipeline or component.
        path: the script or compiled file, as it was written on the command line.
        name: its name in the script; empty for compiled files.
    """

    component: BaseComponent
    path: str
    name: str

    @property
    def is_compiled(self) -> bool:
        """Whether the target is a compiled file, which has no lines of Python."""
        return self.path.endswith(COMPILED_ENDINGS)


def split(target: str) -> tuple[str, str]:
    """Return the file and the name of a target; the name is empty if there is none. A path may hold a colon."""
    path, colon, name = target.rpartition(":")
    if not colon or name.endswith((".py", *COMPILED_ENDINGS)) or os.path.exists(target):
        return target, ""
    return path, name


def load(target: str, arguments: Sequence[str] = (), *, expected: str) -> Target:
    """Return the pipeline or component of a target. A script is imported up to its first run.

    Args:
        target: `script.py`, `script.py:name`, or a compiled file.
        arguments: the arguments of the script.
        expected: what the command expects, for the message if the file cannot be read.

    Raises:
        ArgumentError: if there is no such file, no such pipeline, or several and none was named.
        StandpipeError: if a compiled file is invalid.
        BaseException: whatever the script raises when it is imported.
    """
    path, name = split(target)
    if path.endswith(COMPILED_ENDINGS):
        if name:
            raise ArgumentError(f"Invalid target {target!r}: a compiled file has one pipeline. Leave out {name!r}.")
        from standpipe import components  # brings protobuf and YAML, which scripts do without

        return Target(components.load_component_from_file(path), path, "")
    module = script.load(path, arguments, MODULE_NAME, expected=expected)
    return select(module, name, path)


def load_all(target: str, arguments: Sequence[str] = (), *, expected: str) -> list[Target]:
    """Return the pipeline or component of a target; all pipelines of a script that has several, if none is named.

    Raises:
        ArgumentError: if there is no such file or pipeline.
        StandpipeError: if a compiled file is invalid.
        BaseException: whatever the script raises when it is imported.
    """
    path, name = split(target)
    if name or path.endswith(COMPILED_ENDINGS):
        return [load(target, arguments, expected=expected)]
    components = all_components(script.load(path, arguments, MODULE_NAME, expected=expected))
    pipelines = {each: found for each, found in components.items() if isinstance(found, GraphComponent)}
    found = [Target(each, path, name) for name, each in (pipelines or components).items()]
    if not found:
        raise ArgumentError(f"{path} has no pipelines or components. {_choice((), path)}")
    return found


def select(module: ModuleType, name: str, path: str) -> Target:
    """Return the pipeline or component of a script by its name, or else its only one.

    Args:
        module: the script.
        name: its name in the script; empty for the only pipeline, or the only component of a script without pipelines.
        path: the script, as it was written on the command line.

    Raises:
        ArgumentError: if there is none, or several and none was named.
    """
    components = all_components(module)
    if name:
        if name not in components:
            close = suggest(f"{path}:{name}", [f"{path}:{each}" for each in components])
            raise ArgumentError(f"{path} has no pipeline or component {name!r}.{close} {_choice(components, path)}")
        return Target(components[name], path, name)
    pipelines = [each for each, found in components.items() if isinstance(found, GraphComponent)] or list(components)
    if len(pipelines) != 1:
        problem = "several" if pipelines else "no"
        raise ArgumentError(f"{path} has {problem} pipelines or components. {_choice(pipelines, path)}")
    return Target(components[pipelines[0]], path, pipelines[0])


def all_components(module: ModuleType) -> dict[str, BaseComponent]:
    """Return the pipelines and components of a script by their names in it."""
    return {name: each for name, each in vars(module).items() if isinstance(each, BaseComponent)}


def _choice(names: Collection[str], path: str) -> str:
    if not names:
        return (
            "Define one at the top level of the script, with @dsl.pipeline or @dsl.component. A script is imported up "
            "to its first run, so define it before that."
        )
    return f"Expected one of {', '.join(f'{path}:{name}' for name in names)}."
