"""What the corpus is made of: named ways to make something that compiles."""

from typing import Any, Callable, Dict, NamedTuple, Optional

from kfp import dsl

#: For components that say nothing of their own about images: the default image is announced to change.
PIN = {"base_image": "python:3.11"}
#: For components that pipelines are made of: no more in the compiled documents than what is compared there.
SMALL = {**PIN, "install_kfp_package": False}


class Entry(NamedTuple):
    """One thing to compile; made late, so that what fails is this entry and no other."""

    make: Callable[[], Any]
    arguments: Dict[str, Any]  # of `Compiler.compile`
    suffix: str = ".yaml"


CORPUS: Dict[str, Entry] = {}
#: Scripts that the SDK refuses, by name.
REFUSED: Dict[str, Callable[[], Any]] = {}


def entry(make: Optional[Callable[[], Any]] = None, *, suffix: str = ".yaml", **arguments: Any) -> Callable[..., Any]:
    """Enters a function that returns what to compile; the arguments are those of `Compiler.compile`."""

    def enter(make: Callable[[], Any]) -> Callable[[], Any]:
        _enter(CORPUS, make, Entry(make, arguments, suffix))
        return make

    return enter(make) if make else enter


def pipeline(function: Optional[Callable[..., Any]] = None, **arguments: Any) -> Callable[..., Any]:
    """Enters a pipeline, which is not traced yet; the arguments are those of `dsl.pipeline`."""

    def enter(function: Callable[..., Any]) -> Callable[..., Any]:
        _enter(CORPUS, function, Entry(lambda: dsl.pipeline(function, **arguments), {}))
        return function

    return enter(function) if function else enter


def garbled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Enters a pipeline of which the SDK compiles a document that has its own marks for values left in texts."""
    _enter(CORPUS, function, Entry(lambda: dsl.pipeline(function), {}, ".garbled.yaml"))
    return function


def quirk(function: Callable[..., Any]) -> Callable[..., Any]:
    """Enters a pipeline of which the SDK compiles a document that refers to inputs that are not there."""
    _enter(CORPUS, function, Entry(lambda: dsl.pipeline(function), {}, ".quirk.yaml"))
    return function


def refused(make: Callable[[], Any]) -> Callable[[], Any]:
    """Enters a function that must fail, or the compiling of what it returns, if that is anything."""
    _enter(REFUSED, make, make)
    return make


def refused_pipeline(function: Callable[..., Any]) -> Callable[..., Any]:
    """Enters a pipeline that must not compile."""
    _enter(REFUSED, function, lambda: dsl.pipeline(function))
    return function


def components(*entries: Any) -> None:
    """Enters components and pipelines that exist already, by their own names."""
    for item in entries:
        _add(CORPUS, item.name, Entry(lambda item=item: item, {}))


def _enter(table: Dict[str, Any], function: Callable[..., Any], item: Any) -> None:
    _add(table, function.__name__.replace("_", "-"), item)


def _add(table: Dict[str, Any], name: str, item: Any) -> None:
    if name in table:
        raise ValueError(f"Two entries of the corpus are named {name}.")
    table[name] = item
