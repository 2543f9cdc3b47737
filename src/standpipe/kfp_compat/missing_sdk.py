"""What `from kfp import dsl` says where the KFP SDK is not installed and nobody has called `install_as_kfp`.

`kfp-pipeline-spec`, a dependency of Standpipe, leaves a namespace package `kfp`, so Python's own error would be that
`dsl` cannot be imported from it. The modules in `src/kfp` belong to the same namespace package. Each has the name of a
package of the SDK, and the SDK comes first: Python prefers a folder `kfp/dsl` with an `__init__.py` to a file
`kfp/dsl.py` beside it, and a package `kfp` in any folder of `sys.path` to a namespace package. So they never replace
the SDK, and no file belongs to two distributions, in whatever order they are installed and uninstalled.

The alternatives do harm. A `kfp/__init__.py` is also a file of the SDK. A `kfp.py` hides `kfp-pipeline-spec` from an
SDK in another folder. A `.pth` file costs each start of Python.

What is left is an `import kfp` without any import from it: `kfp.dsl` is then an AttributeError of Python.
"""

from __future__ import annotations

import shlex
import sys


def make_import_error(module: str) -> ModuleNotFoundError:
    """Return the error for the import of a module of the KFP SDK, which is not installed.

    Args:
        module: the name of the module, such as `kfp.dsl`.
    """
    kfp = sys.modules["kfp"]
    if getattr(kfp, "__file__", None) or hasattr(kfp, "__standpipe__"):  # an SDK without this module, or a task
        return ModuleNotFoundError(f"No module named {module!r}", name=module)
    program = sys.modules["__main__"]
    is_script = getattr(program, "__spec__", None) is None and sys.argv[0].endswith(".py")
    command = shlex.join(sys.argv) if is_script else "SCRIPT.py"
    message = (
        f"{module} belongs to the KFP SDK, which is not installed in this environment. Standpipe is installed, and "
        f"runs scripts for the SDK unchanged. Type\n\n    standpipe run {command}\n\n"
        "or, in a notebook or a test, put this before the first import of kfp:\n\n"
        "    import standpipe\n    standpipe.install_as_kfp()\n\n"
        "or import from Standpipe, as in `from standpipe import dsl, local`. To use the SDK instead: `pip install kfp`."
    )
    return ModuleNotFoundError(message, name="kfp")  # with the name of the module, `from kfp import …` would hide it
