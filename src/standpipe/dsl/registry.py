"""The registry of the components and pipelines that this program defines, by name.

`local.resume(run)` looks for the run's pipeline here, so that it resumes with the pipeline as the program defines it
now. A pipeline is registered when it is decorated, also inside a function that has returned since.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
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
        self._components.pop(component.name, None)  # its position is that of its newest definition
        self._components[component.name] = component
        return component

    def newer_than(self, component: BaseComponent) -> list[BaseComponent]:
        """Return what was defined after a component; nothing if it is not the newest one of its name."""
        in_order = list(self._components.values())
        return in_order[in_order.index(component) + 1 :] if component in in_order else []

    def names(self) -> list[str]:
        """Return the names of all components and pipelines that this program defines, sorted."""
        return sorted(self._components)

    def get(self, name: str) -> BaseComponent | None:
        """Return the newest component or pipeline of a name, None if there is none."""
        return self._components.get(name)


#: What the decorators of this program have defined.
defined_components = ComponentRegistry()


class _FirstRun(BaseException):
    """A script that is imported for its definitions has come to its first run. No `except Exception` catches it."""


class _Collecting:
    """Whether a script is being imported for its definitions only, and how often something was done with them."""

    is_active = False
    uses = 0


@contextmanager
def only_definitions() -> Iterator[None]:
    """Let the block define components and pipelines; end it, without an error, where it would start a run.

    Most scripts of KFP start their run at the top level. What they define before that is all that `resume` needs.
    """
    _Collecting.is_active = True
    try:
        yield
    except _FirstRun:
        pass
    finally:
        _Collecting.is_active = False


def require_runs() -> None:
    """End the block of `only_definitions` around this call, if there is one. Each start of a run calls it."""
    if _Collecting.is_active:
        raise _FirstRun
    note_use()


def note_use() -> None:
    """Note that a component or pipeline is run or compiled."""
    _Collecting.uses += 1


def count_uses() -> int:
    """Return how often this program has run or compiled a component or pipeline, or tried to."""
    return _Collecting.uses
