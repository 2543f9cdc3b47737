"""`standpipe run`: run a KFP script unchanged, or a pipeline of a script or a file with arguments."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable, Sequence
from types import ModuleType

from standpipe.cli import arguments as inputs
from standpipe.cli import options as shared
from standpipe.cli import outputs, parsers
from standpipe.cli.current_code import split_arguments
from standpipe.cli.watched_files import note_files, reporting, write_report
from standpipe.errors import ArgumentError
from standpipe.model.layout import COMPILED_ENDINGS
from standpipe.runs.options import override_options

#: The flag that starts nothing.
_DRY_RUN = "--dry-run"

_EXPECTED = "a KFP script, a compiled pipeline, or a command of `standpipe --help`"


def main(arguments: Sequence[str]) -> int:
    """Run a script, which gets all arguments after it, or a pipeline.

    Raises:
        ArgumentError: if the target or the arguments are invalid.
        StandpipeError: as `local.run`, for a pipeline.
        BaseException: whatever a script raises.
    """
    with reporting():
        if arguments and not arguments[0].startswith("-") and is_script(arguments[0]):
            _refuse_dry_run(make_parser, *arguments)
            _notice_own_flags(*arguments)
            _run_script(arguments[0], arguments[1:])
            return 0
        options = parse(arguments, make_parser)
        if options.dry_run or not is_script(options.target):
            return _run_pipeline(options)
        if options.arg or options.args_file or options.json:
            raise ArgumentError(
                f"Invalid options for script {options.target}: --arg, --args-file and --json are for one pipeline. "
                f"Name it, as in {options.target}:NAME, or put the script's own options after its name."
            )
        if not _are_separated(arguments, options):
            _notice_own_flags(options.target, *options.arguments)
        with override_options(shared.make_overrides(options, default_runner=False)):
            _run_script(options.target, options.arguments)
        return 0


def parse(arguments: Sequence[str], make_parser: Callable[..., argparse.ArgumentParser]) -> argparse.Namespace:
    """Return the parsed arguments of a command that runs a target.

    After a script without the name of a pipeline, everything is an argument of the script, otherwise what follows `--`:
    the attribute `arguments` has them.

    Args:
        arguments: the arguments of the command.
        make_parser: returns its parser; with `of_script=False`, one that takes no arguments of a script.

    Raises:
        ArgumentError: if a script would get `--dry-run`, which it does not have.
    """
    options = make_parser().parse_args(arguments)
    if is_script(options.target):
        if not options.dry_run and not _are_separated(arguments, options):
            _refuse_dry_run(make_parser, options.target, *options.arguments)
        return options
    own, of_script = split_arguments(arguments)
    options = make_parser(of_script=False).parse_args(own)
    options.arguments = of_script
    return options


def is_script(target: str) -> bool:
    """Return whether a target is a script without the name of a pipeline in it."""
    if target.endswith(COMPILED_ENDINGS):
        return False
    if ":" not in target:
        return True
    from standpipe.cli import targets  # brings authoring, which `--help` does without

    return not targets.split(target)[1]


def make_parser(*, of_script: bool = True) -> argparse.ArgumentParser:
    """Return the parser of the command; for `of_script`, see `parse`."""
    return new_parser(
        "run",
        "Run a Python script that was written for the KFP SDK, unchanged, with all arguments after its name. Or run a "
        "pipeline or component, of a script or of a compiled file, and print its outputs as JSON.",
        examples=(
            "standpipe run train.py --epochs 3  # a script, with its own arguments",
            "standpipe run train.py:train -a rows=100 --cache  # one pipeline of a script",
            'standpipe run pipeline.yaml -a rows=100 -a \'columns=["a", "b"]\' -a data=./iris.csv',
            "standpipe run --cache train.py --epochs 3  # a script, with another option than in its local.init",
        ),
        usage="standpipe run [options] SCRIPT [ARGUMENT ...]\n       standpipe run TARGET [options] [-- ARGUMENT ...]",
        of_script=of_script,
    )


def new_parser(
    command: str, description: str, examples: Sequence[str], *, usage: str, of_script: bool
) -> argparse.ArgumentParser:
    """Return the parser of a command that runs a target; see `parse`, and `parsers.new_parser`."""
    parser = parsers.new_parser(command, description, examples, usage=usage)
    parsers.add_note(
        parser,
        "What a script passes to local.init are the defaults of the options. Arguments after `--` are those of the "
        "script that TARGET names.",
    )
    parser.add_argument(
        "target",
        metavar="TARGET",
        help="a script, one of its pipelines as SCRIPT:NAME, or a compiled pipeline or component: .yaml, .yml, .json",
    )
    if of_script:
        parser.add_argument(
            "arguments", nargs=argparse.REMAINDER, metavar="...", help="the arguments of a script, which runs unchanged"
        )
    parser.add_argument(
        _DRY_RUN,
        action="store_true",
        help="show what would run, what is cached and why the rest is not, and start nothing",
    )
    parsers.add_json(parser, "the dry run")
    inputs.add_flags(parser.add_argument_group("inputs of a pipeline"))
    shared.add_run_options(parser.add_argument_group("options of the run"), given_only=True)
    return parser


def _are_separated(arguments: Sequence[str], options: argparse.Namespace) -> bool:
    """Return whether `--` is before the arguments of a script, as in `standpipe run -- SCRIPT --dry-run`."""
    return "--" in arguments[: len(arguments) - len(options.arguments)]


def _refuse_dry_run(make_parser: Callable[..., argparse.ArgumentParser], script: str, *arguments: str) -> None:
    """Raise ArgumentError if a script would get `--dry-run` and does not have it: it would start its runs."""
    if _DRY_RUN not in arguments or _mentions(script, _DRY_RUN):
        return
    from standpipe.cli.script import find_pipelines  # only this mistake needs it

    command, names = make_parser().prog, find_pipelines(script) or ["NAME"]
    choice = " or ".join(f"`{command} {script}:{name} {_DRY_RUN}`" for name in names)
    raise ArgumentError(
        f"Invalid {_DRY_RUN} after {script}: the script gets what follows its name, and does not mention this, so it "
        f"would start its runs. Nothing was started. Use {choice}, with arguments of the script after `--`. If the "
        f"script has the option, use `{command} -- {script} {_DRY_RUN}`."
    )


def _notice_own_flags(script: str, *arguments: str) -> None:
    """Tell the user of flags of the command that the script gets, as they follow its name, if it does not have them."""
    flags = [each.partition("=")[0] for each in arguments if each.startswith("--")]
    if not flags:
        return
    known = {flag for action in make_parser()._actions for flag in action.option_strings}
    own = [flag for flag in flags if flag in known and not _mentions(script, flag)]
    if own:
        from standpipe.support.notices import warn  # rarely needed

        warn(
            f"{', '.join(own)} after {script}: the script gets what follows its name, and does not mention this. Write "
            f"options of standpipe before its name: standpipe run {own[0]} … {script}"
        )


def _mentions(script: str, flag: str) -> bool:
    """Return whether a script may have a flag: it has the name in it, with hyphens or with underscores."""
    name = flag.removeprefix("--")
    try:
        with open(script, encoding="utf-8", errors="replace") as file:
            source = file.read()
    except OSError:
        return True  # that is said when the script is loaded
    return name in source or name.replace("-", "_") in source


def _run_pipeline(options: argparse.Namespace) -> int:
    """Run a pipeline or component and print its outputs, or what it would do."""
    if options.json and not options.dry_run:
        raise ArgumentError("--json is for --dry-run. Without it, the outputs of a pipeline are JSON anyway.")
    from standpipe import local  # not needed for `--help`
    from standpipe.cli import targets
    from standpipe.dsl.base_component import get_backend

    with override_options(shared.make_overrides(options, default_runner=True)):
        component = targets.load(options.target, options.arguments, expected=_EXPECTED).component
        with get_backend().redact_messages(component):
            values = inputs.read_arguments(component, options.target, options.arg, options.args_file)
        note_files(inputs.list_files(values))
        write_report()  # also before a run that takes long
        inputs.check_payloads(values, options.arg, options.args_file)
        if options.dry_run:
            from standpipe.cli.dry_run import show_dry_run  # brings the records of history

            return show_dry_run(component, values, options.target, as_json=options.json)
        outputs.print_outputs(local.run(component, values, raise_on_error=True))
    return 0


def _run_script(path: str, arguments: Sequence[str]) -> None:
    from standpipe.cli import script  # here and below: brings the names of KFP, which only scripts need
    from standpipe.dsl.registry import count_uses

    before = count_uses()
    module = script.load(path, arguments, expected=_EXPECTED)
    if count_uses() == before and not _has_threads():
        _notice_definitions(module, path, arguments)


def _has_threads() -> bool:
    """Return whether a thread of the script is left, for which this process waits."""
    import threading  # costs time, and most scripts start a run

    return any(not each.daemon for each in threading.enumerate() if each is not threading.main_thread())


def _notice_definitions(module: ModuleType, path: str, arguments: Sequence[str]) -> None:
    """Tell the user how to run the pipelines of a script that has only defined them."""
    from standpipe.cli import targets  # a script that has imported `kfp` has brought what it brings
    from standpipe.dsl import GraphComponent

    components = targets.all_components(module)
    names = [name for name, each in components.items() if isinstance(each, GraphComponent)] or [*components]
    if names:
        from standpipe.support.notices import warn  # rarely needed

        own = ["--", *arguments] if arguments else []
        commands = " or ".join(f"`{shlex.join(['standpipe', 'run', f'{path}:{name}', *own])}`" for name in names)
        warn(f"{path} has started no run: it only defines what can be run. Use {commands}.")
