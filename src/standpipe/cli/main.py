"""The entry point of the command line: it selects the command and returns its exit code."""

from __future__ import annotations

import os
import sys

from standpipe import __version__

TYPE_CHECKING = False  # the import takes longer than to answer `--help`
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: The commands and what they do. Each is the function `main` of the module with its name, imported when it is used.
COMMANDS = {
    "init": "create a first project: a pipeline, its tests, a workflow for CI",
    "run": "run a KFP script unchanged, or a pipeline of a script or a file",
    "watch": "run a script or a pipeline again whenever a file changes",
    "compile": "compile a pipeline or component of a script to YAML",
    "check": "find what would fail or differ on a cluster",
    "submit": "create a run of a pipeline on a KFP cluster",
    "graph": "show the tasks of a pipeline as text, Mermaid or SVG",
    "runs": "list the runs, newest first",
    "show": "show a run, or one of its tasks",
    "logs": "print the logs of a run, or of one of its tasks",
    "artifacts": "list the artifacts of a run",
    "open": "open an artifact, or print it or its path",
    "diff": "show what differs between two runs",
    "resume": "resume a run that failed, was cancelled or was killed",
    "rerun": "rerun one task of a run, under a debugger if requested",
    "pull": "bring a run of a KFP cluster into the run store",
    "report": "write the report of a run as one HTML file, JUnit XML or Markdown",
    "export": "write a run as events of OpenLineage",
    "ui": "show the runs in a browser",
    "cancel": "cancel a run that is in progress in another process",
    "delete": "delete runs, with their logs and artifacts",
    "prune": "delete old runs, unused environments and images",
    "du": "show what takes space on the disk",
    "doctor": "check what this machine has for runs, and what to do about the rest",
    "completion": "print the script that completes command lines in bash, zsh or fish",
}

_USAGE = """\
usage: standpipe COMMAND ...
       standpipe FILE [ARGUMENT ...]     the same as `standpipe run FILE ...`
"""
_DESCRIPTION = """\
Run Kubeflow pipelines on this machine, without a cluster.

options:
  -h, --help  show this help message and exit
  --version   show program's version number and exit
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code; the default command is `run`.

    Args:
        arguments: the arguments of `standpipe`; by default, those of this process.

    Raises:
        SystemExit: after `--help` or invalid options, as argparse does, and if a script raises it.
    """
    _open_missing_streams()
    try:
        code = _execute(list(sys.argv[1:] if arguments is None else arguments))
    except SystemExit:
        failure = _flush()
        if failure:
            return failure
        raise
    return _flush() or code


def _execute(args: list[str]) -> int:
    """Execute the command of a command line, report its error if it fails, and return the exit code.

    Raises:
        SystemExit: as `main`.
    """
    if args[:2] == ["dsl", "compile"]:  # as in `kfp dsl compile`
        del args[0]
    try:
        if not args or args[0].startswith("-"):
            return _answer_options(args)
        command = args.pop(0) if args[0] in COMMANDS else _choose_run(args[0])
        call: Callable[[list[str]], int] = __import__(f"standpipe.cli.{command}", fromlist=["main"]).main
        return call(args)
    except SystemExit:
        raise
    except BaseException as error:  # noqa: BLE001 - every uncaught error is reported here
        from standpipe.cli import failures  # here and below, to answer `--help` without these imports

        return failures.report(error)


def _open_missing_streams() -> None:
    """Open the null device for standard streams that are closed, as a file that is opened later would be taken for one.

    Python has None for such a stream, and gives the next file its number.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_RDWR)
            if descriptor != number:
                os.dup2(descriptor, number)
                os.close(descriptor)
            stream = open(number, "w" if number else "r", encoding="utf-8", closefd=False)  # noqa: SIM115 - it stays open
            setattr(sys, name, stream)


def _flush() -> int:
    """Write what is left of the output, and return the exit code if that fails: Python would show a traceback."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError) as error:
        from standpipe.cli import failures  # only a failure needs it

        return failures.report_output(error)
    return 0


def _choose_run(file: str) -> str:
    """Return the command that runs a file.

    Raises:
        ArgumentError: if there is no such file, and its name is similar to that of a command.
    """
    if "." not in file and not os.path.exists(file):
        from standpipe.errors import ArgumentError  # only a mistake needs it
        from standpipe.support.near_misses import close_names

        for close in close_names(file, COMMANDS):
            raise ArgumentError(
                f"Unknown command {file!r}: did you mean `standpipe {close}`? `standpipe --help` lists the commands."
            )
    return "run"


def _answer_options(args: list[str]) -> int:
    """Answer a command line without a command, without argparse, whose import takes half as long as Python's start.

    Raises:
        SystemExit: as argparse does, after an option.
    """
    if args[:1] == ["--version"]:
        from standpipe.model.kfp import KFP_VERSION  # costs time, and `--help` does without

        print(f"standpipe {__version__} (KFP {KFP_VERSION})")
    elif not args or args[0] in ("-h", "--help"):
        commands = "".join(f"  {name:<12}{does}\n" for name, does in COMMANDS.items())
        print(f"{_USAGE}\n{_DESCRIPTION}\ncommands:\n{commands}\n`standpipe COMMAND --help` describes a command.")
    else:
        from standpipe.support.near_misses import close_names  # only a mistake needs it

        close = "".join(f"; did you mean {each}?" for each in close_names(args[0], ("--help", "--version"))) or "."
        unknown = " ".join(args)
        sys.stderr.write(f"standpipe: error: unrecognized arguments: {unknown}{close} See `standpipe --help`.\n")
    if not args:
        return 2
    raise SystemExit(0 if args[0] in ("-h", "--help", "--version") else 2)
