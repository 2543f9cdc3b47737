"""The registry of the components and pipelines that this program defines, by name.

`local.resume(run)` looks for the run's pipeline here, so that it resumes with the pipeline as the program defines it
now.
"""

from __future__ import annotations

from typing import TypeVar
from weakref import WeakValueDictionary

from standpipe.dsl.base_component import BaseComponent

_C = TypeVar("_C", bound=BaseComponent)


class ComponentRegistry:
    """Refers to the newest component of each name, as long as the program has it."""

    def __init__(self) -> None:
        self._components: WeakValueDictionary[str, BaseComponent] = WeakValueDictionary()

    def register(self, component: _C) -> _C:
        """Keep a component in place of an earlier one of its name, and return it."""
        self._components[component.name] = component
        return component

    def get(self, name: str) -> BaseComponent | None:
        """Return the newest component or pipeline of a name, None if there is none."""
        return self._components.get(name)


#: What the decorators of this program have defined.
defined_components = ComponentRegistry()
