"""`standpipe du`: show what takes space on the disk."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from standpipe.cli import options, parsers, terminal
from standpipe.cli.tables import format_table
from standpipe.model.resources import format_memory

if TYPE_CHECKING:
    from standpipe.model.types import Json
    from standpipe.runs.disk_report import DiskReport

#: The most pipelines and runs that are listed.
_MOST_LISTED = 10

#: How long environments are unused that `standpipe prune --environments` removes, in seconds.
_DEFAULT_AGE = 30 * 86_400


def main(arguments: Sequence[str]) -> int:
    """Print what takes space on the disk.

    Raises:
        StorageError: if the run store or the cache cannot be read.
    """
    args = make_parser().parse_args(arguments)
    import json  # here and below: not needed for `--help`

    from standpipe.runs.disk_report import measure
    from standpipe.support.paths import absolute_path

    report = measure(absolute_path("pipeline_root", args.pipeline_root))
    shown = json.dumps(_document(report), indent=2) if args.json else "\n".join(_render(report))
    terminal.print_text(shown)
    return 0


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = parsers.new_parser(
        "du",
        "Show what takes space on the disk: runs, by pipeline and the largest ones, the cache, PVCs, and what all "
        "pipeline roots share: environments and images with installed packages.",
        examples=(
            "standpipe du  # what takes space, and what `standpipe prune` could free",
            "standpipe du --root runs  # another pipeline root",
            "standpipe du --json | jq '.runs[0]'",
        ),
    )
    parsers.add_json(parser, "an object")
    options.add_root(parser)
    return parser


def _render(report: DiskReport) -> Iterator[str]:
    runs = report.runs
    yield f"{report.root}: {format_memory(report.of_root)}"
    yield from _lines(
        ("artifacts and other files of runs", sum(run.others for run in runs)),
        ("logs", sum(run.logs for run in runs)),
        ("workspaces", sum(run.workspace for run in runs)),
        ("PVCs", report.volumes),
        ("copies of artifacts in object stores", report.payloads),
        ("run store", report.store),
        ("cache", report.cache),
        ("logs of the web UI's commands", report.actions),
        ("left by interrupted deletions", report.deleted),
        ("runs that the store does not know", report.unknown),
    )
    venvs = sum(venv.size for venv in report.venvs)
    images = sum(image.size for image in report.images or ())
    yield f"\nFor all pipeline roots: {format_memory(venvs + report.imports + images)}"
    yield from _lines(
        (f"environments ({len(report.venvs)})", venvs),
        ("known imports of components", report.imports),
        (f"images with installed packages ({len(report.images or ())})", images),
    )
    if report.problem:
        yield f"  images: {report.problem.splitlines()[0]}"
    yield from _tables(report)
    yield from _advice(report)


def _lines(*parts: tuple[str, int]) -> Iterator[str]:
    """Yield a line for each part that takes space."""
    for name, size in parts:
        if size:
            yield f"  {format_memory(size):>9}  {name}"


def _tables(report: DiskReport) -> Iterator[str]:
    if not report.runs:
        return
    pipelines = list(report.by_pipeline.items())
    rows = [(name, str(count), format_memory(size)) for name, (count, size) in pipelines[:_MOST_LISTED]]
    yield ""
    yield from format_table(("PIPELINE", "RUNS", "SIZE"), rows, right=("RUNS", "SIZE"))
    if len(pipelines) > _MOST_LISTED:
        yield f"… and {len(pipelines) - _MOST_LISTED} more pipelines"
    yield ""
    largest = [(run.id, format_memory(run.size)) for run in report.largest[:_MOST_LISTED]]
    yield from format_table(("LARGEST RUNS", "SIZE"), largest, right=("SIZE",))


def _advice(report: DiskReport) -> Iterator[str]:
    """Yield what `standpipe prune` could free."""
    freed = _prunable(report)
    if any(freed.values()):
        yield ""
    for flags, size in freed.items():
        if size:
            yield f"`standpipe prune {flags}` frees {format_memory(size)}."


def _prunable(report: DiskReport) -> dict[str, int]:
    """Return the bytes that prunings free, by their flags."""
    from standpipe.runs.pruning import Selection, select_runs, unused_venvs  # not needed for `--help`

    sizes = {run.id: run.size for run in report.runs}
    but_newest = select_runs(report.root, Selection(keep=1), sizes=sizes)
    size = but_newest.size
    if any(kept.entries for kept in but_newest.kept):
        with_cache = select_runs(report.root, Selection(keep=1), with_cache=True, sizes=sizes)
        flags = {"--keep 1": size, "--keep 1 --cache": with_cache.size}
    else:
        flags = {"--keep 1": size}
    return {**flags, "--environments": sum(venv.size for venv in unused_venvs(report.venvs, _DEFAULT_AGE))}


def _document(report: DiskReport) -> dict[str, Json]:
    return {
        "root": str(report.root),
        "size": report.of_root,
        "runs": [
            {
                "id": run.id,
                "pipeline": run.pipeline,
                "size": run.size,
                "logs": run.logs,
                "workspace": run.workspace,
            }
            for run in report.largest
        ],
        "pipelines": [
            {"name": name, "runs": count, "size": size} for name, (count, size) in report.by_pipeline.items()
        ],
        "run_store": report.store,
        "cache": report.cache,
        "volumes": report.volumes,
        "actions": report.actions,
        "payloads": report.payloads,
        "interrupted_deletions": report.deleted,
        "unknown_runs": report.unknown,
        "environments": [
            {"path": str(venv.folder), "packages": list(venv.packages), "size": venv.size} for venv in report.venvs
        ],
        "imports": report.imports,
        "images": None
        if report.images is None
        else [{"name": image.name, "packages": list(image.packages), "size": image.size} for image in report.images],
        "problem": report.problem,
        "prunable": dict(_prunable(report)),
    }
