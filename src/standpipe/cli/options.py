"""Flags that several commands share: the options of a run, and where runs are."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from standpipe.runners import api as runners
from standpipe.runs.options import Flag, Option, Overrides, RunOptions, all_options

if TYPE_CHECKING:
    from argparse import _ActionsContainer
    from collections.abc import Mapping

    from standpipe.runners.api import LocalRunner


def add_root(parser: _ActionsContainer) -> None:
    """Add the flag for the folder of the runs."""
    for option in all_options():
        if option.name == "pipeline_root" and option.flag:
            _add_flag(parser, option, option.flag)


def add_store_credentials(parser: _ActionsContainer) -> None:
    """Add the flag for credentials of object stores that are in secrets of a cluster."""
    parser.add_argument(
        "--kubernetes",
        metavar="PATH",
        help="a YAML file or a folder with secrets and the config map kfp-launcher, if the credentials of the object "
        "store are in these and not in the environment",
    )


def add_run_options(parser: _ActionsContainer, *, given_only: bool = False) -> None:
    """Add the flags of the options of a run.

    Args:
        parser: the parser or a group of it.
        given_only: whether only the flags that are passed become attributes, for `make_overrides`. Those of options
            that are false by default can then be negated, as in `--no-cache`.
    """
    _add_runner_flags(parser, given_only=given_only)
    for option in all_options():
        if option.flag:
            _add_flag(parser, option, option.flag, given_only=given_only)


def run_options(namespace: argparse.Namespace) -> dict[str, Any]:
    """Return the options of `local.run` from parsed flags.

    Raises:
        ArgumentError: if two of them contradict each other.
    """
    values = {option.name: getattr(namespace, option.name) for option in all_options() if option.flag}
    return {"runner": _make_runner(vars(namespace)), "raise_on_error": True, **values}


def make_overrides(namespace: argparse.Namespace, *, default_runner: bool) -> Overrides:
    """Return the function that lets the flags that were passed replace what a script sets; see `runs.options`.

    Args:
        namespace: the flags, of a parser with `given_only`.
        default_runner: whether a script that sets no runner gets the default one.

    Raises:
        ArgumentError: if flags contradict each other; from the function, if they contradict the script's runner.
    """
    flags = vars(namespace)
    if "runner" in flags:
        _choose_runner(flags, None)  # before the script is imported

    def overrides(options: RunOptions | None) -> dict[str, Any]:
        values = {option.name: flags[option.name] for option in all_options() if option.name in flags and option.flag}
        if "secret_env" in values and options is not None:
            values["secret_env"] = [*options.secret_env, *values["secret_env"]]  # what was secret stays so
        runner = _choose_runner(flags, options.runner if options else None)
        if runner is None and options is None and default_runner:
            runner = _make_runner({})
        return values if runner is None else {"runner": runner, **values}

    return overrides


# --- the runner -------------------------------------------------------------------------------------------------------

#: The flags of runners that have no value, as attributes of a namespace, with their help.
_RUNNER_FLAGS = {
    "no_venv": "run tasks in this environment instead of ones of their own, and install missing packages into it",
    "no_init_containers": "run tasks without their init containers and sidecars, which only containers can have",
    "no_warm_imports": "let each task import its packages itself, instead of in a process that it is then a copy of",
}


def _add_runner_flags(parser: _ActionsContainer, *, given_only: bool) -> None:
    default, off = (argparse.SUPPRESS, argparse.SUPPRESS) if given_only else (runners.default_flag(), False)
    parser.add_argument("--runner", choices=runners.flags(), default=default, help="where tasks run")
    for name, text in _RUNNER_FLAGS.items():
        parser.add_argument(f"--{name.replace('_', '-')}", action="store_true", default=off, help=text)
    parser.add_argument(
        "--runner-option",
        action="append",
        type=_parse_option,
        metavar="NAME=VALUE",
        default=argparse.SUPPRESS,
        help="set an argument of the runner, such as address of --runner ray; may be repeated",
    )


def _parse_option(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator or not name or not value:
        raise argparse.ArgumentTypeError(f"expected NAME=VALUE, got {text!r}")
    return name, value


def _make_runner(flags: Mapping[str, Any]) -> LocalRunner:
    settings: dict[str, bool] = {name: flags.get(name, False) for name in _RUNNER_FLAGS}
    options = dict(flags.get("runner_option", ()))
    return runners.from_command_line(flags.get("runner") or runners.default_flag(), **settings, options=options)


def _choose_runner(flags: Mapping[str, Any], current: LocalRunner | None) -> LocalRunner | None:
    """Return the runner that flags ask for; None if the script's own one is what they ask for.

    Of a runner of the same kind, the settings that no flag names stay.
    """
    chosen = {name: flags[name] for name in ("runner", "runner_option", *_RUNNER_FLAGS) if name in flags}
    kind = runners.RUNNERS.get(type(current).__name__)
    if not chosen or current is None or kind is None or chosen.get("runner", kind.flag) != kind.flag:
        return _make_runner(chosen) if chosen else None
    if chosen.keys() == {"runner"}:
        return None
    parser = argparse.ArgumentParser()
    _add_runner_flags(parser, given_only=True)
    before = vars(parser.parse_args(current.command_options))
    options = [*before.get("runner_option", ()), *chosen.get("runner_option", ())]
    return _make_runner({**before, **chosen, "runner_option": options})


# --- flags ------------------------------------------------------------------------------------------------------------


def _add_flag(parser: _ActionsContainer, option: Option, flag: Flag, *, given_only: bool = False) -> None:
    settings: dict[str, Any] = {"dest": option.name, "help": _help(option, flag)}
    settings["default"] = argparse.SUPPRESS if given_only else option.default
    if isinstance(option.default, bool):
        settings["action"] = argparse.BooleanOptionalAction if given_only else "store_true"
    elif flag.repeated:
        settings.update(action="append", metavar=flag.metavar)
        settings["default"] = argparse.SUPPRESS if given_only else []
    else:
        settings.update(type=flag.parse, choices=flag.choices or None, metavar=flag.metavar or None)
    parser.add_argument(*flag.names, **settings)


def _help(option: Option, flag: Flag) -> str:
    text = flag.help or option.help.replace("`", "").rstrip(".")
    text = text[0].lower() + text[1:].replace("%", "%%")
    if flag.repeated:
        return f"{text}; may be repeated"
    return text if option.default in (None, False) else f"{text} (default: {option.default})"
