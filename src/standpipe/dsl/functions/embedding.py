"""Embed files and folders in the program of a component."""

from __future__ import annotations

import inspect
import io
import os
import warnings

from standpipe.errors import AuthoringError
from standpipe.model.frozen import frozen

_LARGE_ARCHIVE_BYTES = 1024 * 1024


@frozen
class Notebook:
    """An embedded notebook: the file or folder that is embedded, and the path of the notebook in it.

    It can be used like other embedded paths. The program of the component also gets the code that executes it.
    """

    path: str
    file: str

    def __fspath__(self) -> str:
        return self.path


def unpack_code(path: str | os.PathLike[str]) -> str:
    """Return code that unpacks a file or folder where the component runs and makes its modules importable.

    The names that it sets are KFP's. Its executor reads them to pass `EmbeddedInput` arguments.
    """
    if not os.path.exists(path):
        raise AuthoringError(
            f"embedded_artifact_path={os.fspath(path)!r} does not exist. Pass the path of a file or folder."
        )
    archive = _archive(path)
    file = path.file if isinstance(path, Notebook) else os.path.basename(path) if os.path.isfile(path) else ""
    lines = [
        f"__KFP_EMBEDDED_ARCHIVE_B64 = '{archive}'",
        "import base64 as _b64, io as _io, os as _os, sys as _sys, tarfile as _tarfile, tempfile as _tempfile",
        "_embedded = _tempfile.TemporaryDirectory()",
        "__KFP_EMBEDDED_ASSET_DIR = _embedded.name",
        "with _tarfile.open(fileobj=_io.BytesIO(_b64.b64decode(__KFP_EMBEDDED_ARCHIVE_B64)), mode='r:gz') as _tar:",
        "    _safe = {'filter': 'data'} if hasattr(_tarfile, 'data_filter') else {}",
        "    _tar.extractall(__KFP_EMBEDDED_ASSET_DIR, **_safe)",
        "_sys.path.insert(0, __KFP_EMBEDDED_ASSET_DIR)",
    ]
    if file:
        lines.append(f"__KFP_EMBEDDED_ASSET_FILE = _os.path.join(__KFP_EMBEDDED_ASSET_DIR, {file!r})")
    if isinstance(path, Notebook):
        lines.append(_notebook_code(path))
    return "\n".join(lines)


def _notebook_code(notebook: Notebook) -> str:
    """Return code that makes `dsl.run_notebook` execute an unpacked notebook."""
    from standpipe.dsl.functions import notebook_program  # only few components have notebooks

    call = f"_run_notebook(__KFP_EMBEDDED_ASSET_DIR, {notebook.file!r}, parameters)"
    return f"\n{inspect.getsource(notebook_program)}\n\ndsl.run_notebook = lambda **parameters: {call}"


def _archive(path: str | os.PathLike[str]) -> str:
    import base64  # these three take 10 ms to import, and only few components embed files
    import gzip
    import tarfile

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.add(path, arcname=os.path.basename(path) if os.path.isfile(path) else ".")
    compressed = gzip.compress(buffer.getvalue(), mtime=0)  # so that equal content makes an equal component
    if len(compressed) > _LARGE_ARCHIVE_BYTES:
        warnings.warn(
            f"{path} adds {len(compressed) / 2**20:.1f} MiB to the component. Consider an image that contains it.",
            stacklevel=6,
        )
    return base64.b64encode(compressed).decode("ascii")
