"""`standpipe artifacts`: list the artifacts of a run."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from standpipe.cli import options, parsers, terminal
from standpipe.cli.tables import format_table

if TYPE_CHECKING:
    from standpipe.history.artifacts import LocatedArtifact

_HEAD = ("TASK", "NAME", "TYPE", "SIZE", "METADATA")

#: The most characters of metadata in a table.
_MAX_METADATA = 60


def main(arguments: Sequence[str]) -> int:
    """Print the artifacts that were passed to a run, and those that its tasks have produced.

    Raises:
        NoSuchRun: if there is no such run.
        StorageError: if the run store cannot be read.
    """
    args = make_parser().parse_args(arguments)
    import json  # here and below: not needed for `--help`

    from standpipe import local
    from standpipe.history.artifacts import all_artifacts
    from standpipe.history.documents import artifact_document

    run = local.get_run(args.run, args.pipeline_root)
    artifacts = [each for each in all_artifacts(run) if _has_type(each, args.type)]
    if args.json:
        terminal.print_text(json.dumps([artifact_document(each) for each in artifacts], indent=2))
    elif not artifacts:
        of_type = f" of type {args.type}" if args.type else ""
        terminal.print_text(f"Run {run.id} has no artifacts{of_type}.")
    else:
        terminal.print_text("\n".join(_table(artifacts)))
    return 0


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = parsers.new_parser(
        "artifacts",
        "List the artifacts of a run: those that were passed to it, and those that its tasks produced.",
        examples=(
            "standpipe artifacts latest  # with their sizes, metadata and paths",
            "standpipe artifacts latest --type Model  # those of a type",
            "standpipe artifacts latest --json | jq -r '.[].reference'  # what `standpipe open` takes",
        ),
    )
    parsers.add_run(parser)
    parser.add_argument("--type", metavar="TYPE", help="only artifacts of a type, such as Model or system.Model")
    parsers.add_json(parser, "a list")
    options.add_root(parser)
    return parser


def _has_type(located: LocatedArtifact, name: str | None) -> bool:
    known = located.artifact.type.lower()
    return not name or name.lower() in (known, known.rpartition(".")[2])


def _table(artifacts: Sequence[LocatedArtifact]) -> Iterator[str]:
    """Yield a line for each artifact; two if the terminal is too narrow for its path."""
    lines = list(format_table(_HEAD, [_row(each) for each in artifacts], right=("SIZE",)))
    paths = ["PATH", *map(_location, artifacts)]
    widest = max(map(len, lines))
    is_narrow = widest + 2 + max(map(len, paths)) > terminal.width()
    for line, path in zip(lines, paths, strict=True):
        yield f"{line}\n  {path}" if is_narrow else f"{line:<{widest}}  {path}"


def _row(located: LocatedArtifact) -> tuple[str, ...]:
    import json  # here and below: not needed for `--help`

    from standpipe.history.render import describe_absence
    from standpipe.model.resources import format_memory

    artifact = located.artifact
    size = "" if artifact.size is None else format_memory(artifact.size)
    if artifact.exists is False:
        size = describe_absence(artifact)
    pairs = (
        f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in artifact.metadata.items()
    )
    metadata = ", ".join(pairs)
    shown = metadata if len(metadata) <= _MAX_METADATA else f"{metadata[:_MAX_METADATA]}…"
    return located.task or "(input)", located.name, artifact.type.removeprefix("system."), size, shown


def _location(located: LocatedArtifact) -> str:
    """Return the path of an artifact, from the current folder if it is below that; its URI if it has no path."""
    location = located.artifact.location
    if not os.path.isabs(location):
        return located.artifact.uri
    here = os.getcwd()
    return os.path.relpath(location, here) if location.startswith(os.path.join(here, "")) else location
