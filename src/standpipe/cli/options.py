"""Options that several commands share: which run is meant, and how tasks are run."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from standpipe.runners import api as runners
from standpipe.runs.options import MAX_PARALLEL, RESOURCE_POLICIES

if TYPE_CHECKING:
    from argparse import _ActionsContainer


def add_root(parser: _ActionsContainer) -> None:
    """Adds the option that says where runs are kept."""
    parser.add_argument(
        *("--root", "--pipeline-root"),
        dest="pipeline_root",
        metavar="FOLDER",
        default="./local_outputs",
        help="where runs are kept (default: %(default)s)",
    )


def add_session(parser: _ActionsContainer) -> None:
    """Adds the options that say where and how tasks run."""
    parser.add_argument("--runner", choices=runners.flags(), default=runners.default_flag(), help="where tasks run")
    parser.add_argument(
        "--no-venv", action="store_true", help="run tasks in this environment instead of ones of their own"
    )
    add_root(parser)
    parser.add_argument("--workspace-root", metavar="FOLDER", help="the folder that tasks see as their workspace")
    parser.add_argument(
        "--kubernetes", metavar="PATH", help="what secrets, config maps and volumes hold: a YAML file or a folder"
    )
    parser.add_argument(
        "--max-parallel", metavar="NUMBER", type=int, default=MAX_PARALLEL, help="how many tasks run at once"
    )
    parser.add_argument("--cache", action="store_true", help="take the outputs of equal work from earlier runs")
    parser.add_argument(
        "--resources", choices=RESOURCE_POLICIES, default="clamp", help="for tasks that ask for more than there is"
    )
    parser.add_argument(
        "--secret", action="append", default=[], metavar="NAME", help="a variable whose value is kept out of all logs"
    )
    parser.add_argument("--quiet", action="store_true", help="show no progress")


def session(options: argparse.Namespace) -> dict[str, Any]:
    """The options of `local.run` that were given.

    Raises:
        ArgumentError: if two of them contradict each other.
    """
    return {
        "runner": runners.from_command_line(options.runner, no_venv=options.no_venv),
        "pipeline_root": options.pipeline_root,
        "workspace_root": options.workspace_root,
        "kubernetes": options.kubernetes,
        "max_parallel": options.max_parallel,
        "enable_caching": options.cache,
        "resources": options.resources,
        "secrets": options.secret,
        "quiet": options.quiet,
        "raise_on_error": True,
    }
