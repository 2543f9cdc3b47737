"""`standpipe completion`: print the script that completes command lines in a shell, and answer what it asks for.

The script asks at each press of the Tab key, so that the answer must not need argparse, whose import takes longer than
all the rest. What the parsers say is in the file `shells/options.txt`, which `scripts/document-commands` writes.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False  # the import takes longer than all that is here
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

#: The shells that have a script.
SHELLS = ("bash", "zsh", "fish")

#: How a script asks what the last of some words may become.
_WORDS = "--words"


def main(arguments: Sequence[str]) -> int:
    """Print the script of a shell, or what a word may become: a line for each, with a description after a tab."""
    if arguments[:1] == [_WORDS]:
        from standpipe.cli.completion_words import complete  # only this needs it

        lines = complete(arguments[1:])
        text = "".join(f"{line}\n" for line in lines)
    else:
        args = make_parser().parse_args(arguments)
        path = os.path.join(os.path.dirname(__file__), "shells", f"standpipe.{args.shell}")
        with open(path, encoding="utf-8") as file:
            text = file.read()
    print(text, end="", flush=True)
    return 0


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    from standpipe.cli import parsers  # brings argparse, which a press of the Tab key cannot wait for

    parser = parsers.new_parser(
        "completion",
        "Print the script that completes commands, options, files, runs, tasks and the pipelines of scripts in a "
        "shell.",
        examples=(
            'eval "$(standpipe completion bash)"  # in ~/.bashrc',
            'eval "$(standpipe completion zsh)"  # in ~/.zshrc, after compinit',
            "standpipe completion fish > ~/.config/fish/completions/standpipe.fish",
        ),
    )
    parser.add_argument("shell", metavar="SHELL", choices=SHELLS, help="bash, zsh or fish")
    return parser
