"""A KFP script in this process, with Standpipe in the place of the KFP SDK."""

from __future__ import annotations

import builtins
import os
import sys
from collections.abc import Sequence
from importlib.machinery import SourceFileLoader
from types import ModuleType

from standpipe.errors import ArgumentError
from standpipe.kfp_compat.modules import install_as_kfp


def load(path: str, arguments: Sequence[str], name: str = "__main__") -> ModuleType:
    """Runs a script as `python path arguments…` would have run it, except that `kfp` is Standpipe.

    What it needs of the process stays changed, because threads and exit handlers of the script outlive this call:
    `sys.argv`, `sys.path` and the module of that name.

    Raises:
        ArgumentError: if there is no such file.
        BaseException: whatever the script raises, `SystemExit` too, and SyntaxError.
    """
    file = os.path.abspath(path)
    try:
        with open(file, "rb") as opened:
            source = opened.read()
    except OSError as error:
        raise ArgumentError(
            f"{path} cannot be run: {error.strerror}. Name a KFP script or a compiled pipeline, "
            "or a command that `standpipe --help` lists."
        ) from error
    module = ModuleType(name)
    module.__dict__.update(__file__=file, __loader__=SourceFileLoader(name, file), __builtins__=builtins)
    if name == "__main__":
        module.__dict__["__cached__"] = None
    sys.modules[name] = module
    sys.argv = [path, *arguments]
    if not (sys.flags.isolated or getattr(sys.flags, "safe_path", False)):  # then nothing stands there to be replaced
        sys.path[0] = os.path.dirname(os.path.realpath(file))
    install_as_kfp()
    exec(compile(source, file, "exec", dont_inherit=True), module.__dict__)  # noqa: S102 - the user asked for it
    return module
