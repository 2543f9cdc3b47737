"""`standpipe prune`: delete old runs, cache entries, environments and images that nobody needs any more."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from standpipe.cli import options, parsers, terminal
from standpipe.errors import ArgumentError
from standpipe.model.resources import QuantityError, format_memory, parse_memory
from standpipe.support.durations import format_duration, parse_age

if TYPE_CHECKING:
    from standpipe.model.types import Json
    from standpipe.runs.pruning import Pruning

_STATES = ("succeeded", "failed", "cancelled", "interrupted")
_DEFAULT_AGE = "30d"

#: The most runs that are listed before a question.
_MOST_LISTED = 50


def main(arguments: Sequence[str]) -> int:
    """Delete what the options select, after a question.

    Returns:
        0; 1 if the user has answered no, or something could not be removed.

    Raises:
        ArgumentError: if the options select nothing, or nobody can be asked.
        StorageError: if the run store, the cache or a folder cannot be read or written.
        RunnerError: if images are selected and the container engine does not answer.
    """
    args = make_parser().parse_args(arguments)
    pruning = _select(args)
    if args.json and args.dry_run:
        _print_json(_document(pruning))
        return 0
    if not args.json:
        terminal.print_text("\n".join(_render(pruning)))
    if args.dry_run:
        return 0
    if pruning and not args.yes and not _confirm(pruning):
        return 1
    return _delete(pruning, args.kubernetes, as_json=args.json)


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = parsers.new_parser(
        "prune",
        "Delete old runs with their logs and artifacts, cache entries, environments and images. Runs that all options "
        "select are deleted, but for those in progress, and those with artifacts or outputs that another run or the "
        "cache needs.",
        examples=(
            "standpipe prune --older-than 30d --dry-run  # what would be deleted, and its size",
            "standpipe prune --keep 10 --pipeline train  # all but the newest 10 runs of a pipeline",
            "standpipe prune --larger-than 1GiB --cache  # also their cache entries: tasks run again",
            "standpipe prune --environments --images 8w  # unused for 30 days, and for 8 weeks",
        ),
    )
    runs = parser.add_argument_group("runs")
    runs.add_argument(
        "--older-than", type=_age, metavar="AGE", help="runs that ended before that time, such as 12h or 30d"
    )
    runs.add_argument("--keep", type=_count, metavar="N", help="all but the newest N runs of each pipeline")
    runs.add_argument("--state", choices=_STATES, action="append", help="runs with this status; may be repeated")
    runs.add_argument("--larger-than", type=_size, metavar="SIZE", help="runs that take more, such as 500MiB or 1GiB")
    runs.add_argument("--pipeline", metavar="NAME", help="runs of this pipeline")
    others = parser.add_argument_group("other things")
    others.add_argument(
        "--cache",
        action="store_true",
        help="cache entries with artifacts of these runs, so that the runs can be deleted, and with missing artifacts",
    )
    for name, things in (("environments", "Python environments"), ("images", "images with installed packages")):
        others.add_argument(
            f"--{name}",
            type=_age,
            nargs="?",
            const=_age(_DEFAULT_AGE),
            metavar="AGE",
            help=f"{things} that nobody has used for so long, {_DEFAULT_AGE} without AGE",
        )
    parser.add_argument("--dry-run", action="store_true", help="only print what would be deleted")
    parser.add_argument("-y", "--yes", action="store_true", help="ask nothing; required where there is no terminal")
    parsers.add_json(parser, "an object, with --dry-run or --yes,")
    parser.add_argument("--cache-root", metavar="FOLDER", help="the folder of the cache; by default the pipeline root")
    options.add_store_credentials(parser)
    options.add_root(parser)
    return parser


def _select(args: argparse.Namespace) -> Pruning:
    from dataclasses import replace  # here and below: not needed for `--help`

    from standpipe.history import Status
    from standpipe.runs import pruning
    from standpipe.support.paths import absolute_path

    selection = pruning.Selection(
        args.older_than,
        args.keep,
        tuple(Status[state.upper()] for state in args.state or ()),
        args.larger_than,
        args.pipeline or "",
    )
    if not selection and not args.cache and args.environments is None and args.images is None:
        raise ArgumentError(
            "Nothing is selected: choose runs with --older-than, --keep, --state, --larger-than or --pipeline, or "
            "--cache, --environments or --images. `standpipe du` shows what takes space."
        )
    if args.json and not (args.dry_run or args.yes):
        raise ArgumentError("Invalid option --json: it needs --dry-run or --yes, as nobody is asked.")
    root = absolute_path("pipeline_root", args.pipeline_root)
    cache = absolute_path("cache_root", args.cache_root) if args.cache_root is not None else None
    selected = pruning.select_runs(root, selection, cache=cache, with_cache=args.cache)
    venvs = () if args.environments is None else pruning.select_venvs(args.environments)
    images = () if args.images is None else pruning.select_images(args.images)
    return replace(selected, venvs=venvs, images=images)


def _render(pruning: Pruning) -> Iterator[str]:
    """Yield what is deleted, and which runs are kept although they were selected."""
    for run in pruning.runs[:_MOST_LISTED]:
        yield f"run {run.id}: {run.status.lower()}, {_ago(run.last)}, {format_memory(run.size)}"
    if len(pruning.runs) > _MOST_LISTED:
        yield f"… and {len(pruning.runs) - _MOST_LISTED} more runs"
    if pruning.entries:
        yield f"{_count_of(len(pruning.entries), 'cache entry', 'cache entries')}"
    for venv in pruning.venvs:
        packages = ", ".join(venv.packages) or "no packages"
        reason = f"unused since {_ago(venv.used)}" if venv.is_complete else "incomplete"
        yield f"environment {venv.folder.name} ({packages}): {reason}, {format_memory(venv.size)}"
    for image in pruning.images:
        packages = ", ".join(image.packages)
        yield f"image {image.name} ({packages}): unused since {_ago(image.used)}, {format_memory(image.size)}"
    for kept in pruning.kept[:_MOST_LISTED]:
        yield f"kept {kept.id}: {_why(kept.users, kept.entries)}"
    if len(pruning.kept) > _MOST_LISTED:
        yield f"… and {len(pruning.kept) - _MOST_LISTED} more runs are kept, as others or the cache need them"
    total = f"To delete: {_summary(pruning)}, {format_memory(pruning.size)} in all."
    yield total if pruning else "Nothing to delete."


def _why(users: Sequence[str], entries: int) -> str:
    if users:
        more = f" and {len(users) - 1} more" if len(users) > 1 else ""
        return f"run {users[0]}{more} uses its artifacts or cached outputs"
    return f"{_count_of(entries, 'cache entry has', 'cache entries have')} its artifacts; --cache prunes them as well"


def _ago(at: float) -> str:
    import time  # not needed for `--help`

    return f"{format_duration(max(0.0, time.time() - at))} ago"


def _summary(pruning: Pruning) -> str:
    counts = (
        (len(pruning.runs), "run", "runs"),
        (len(pruning.entries), "cache entry", "cache entries"),
        (len(pruning.venvs), "environment", "environments"),
        (len(pruning.images), "image", "images"),
    )
    return ", ".join(_count_of(*each) for each in counts if each[0])


def _count_of(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _confirm(pruning: Pruning) -> bool:
    """Ask whether to delete; return False for any answer but yes.

    Raises:
        ArgumentError: if nobody can be asked.
    """
    if not sys.stdin.isatty():
        raise ArgumentError("Nothing was deleted: nobody can be asked here. Use --yes to delete, or --dry-run.")
    try:
        answer = input(f"Delete {_summary(pruning)}? [y/N] ")
    except EOFError:
        answer = ""
    if answer.strip().lower() in ("y", "yes"):
        return True
    print("Nothing was deleted.")
    return False


def _delete(pruning: Pruning, kubernetes: str | None, *, as_json: bool) -> int:
    """Delete what was selected, and say how much that frees; return the exit code."""
    from dataclasses import replace  # here and below: not needed for `--help`

    from standpipe.runs.pruning import prune_images, prune_runs, prune_venvs

    deleted, left = {}, []
    for run in prune_runs(pruning, kubernetes):
        deleted[run.id] = run
        if not as_json:
            terminal.print_text(f"Deleted run {run.id}: {format_memory(run.size)} freed.")
        if run.remains:
            left.append(
                f"files of run {run.id}, which may belong to the user of a container: remove {run.remains} as root"
            )
        if run.remote:
            left.append(f"artifacts of run {run.id}: remove those below {run.remote}")
    left += [f"run {run.id}, which is in use now" for run in pruning.runs if run.id not in deleted]
    venvs, images = list(prune_venvs(pruning)), list(prune_images(pruning))
    left += [f"environment {venv.folder}, which is in use" for venv, is_removed in venvs if not is_removed]
    left += [f"image {image.name}, which is in use" for image, is_removed in images if not is_removed]
    done = replace(
        pruning,
        runs=tuple(run for run in pruning.runs if run.id in deleted),
        venvs=tuple(venv for venv, is_removed in venvs if is_removed),
        images=tuple(image for image, is_removed in images if is_removed),
    )
    if as_json:
        _print_json({**_document(done), "left": list(left)})
    elif done:
        terminal.print_text(f"Deleted {_summary(done)}: {format_memory(done.size)} freed.")
    for each in left:
        sys.stderr.write(f"Not deleted: {each}.\n")
    return 1 if left else 0


def _document(pruning: Pruning) -> dict[str, Json]:
    return {
        "size": pruning.size,
        "runs": [
            {
                "id": run.id,
                "pipeline": run.pipeline,
                "status": run.status,
                "last_record": _time(run.last),
                "size": run.size,
            }
            for run in pruning.runs
        ],
        "kept": [{"id": run.id, "users": list(run.users), "cache_entries": run.entries} for run in pruning.kept],
        "cache_entries": [{"key": entry.key, "origin": entry.origin} for entry in pruning.entries],
        "environments": [
            {
                "path": str(venv.folder),
                "packages": list(venv.packages),
                "is_complete": venv.is_complete,
                "last_used": _time(venv.used),
                "size": venv.size,
            }
            for venv in pruning.venvs
        ],
        "images": [
            {"name": image.name, "packages": list(image.packages), "last_used": _time(image.used), "size": image.size}
            for image in pruning.images
        ],
    }


def _time(at: float) -> str | None:
    from standpipe.history.records import to_datetime  # not needed for `--help`

    return to_datetime(at).isoformat() if at else None


def _print_json(document: dict[str, Json]) -> None:
    import json  # not needed for `--help`

    terminal.print_text(json.dumps(document, indent=2))


def _age(text: str) -> float:
    try:
        return parse_age(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _size(text: str) -> int:
    try:
        return parse_memory(text.removesuffix("B"))
    except QuantityError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a number of runs, got {text!r}")
    return int(text)
