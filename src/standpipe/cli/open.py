"""`standpipe open`: open an artifact, or print it or its path.

What a task wrote is not trusted. A page with scripts would run them from a file, and programs for documents run macros.
So only files that are shown and never executed go to the program that the system has for them; others have a page in
the web UI, which shows HTML in a sandbox.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from standpipe.cli import options, parsers, terminal
from standpipe.errors import ArgumentError, StorageError
from standpipe.support.terminal_text import strip_controls

if TYPE_CHECKING:
    from standpipe.history.artifacts import LocatedArtifact
    from standpipe.history.run import Run

#: Kinds of files that their programs only show. SVG can have scripts.
_SHOWN_KINDS = ("image/", "audio/", "video/")
_SHOWN_TYPES = ("application/pdf", "text/plain")
_ACTIVE_TYPES = ("image/svg+xml",)

#: How long the opener may take to fail, in seconds: it may be the viewer itself, which stays.
_PATIENCE = 2.0

_CHUNK = 1024 * 1024


def main(arguments: Sequence[str]) -> int:
    """Open an artifact.

    Raises:
        NoSuchRun: if there is no such run.
        NoSuchArtifact: if the run has no such artifact, or several of the name.
        ArgumentError: if it cannot be printed: it is a folder, a binary file, or in a remote store.
        StorageError: if its file is missing or cannot be read, or nothing opens it.
    """
    args = make_parser().parse_intermixed_args(arguments)  # a name may follow the options
    from standpipe import local  # here and below: not needed for `--help`
    from standpipe.history.artifacts import find_artifact

    run = local.get_run(args.run, args.pipeline_root)
    located = find_artifact(run, "/".join(args.artifact))
    path = _path_of(located, run)
    if args.cat:
        _print_content(located, path, run.folder.parent)
    elif path is None or args.print or not _has_display():
        terminal.print_text(str(path or located.artifact.uri))
    elif _is_shown_only(path):
        _open(path)
        terminal.print_text(f"Opened {path}.")
    else:
        _point_to_page(located, run.id, run.folder.parent)
    return 0


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = parsers.new_parser(
        "open",
        "Open an artifact of a run. Images, sound, video, PDF, plain text and folders open in the program that the "
        "system has for them. Other files may contain code: their page in the web UI shows them in a sandbox. Without "
        "a display, the path is printed.",
        examples=(
            "standpipe open latest train/plot  # with the program that the system has for it",
            "standpipe open latest report  # the name of the output, if only one task has it",
            "standpipe open latest train metrics --cat  # print its text",
            "standpipe open latest model --print  # the path, for another program",
        ),
    )
    parsers.add_run(parser)
    parser.add_argument(
        "artifact",
        metavar="ARTIFACT",
        nargs="+",
        help="TASK/NAME, TASK NAME, or NAME if only one task has it; `standpipe artifacts RUN` lists them",
    )
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--print", action="store_true", help="print the path, and open nothing")
    output.add_argument("--cat", action="store_true", help="print the content")
    options.add_root(parser)
    return parser


def _path_of(located: LocatedArtifact, run: Run) -> Path | None:
    """Return the path of an artifact; None if it is in a remote store.

    Raises:
        StorageError: if there is nothing.
    """
    from standpipe.history.render import describe_absence  # not needed for `--help`, nor is the next
    from standpipe.support.shell_commands import standpipe_command

    artifact = located.artifact
    if artifact.exists is None:
        return None
    if not artifact.exists:
        command = standpipe_command("artifacts", run.folder.parent, run.id, "--json")
        raise StorageError(
            f"Artifact {located.reference} has no file ({describe_absence(artifact)}): expected it at {artifact.path}. "
            f"`{command}` prints its metadata."
        )
    return artifact.path


def _has_display() -> bool:
    from standpipe.support.displays import has_display  # not needed for `--help`

    return has_display()


def _is_shown_only(path: Path) -> bool:
    """Return whether the file at a path, wherever links lead, is of a kind that programs only show."""
    import mimetypes  # not needed for `--help`

    if path.is_dir():
        return True
    kind = mimetypes.guess_type(os.path.realpath(path))[0] or ""
    return (kind.startswith(_SHOWN_KINDS) or kind in _SHOWN_TYPES) and kind not in _ACTIVE_TYPES


def _open(path: Path) -> None:
    """Open a path with the program that the system has for it.

    Raises:
        StorageError: if that fails, or there is no opener.
    """
    import subprocess  # here and below: not needed for `--help`

    from standpipe.support.forking import start_process

    opener = "open" if sys.platform == "darwin" else "xdg-open"
    silent = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
    try:
        process = start_process([opener, os.path.realpath(path)], start_new_session=True, **silent)
        code = process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        process.returncode = code = 0  # it is the viewer; otherwise `subprocess` would warn that it has not ended
    except OSError as error:
        raise StorageError(
            f"{opener} cannot be started: {error.strerror}. Install it, or use --print, which prints the path {path}."
        ) from error
    if code:
        raise StorageError(f"{opener} cannot open {path} (exit code {code}). Use --print or --cat.")


def _point_to_page(located: LocatedArtifact, run: str, root: Path) -> None:
    """Print the address of an artifact's page in the web UI, which is started if it is not running."""
    from standpipe.runs.ui_server import find_or_start  # here and below: not needed for `--help`
    from standpipe.ui.rendering import link

    query = {"task": located.task, "output": located.output, "index": located.index}
    try:
        address = find_or_start(root).page(link("runs", run, "artifact", **query))
    except OSError as error:
        raise StorageError(
            f"The web UI, which shows {located.reference}, cannot be started: {error} Use --print, which prints the "
            "path."
        ) from error
    terminal.print_text(
        f"{located.reference} may contain code. Its page in the web UI shows it in a sandbox:\n\n    {address}\n\n"
        "--print prints the path, for a program that you trust with it."
    )


def _print_content(located: LocatedArtifact, path: Path | None, root: Path) -> None:
    """Print a file: as it is, or as text without commands on a terminal."""
    from standpipe.support.untrusted_files import open_below, open_regular  # not needed for `--help`

    if path is None:
        raise ArgumentError(
            f"Artifact {located.reference} is at {located.artifact.uri}: it is on no path of this machine."
        )
    if path.is_dir():
        raise ArgumentError(f"Artifact {located.reference} is a folder, which --cat cannot print: {path}.")
    try:
        descriptor = open_below(path, root) if path.is_relative_to(root) else open_regular(str(path))
        with open(descriptor, "rb") as file:
            first = file.read(_CHUNK)
            if sys.stdout.isatty() and b"\0" in first:
                raise ArgumentError(f"Artifact {located.reference} is a binary file: redirect the output to a file.")
            _copy(first, file)
    except BrokenPipeError:
        terminal.leave_output()
    except StorageError:
        raise
    except OSError as error:
        raise StorageError(f"Artifact {located.reference} cannot be read: {error.strerror} ({path}).") from error


def _copy(first: bytes, file: BinaryIO) -> None:
    import codecs  # not needed for `--help`

    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    part = first
    while part:
        if sys.stdout.isatty():
            sys.stdout.write(strip_controls(decoder.decode(part)))
        else:
            sys.stdout.buffer.write(part)
        part = file.read(_CHUNK)
    sys.stdout.flush()
