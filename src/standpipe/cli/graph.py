"""`standpipe graph`: the tasks of a pipeline and what they depend on, as text, Mermaid or SVG."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from standpipe.cli import parsers
from standpipe.cli.current_code import split_arguments
from standpipe.errors import StorageError

if TYPE_CHECKING:
    from standpipe.cli.tree import Branch
    from standpipe.dsl.base_component import BaseComponent
    from standpipe.model.plan import Plan
    from standpipe.ui.views.layers import Layer

#: The width of a tree where the output is not a terminal.
_WIDTH = 80


def main(arguments: Sequence[str]) -> int:
    """Print or write the graph of a pipeline. Nothing is run.

    Raises:
        ArgumentError: if there is no such target.
        StorageError: if the file cannot be written.
        UnsupportedError: if the pipeline is too large for a picture.
        BaseException: whatever a script raises when it is imported.
    """
    own, of_script = split_arguments(arguments)
    options = make_parser().parse_args(own)
    from standpipe.cli import targets  # brings authoring, which `--help` does without

    component = targets.load(options.target, of_script, expected="a script or a compiled file").component
    text = _FORMATS[options.format or _infer_format(options.output)](component)
    if options.output in (None, "-"):
        from standpipe.cli import terminal  # also for the width above

        terminal.print_text(text.rstrip("\n"))
    else:
        _write(options.output, text)
    return 0


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = parsers.new_parser(
        "graph",
        "Show the tasks of a pipeline with their conditions, loops and dependencies. Nothing is run.",
        examples=(
            "standpipe graph train.py  # the only pipeline of a script, as a tree",
            "standpipe graph train.py:train --format mermaid  # for Markdown",
            "standpipe graph pipeline.yaml -o pipeline.svg  # a picture",
        ),
        usage="standpipe graph TARGET [options] [-- ARGUMENT ...]",
    )
    parsers.add_note(parser, "Arguments after `--` are those of the script that TARGET names.")
    parser.add_argument(
        "target",
        metavar="TARGET",
        help="a script, one of its pipelines as SCRIPT:NAME, or a compiled pipeline or component: .yaml, .yml, .json",
    )
    parser.add_argument(
        "--format", choices=tuple(_FORMATS), help="the format; by default that of the file's name, otherwise text"
    )
    parser.add_argument("-o", "--output", metavar="FILE", help="a file to write, which is replaced; - is the output")
    return parser


def _infer_format(output: str | None) -> str:
    ending = os.path.splitext(output or "")[1]
    return {".svg": "svg", ".mmd": "mermaid", ".mermaid": "mermaid"}.get(ending, "text")


def _write(path: str, text: str) -> None:
    try:
        with open(path, "w", encoding="utf-8", errors="replace") as file:
            file.write(text)
    except OSError as error:
        raise StorageError(
            f"Cannot write the graph {path}: {error.strerror}. Check the path and its permissions, or choose another "
            "file."
        ) from error


# --- formats ----------------------------------------------------------------------------------------------------------


def _mermaid(component: BaseComponent) -> str:
    from standpipe.ui.views.mermaid import draw_mermaid  # each format imports what it needs

    return draw_mermaid(component.compiled_plan)


def _svg(component: BaseComponent) -> str:
    from standpipe.ui.graph_file import make_svg  # each format imports what it needs

    return make_svg(component.compiled_plan)


def _text(component: BaseComponent) -> str:
    from standpipe.cli import tree  # each format imports what it needs

    plan = component.compiled_plan
    width = shutil.get_terminal_size((_WIDTH, 24)).columns if sys.stdout.isatty() else _WIDTH
    lines = [*_describe_interface(plan), *tree.render_tree(list_branches(plan), width)]
    return "\n".join(lines) + "\n"


_FORMATS: dict[str, Callable[[BaseComponent], str]] = {"text": _text, "mermaid": _mermaid, "svg": _svg}


def _describe_interface(plan: Plan) -> Iterator[str]:
    """Yield the name of a pipeline, its inputs and its outputs."""
    from standpipe.model.argument_texts import describe_input  # only text has them

    yield plan.display_name or plan.name
    yield from (f"  {describe_input(name, declared)}" for name, declared in plan.root.inputs.items())
    yield from (f"  → {name}: {declared.type.label}" for name, declared in plan.root.outputs.items())


def list_branches(plan: Plan) -> list[Branch]:
    """Return the tasks of a Plan as a tree."""
    from standpipe.ui.views.plan_layers import plan_layer  # brings the records of history, which only text needs

    return _branches(plan_layer(plan))


def _branches(layer: Layer) -> list[Branch]:
    from standpipe.cli.tree import Branch  # as above
    from standpipe.ui.views.plan_layers import describe_start, in_order, inner_layer

    branches = []
    for member in in_order(layer):
        inside = inner_layer(layer, member)
        kind = member.kind.replace("-", " ")
        kinds = [kind] if kind in ("importer", "pipeline", "exit handler") else []
        notes = [*kinds, *describe_start(layer, member)]
        branches.append(Branch(member.title, notes, _branches(inside) if inside else ()))
    return branches
