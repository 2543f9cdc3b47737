"""Commands of Standpipe, as messages tell people to type them."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence

from standpipe.model.refs import RunId


def command(
    name: str, pipeline_root: str | os.PathLike[str], run: RunId, *arguments: str, how: Sequence[str] = ()
) -> str:
    """A command for a run, to be typed into a shell.

    >>> command("rerun", "/my runs", "chain-1", "loop/2/train", how=["--runner", "docker"])
    "standpipe rerun --runner docker --root '/my runs' chain-1 loop/2/train"
    """
    return shlex.join(("standpipe", name, *how, "--root", os.fspath(pipeline_root), run, *arguments))
