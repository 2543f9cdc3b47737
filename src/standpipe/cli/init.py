"""`standpipe init`: create a first project, with a pipeline, its tests and a workflow for CI."""

from __future__ import annotations

import argparse
import json
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from standpipe.cli import parsers, terminal
from standpipe.errors import ArgumentError, StorageError

#: Where the texts of the files are. Their names end in `.txt`, as this package does not import them.
_TEXTS = Path(__file__).parent / "first_project"


class _File(NamedTuple):
    """A file of a project: the name of its text, what it is, and whether the project needs to have it from here."""

    text: str
    purpose: str
    is_essential: bool = False


#: The files by their paths.
_FILES: Mapping[str, _File] = {
    "pipeline.py": _File("pipeline.py.txt", "a pipeline with three components", is_essential=True),
    "test_pipeline.py": _File("test_pipeline.py.txt", "its tests, for pytest", is_essential=True),
    ".github/workflows/pipeline.yml": _File("workflow.yml.txt", "tests and runs it on GitHub"),
    ".gitignore": _File("gitignore.txt", "leaves runs out of git"),
    "README.md": _File("README.md.txt", "the commands"),
}


def main(arguments: Sequence[str]) -> int:
    """Create the files of a project, and print what to do next.

    Raises:
        ArgumentError: if the folder has a pipeline already.
        StorageError: if a file cannot be written.
    """
    args = make_parser().parse_args(arguments)
    folder = Path(args.folder)
    _check(folder)
    kept = [path for path in _FILES if os.path.lexists(folder / path)]
    created = [path for path in _FILES if path not in kept]
    for path in created:
        _write(folder / path, (_TEXTS / _FILES[path].text).read_text(encoding="utf-8"))
    if args.json:
        terminal.print_text(json.dumps({"folder": str(folder.absolute()), "created": created, "kept": kept}, indent=2))
    else:
        terminal.print_text("\n".join(_describe(args.folder, created, kept)))
    return 0


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = parsers.new_parser(
        "init",
        "Create a first project: a pipeline that needs no packages, its tests, and a workflow for GitHub. Files that "
        "exist are kept as they are.",
        examples=(
            "standpipe init demo && cd demo && standpipe run pipeline.py",
            "standpipe init  # in this folder",
        ),
    )
    parser.add_argument(
        "folder", metavar="FOLDER", nargs="?", default=".", help="the folder, made if missing (default: this one)"
    )
    parsers.add_json(parser, "an object")
    return parser


def _check(folder: Path) -> None:
    """Raise an error if the project would be mixed with another one."""
    if os.path.lexists(folder) and not folder.is_dir():
        raise ArgumentError(f"{folder} is not a folder. Name another one: standpipe init FOLDER.")
    for path, file in _FILES.items():
        if file.is_essential and os.path.lexists(folder / path):
            raise ArgumentError(
                f"{folder / path} exists already, and is kept as it is. Name another folder: standpipe init FOLDER."
            )


def _write(path: Path, text: str) -> None:
    """Write a new file; one that another program has just made is not replaced.

    Raises:
        StorageError: if it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise StorageError(
            f"{path} cannot be written: {error.strerror}. Name a folder that you may write to: standpipe init FOLDER."
        ) from error


def _describe(folder: str, created: Sequence[str], kept: Sequence[str]) -> Iterator[str]:
    widest = max(map(len, _FILES))
    yield f"Created a first project in {Path(folder).absolute()}:"
    yield from (f"  {path:<{widest}}  {_FILES[path].purpose}" for path in created)
    yield from (f"  {path:<{widest}}  kept as it is" for path in kept)
    if ".gitignore" in kept:
        yield "Add the line `local_outputs/` to .gitignore, if it lacks it."
    yield "\nNext:"
    if os.path.abspath(folder) != os.getcwd():
        yield f"  cd {shlex.quote(folder)}"
    yield "  standpipe run pipeline.py    # then: standpipe ui"
    yield "  pytest"
