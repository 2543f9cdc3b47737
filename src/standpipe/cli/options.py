"""Flags that several commands share: the options of a run, and where runs are."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from standpipe.runners import api as runners
from standpipe.runs.options import Flag, Option, all_options

if TYPE_CHECKING:
    from argparse import _ActionsContainer


def add_root(parser: _ActionsContainer) -> None:
    """Add the flag for the folder of the runs."""
    for option in all_options():
        if option.name == "pipeline_root" and option.flag:
            _add_flag(parser, option, option.flag)


def add_run_options(parser: _ActionsContainer) -> None:
    """Add the flags of the options of a run."""
    parser.add_argument("--runner", choices=runners.flags(), default=runners.default_flag(), help="where tasks run")
    parser.add_argument(
        "--no-venv", action="store_true", help="run tasks in this environment instead of ones of their own"
    )
    parser.add_argument(
        "--no-init-containers",
        action="store_true",
        help="run tasks without their init containers and sidecars, which only containers can have",
    )
    parser.add_argument(
        "--no-warm-imports",
        action="store_true",
        help="let each task import its packages itself, instead of in a process that it is then a copy of",
    )
    for option in all_options():
        if option.flag:
            _add_flag(parser, option, option.flag)


def run_options(namespace: argparse.Namespace) -> dict[str, Any]:
    """Return the options of `local.run` from parsed flags.

    Raises:
        ArgumentError: if two of them contradict each other.
    """
    runner = runners.from_command_line(
        namespace.runner,
        no_venv=namespace.no_venv,
        no_init_containers=namespace.no_init_containers,
        no_warm_imports=namespace.no_warm_imports,
    )
    values = {option.name: getattr(namespace, option.name) for option in all_options() if option.flag}
    return {"runner": runner, "raise_on_error": True, **values}


def _add_flag(parser: _ActionsContainer, option: Option, flag: Flag) -> None:
    settings: dict[str, Any] = {"dest": option.name, "default": option.default, "help": _help(option, flag)}
    if isinstance(option.default, bool):
        settings["action"] = "store_true"
    elif flag.repeated:
        settings.update(action="append", default=[], metavar=flag.metavar)
    else:
        settings.update(type=flag.parse, choices=flag.choices or None, metavar=flag.metavar or None)
    parser.add_argument(*flag.names, **settings)


def _help(option: Option, flag: Flag) -> str:
    text = flag.help or option.help.replace("`", "").rstrip(".")
    text = text[0].lower() + text[1:].replace("%", "%%")
    if flag.repeated:
        return f"{text}; may be repeated"
    return text if option.default in (None, False) else f"{text} (default: %(default)s)"
