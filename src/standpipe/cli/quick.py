"""The arguments of a command that shows run history, as far as they are simple.

`argparse` takes longer than the rest of such a command, so it is left to the other arguments and to all mistakes.
"""

from __future__ import annotations

TYPE_CHECKING = False  # the import takes longer than all that is here
if TYPE_CHECKING:
    from collections.abc import Sequence

#: The default of the option `pipeline_root`, and its flags; `runs.options` has them, too.
DEFAULT_ROOT = "./local_outputs"
ROOT_FLAGS = ("--root", "--pipeline-root")


def find_root(arguments: Sequence[str]) -> str:
    """Return the pipeline root that arguments name if they name nothing else; empty if `argparse` has to read them.

    >>> find_root([]), find_root(["--root", "runs"]), find_root(["--root=runs"]), find_root(["--json"])
    ('./local_outputs', 'runs', 'runs', '')
    """
    if not arguments:
        return DEFAULT_ROOT
    flag, separator, value = arguments[0].partition("=")
    values = [value] if separator else [*arguments[1:2]]
    is_simple = flag in ROOT_FLAGS and len(arguments) == (1 if separator else 2) and not values[0].startswith("-")
    return values[0] if is_simple else ""
