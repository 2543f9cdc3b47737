"""The registry of the components and pipelines that this program defines, by name.

`local.resume(run)` looks for the run's pipeline here, so that it resumes with the pipeline as the program defines it
now. A pipeline is registered when it is decorated, also inside a function that has returned since.
"""

from __future__ import annotations

from typing import TypeVar

from standpipe.dsl.base_component import BaseComponent

_C = TypeVar("_C", bound=BaseComponent)


class ComponentRegistry:
    """Keeps the newest component of each name, and no older ones.

    If a name is defined again, the newest definition replaces the earlier one, as with Python functions. So a program
    that defines the same pipeline thousands of times, in a loop or in a notebook, keeps one of them in memory.
    Components that are loaded from files are not registered.
    """

    def __init__(self) -> None:
        self._components: dict[str, BaseComponent] = {}

    def register(self, component: _C) -> _C:
        """Keep a component in place of an earlier one of its name, and return it."""
        self._components[component.name] = component
        return component

    def get(self, name: str) -> BaseComponent | None:
        """Return the newest component or pipeline of a name, None if there is none."""
        return self._components.get(name)


#: What the decorators of this program have defined.
defined_components = ComponentRegistry()
