"""The parsers of all commands: help with examples, suggestions for near misses, and the arguments that they share."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from standpipe.support.near_misses import close_names

#: Where the explanation of an example begins, as in a shell.
_COMMENT = "  # "

#: The length of the longest command line that others are aligned with.
_WIDEST = 56


def new_parser(
    command: str, description: str, examples: Sequence[str] = (), *, usage: str | None = None
) -> argparse.ArgumentParser:
    """Return the parser of a command.

    Args:
        command: its name, without `standpipe`.
        description: what it does, in sentences.
        examples: command lines to show in the help, such as `standpipe runs --json  # for a program`.
        usage: the usage, if argparse does not find it; it begins with `standpipe`.
    """
    parser = _Parser(
        f"standpipe {command}",
        usage=usage,
        description=description,
        formatter_class=_Formatter,
        allow_abbrev=False,
    )
    if examples:
        parser.epilog = "\n".join(["examples:", *_align(examples)])
    return parser


def add_note(parser: argparse.ArgumentParser, text: str) -> None:
    """Add a sentence to the help, above the examples."""
    parser.epilog = f"{text}\n\n{parser.epilog}" if parser.epilog else text


def add_json(parser: argparse._ActionsContainer, what: str = "one document") -> None:
    """Add the flag for programs that read the output.

    Args:
        parser: the parser or a group of it.
        what: what is printed, such as `a list`.
    """
    parser.add_argument("--json", action="store_true", help=f"print {what} as JSON, for programs")


def add_run(parser: argparse._ActionsContainer, name: str = "run", **settings: Any) -> None:
    """Add the argument that names a run.

    Args:
        parser: the parser or a group of it.
        name: the name of the attribute.
        settings: other settings of the argument, such as `nargs`.
    """
    text = "the id of a run, a unique beginning of it, the name of a pipeline, or `latest`; the last two are not reruns"
    parser.add_argument(name, **{"metavar": "RUN", "help": text, **settings})


def whole_number(text: str) -> int:
    """Return the number that an option has as its value.

    Raises:
        argparse.ArgumentTypeError: if it is none.
    """
    try:
        return int(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected a whole number, got {text!r}") from error


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line that says what to do."""

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Return the parsed arguments, and suggest what unknown options may stand for."""
        namespace, unknown = self.parse_known_args(args, namespace)
        self._refuse(unknown)
        return namespace

    def parse_intermixed_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Return the parsed arguments as `parse_args` does; optional arguments may follow the options, too."""
        namespace, unknown = self.parse_known_intermixed_args(args, namespace)
        self._refuse(unknown)
        return namespace

    def _refuse(self, unknown: Sequence[str]) -> None:
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}{self._suggest_options(unknown)}")

    def _suggest_options(self, unknown: Iterable[str]) -> str:
        names = (each.partition("=")[0] for each in unknown if each.startswith("-"))
        visible = [
            name
            for name, action in self._option_string_actions.items()
            if name.startswith("--") and action.help != argparse.SUPPRESS
        ]
        close = dict.fromkeys(close for name in names for close in close_names(name, visible))
        return f"; did you mean {' and '.join(close)}?" if close else "."

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Suggest the choice that a value may stand for."""
        if action.choices is None or value in action.choices:
            return
        choices = [str(choice) for choice in action.choices]
        close = next((f"; did you mean {each}?" for each in close_names(str(value), choices)), ".")
        raise argparse.ArgumentError(action, f"invalid choice: {value!r}{close} Choose from {', '.join(choices)}.")

    def error(self, message: str) -> NoReturn:
        """Write one line to stderr, and exit."""
        message = message.removesuffix(", ...")  # a rest of arguments that may be empty is not required
        end = "" if message.endswith((".", "?")) else "."
        sys.stderr.write(f"{self.prog}: error: {message}{end} See `{self.prog} --help`.\n")
        self.exit(2)


class _Formatter(argparse.HelpFormatter):
    """The format of help texts: paragraphs are filled, and indented lines stay as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        fill = super()._fill_text
        return "\n".join(line if line[:1] in ("", " ") else fill(line, width, indent) for line in text.splitlines())


def _align(examples: Sequence[str]) -> Iterable[str]:
    """Yield the lines of examples, with the explanations of short ones below each other."""
    parts = [example.partition(_COMMENT) for example in examples]
    width = max((len(command) for command, _, text in parts if text and len(command) <= _WIDEST), default=0)
    return (f"  {command:<{width}}{mark}{text}".rstrip() for command, mark, text in parts)
