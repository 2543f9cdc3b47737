"""The shell commands that messages suggest."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence

from standpipe.model.refs import RunId


def standpipe_command(
    name: str, pipeline_root: str | os.PathLike[str], run: RunId, *arguments: str, flags: Sequence[str] = ()
) -> str:
    """Return a `standpipe` command for a run, quoted for a shell.

    >>> standpipe_command("rerun", "/my runs", "chain-1", "for-loop-1/2/train", flags=["--runner", "docker"])
    "standpipe rerun --runner docker --root '/my runs' chain-1 for-loop-1/2/train"

    Args:
        name: the name of the subcommand.
        pipeline_root: the pipeline root of the run.
        run: the id of the run.
        *arguments: further arguments, after the id.
        flags: flags that precede `--root`.
    """
    return shlex.join(("standpipe", name, *flags, "--root", os.fspath(pipeline_root), run, *arguments))
