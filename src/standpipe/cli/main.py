"""The command line: which command is meant, and how it ends."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from standpipe import __version__
from standpipe.cli import failures
from standpipe.model.kfp import KFP_VERSION

#: The commands and what they do. Each is the function `main` of the module of its name, imported when it is called.
COMMANDS = {
    "run": "run a KFP script unchanged, or a compiled pipeline",
    "compile": "compile a pipeline or component of a script to YAML",
    "runs": "list the runs, the newest first",
    "show": "show a run, or one of its tasks",
    "resume": "let a run go on that failed, was stopped or was killed",
    "rerun": "run one task of a run again, under a debugger if asked",
    "cancel": "ask a run to stop that another process is at",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command and returns its exit code; without the name of a command, `run` is meant.

    Args:
        arguments: what stands behind `standpipe` on the command line; by default, what stands there.

    Raises:
        SystemExit: after `--help` and wrong options, as argparse does, and where a script ends so.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0].startswith("-"):
        parser = _parser()
        parser.parse_args(given)
        parser.print_help()
        return 2
    command = given.pop(0) if given[0] in COMMANDS else "run"
    try:
        call: Callable[[list[str]], int] = import_module(f"standpipe.cli.{command}").main
        return call(given)
    except SystemExit:
        raise
    except BaseException as error:  # noqa: BLE001 - this is where every error ends
        return failures.report(error)


def _parser() -> argparse.ArgumentParser:
    commands = "\n".join(f"  {name:<9}{does}" for name, does in COMMANDS.items())
    parser = argparse.ArgumentParser(
        "standpipe",
        usage="standpipe COMMAND ...\n       standpipe FILE [ARGUMENT ...]     the same as `standpipe run FILE ...`",
        description="Runs Kubeflow pipelines where there is no cluster.",
        epilog=f"commands:\n{commands}\n\n`standpipe COMMAND --help` says more about each.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"standpipe {__version__} (KFP {KFP_VERSION})")
    return parser
