"""Embed files and folders in the program of a component."""

from __future__ import annotations

import errno
import inspect
import io
import os
import stat
from collections.abc import Iterator

from standpipe.dsl.tracing.source_locations import warn_caller
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
    with tarfile.open(fileobj=buffer, mode="w", dereference=True) as tar:
        root = os.path.realpath(path)
        for file, name in _list_files(root, os.path.basename(path) if os.path.isfile(path) else ".", root):
            tar.add(file, name, recursive=False)
    compressed = gzip.compress(buffer.getvalue(), mtime=0)  # so that equal content makes an equal component
    if len(compressed) > _LARGE_ARCHIVE_BYTES:
        warn_caller(
            f"Embedded artifact archive is large: {path} adds {len(compressed) / 2**20:.1f} MiB to the component. "
            "Consider an image that contains it."
        )
    return base64.b64encode(compressed).decode("ascii")


def _list_files(path: str, name: str, root: str) -> Iterator[tuple[str, str]]:
    """Yield the files and folders to embed, with their names in the archive, links as what they lead to.

    The rules are those of the KFP SDK (`_safe_add_to_tar` in `kfp/dsl/component_factory.py`, kubeflow/pipelines #13554,
    August 2026). Without them, a link would be embedded as such and lead to nothing where the component runs, or to a
    file that the author did not mean to ship.

    Args:
        path: the file or folder.
        name: its name in the archive.
        root: what is embedded as a whole, without links.

    Raises:
        AuthoringError: if a link leads to nothing, to itself, to a folder or out of the embedded folder, or if a file
            is neither a regular file nor a folder.
    """
    target = _follow(path)
    mode = os.stat(target).st_mode
    if stat.S_ISDIR(mode):
        if path != target:
            raise AuthoringError(
                f"embedded_artifact_path: {path} is a link to the folder {target}. Directory symlinks are not "
                "supported: replace it by the folder."
            )
        yield path, name
        for child in sorted(os.listdir(path)):
            yield from _list_files(os.path.join(path, child), f"{name}/{child}", root)
    elif not stat.S_ISREG(mode):
        raise AuthoringError(f"embedded_artifact_path: {path} is neither a file nor a folder. Remove it.")
    elif target != root and os.path.commonpath([target, root]) != root:
        raise AuthoringError(
            f"embedded_artifact_path: the link {path} escapes the embedded folder: it leads to {target}. Replace it "
            "by a copy of that file."
        )
    else:
        yield target, name


def _follow(path: str) -> str:
    """Return what a path leads to, without links."""
    try:
        return os.path.realpath(path, strict=True)
    except OSError as error:
        if error.errno == errno.ELOOP:
            problem = "is part of a symlink cycle"
        elif error.errno in (errno.ENOENT, errno.ENOTDIR):
            problem = "is a dangling symlink"
        else:
            problem = f"cannot be read ({error.strerror})"
        raise AuthoringError(f"embedded_artifact_path: {path} {problem}. Repair or remove it.") from error
