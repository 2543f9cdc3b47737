"""Reports of a run as files: one page of HTML that needs nothing else, JUnit XML, and Markdown for CI."""

from __future__ import annotations

import os
import stat
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from functools import cache
from pathlib import Path

from markupsafe import Markup

from standpipe import __version__
from standpipe.errors import StorageError
from standpipe.history import Run
from standpipe.model.frozen import frozen
from standpipe.support.terminal_text import strip_controls
from standpipe.ui.rendering import render
from standpipe.ui.source import RunSource
from standpipe.ui.views import junit, summary
from standpipe.ui.views.graph_picture import draw_layers
from standpipe.ui.views.report import read_report
from standpipe.ui.views.timeline import draw_timeline

_STATIC = Path(__file__).parent / "static"

#: The styles of a report, in their order.
_STYLES = (
    "standpipe.css",
    "charts.css",
    "artifact.css",
    "timeline.css",
    "compare.css",
    "graph_picture.css",
    "report.css",
)

#: The most bytes at the beginning of a file that say whether it is an earlier report.
_BEGINNING = 1000


@frozen
class Format:
    """A kind of report. `mark` is a text at the beginning of each file of this kind, and of no other file."""

    name: str
    make: Callable[[Run], str]
    mark: str


def make_html(run: Run) -> str:
    """Return the report of a run as one page of HTML: no address in it leads out of it, and it has no script.

    Args:
        run: the run.

    Raises:
        StorageError: if the run store cannot be read.
    """
    report = read_report(run)
    plan = RunSource(run.folder.parent).plan(run)
    context = {
        "report": report,
        "graphs": list(draw_layers(run, plan)),
        "timeline": draw_timeline(run, plan, datetime.now().astimezone()),
        "version": __version__,
        "styles": styles(*_STYLES),
    }
    return strip_controls(render("report.html", context))


HTML_REPORT = Format("report", make_html, ' report">\n')
JUNIT = Format("JUnit file", junit.make_junit, junit.MARK)
MARKDOWN = Format("summary", summary.make_summary, summary.MARK)


@cache
def styles(*names: str) -> Markup:
    """Return files of styles as the content of an element `style`."""
    return Markup("\n".join((_STATIC / name).read_text(encoding="utf-8") for name in names))  # noqa: S704 - our files


def write_reports(run: Run, files: Sequence[tuple[Format, str | os.PathLike[str]]], *, force: bool = False) -> None:
    """Write reports of a run. None is written if one of the files is something else.

    Args:
        run: the run.
        files: the kinds of reports, and their files.
        force: whether files that are not earlier reports are replaced as well.

    Raises:
        StorageError: if one of them cannot be written.
    """
    for kind, path in files:
        check_target(kind, path, force=force)
    for kind, path in files:
        write_report(kind, run, path, force=force)


def write_report(kind: Format, run: Run, path: str | os.PathLike[str], *, force: bool = False) -> int:
    """Write a report of a run, and return its size in bytes. If that fails, the file is as it was before.

    Args:
        kind: the kind of report.
        run: the run.
        path: the file. One that is an earlier report of this kind is replaced.
        force: whether any other file is replaced as well.

    Raises:
        StorageError: if the file is something else, or cannot be written.
    """
    target = check_target(kind, path, force=force)
    content = kind.make(run).encode(errors="replace")
    try:
        _write(target, content)
    except OSError as error:
        raise StorageError(
            f"Cannot write the {kind.name} {target}: {error.strerror}. Check the path, its permissions and the free "
            "space, or choose another file."
        ) from error
    return len(content)


def check_target(kind: Format, path: str | os.PathLike[str], *, force: bool = False) -> Path:
    """Return the file that a path leads to, if a report may be written there.

    Raises:
        StorageError: if it may not.
    """
    target = Path(os.path.realpath(os.path.expanduser(path)))
    if target.is_dir():
        raise StorageError(f"Cannot write the {kind.name} {target}: it is a folder. Name a file in it.")
    if not target.parent.is_dir():
        raise StorageError(
            f"Cannot write the {kind.name} {target}: there is no folder {target.parent}. Create it first."
        )
    if target.is_file() and not force and not _is_earlier(kind, target):
        raise StorageError(
            f"The file {target} exists, and is not an earlier {kind.name}. Choose another one, or replace it with "
            "--force (in Python, force=True)."
        )
    return target


def _is_earlier(kind: Format, target: Path) -> bool:
    """Return whether a file is a report of this kind, or empty."""
    with suppress(OSError), target.open("rb") as file:
        beginning = file.read(_BEGINNING)
        return not beginning or kind.mark.encode() in beginning
    return False


def _write(target: Path, content: bytes) -> None:
    """Write a file beside its target, and put it into its place in one step; devices and pipes are written to."""
    if target.exists() and not target.is_file():
        target.write_bytes(content)
        return
    partial = target.with_name(f".{target.name[:100]}.{uuid.uuid4().hex[:8]}.partial")
    try:
        with partial.open("xb") as file:
            file.write(content)
            file.flush()
            if target.exists():
                os.fchmod(file.fileno(), stat.S_IMODE(target.stat().st_mode))
        partial.replace(target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
