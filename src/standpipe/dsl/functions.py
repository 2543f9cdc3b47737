"""The source of lightweight components: what KFP ships of a function to the place where it runs."""

from __future__ import annotations

import ast
import inspect
import io
import textwrap
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from standpipe.errors import AuthoringError, AuthoringTypeError
from standpipe.inside import annotations as kfp_annotations
from standpipe.inside import artifacts

_IMPORTS = ("import kfp", "from kfp import dsl", "from kfp.dsl import *", "from typing import *")
_LARGE_ARCHIVE_BYTES = 1024 * 1024


def program_of(
    function: Callable[..., Any], additional: Sequence[Callable[..., Any]], embedded: Path | None
) -> tuple[str, dict[str, str]]:
    """The text of a program that defines the function and all that it needs, and the sources of its artifact classes.

    Raises:
        AuthoringError: if a source cannot be had, or `embedded` does not exist.
    """
    classes = dict(_own_artifact_classes(function))
    imports = "\n".join((*_IMPORTS, *dict.fromkeys(_import_of(function, cls, name) for name, cls in classes.items())))
    helpers = "".join("\n\n" + source_of(helper) for helper in additional)
    if embedded:
        helpers += f"\n\n{_unpacking(embedded)}\n"
    sources = {f"{cls.__module__}.{cls.__qualname__}": _class_source(cls) for cls in classes.values()}
    return f"\n{imports}{helpers}\n\n{source_of(function)}\n", sources


def source_of(function: Callable[..., Any]) -> str:
    """The source of a function without its decorators and its indentation.

    Raises:
        AuthoringError: if Python cannot find it, as for functions that were typed into an interpreter.
    """
    try:
        text = textwrap.dedent(inspect.getsource(function))
    except (OSError, TypeError) as error:
        raise AuthoringError(
            f"The source of the function {getattr(function, '__name__', function)!r} cannot be found ({error}). "
            "A component is shipped as source: define it with `def` in a file or a notebook cell."
        ) from error
    lines = text.split("\n")
    start = next((number for number, line in enumerate(lines) if line.startswith("def ")), None)
    if start is None:
        raise AuthoringError(
            f"The function {function.__name__!r} is not defined with `def`, so its source cannot be shipped."
        )
    return "\n".join(lines[start:])


def _own_artifact_classes(function: Callable[..., Any]) -> Iterator[tuple[str, type]]:
    """The artifact classes in the signature that are not KFP's, by argument; returned ones by `return` or field."""
    hints = dict(kfp_annotations.annotations_of(function))
    returned = hints.pop("return", None)
    fields = (
        kfp_annotations.annotations_of(returned) if kfp_annotations.is_named_tuple(returned) else {"return": returned}
    )
    for name, hint in (*hints.items(), *fields.items()):
        cls = kfp_annotations.artifact_class(hint)
        if cls is not None and cls.__module__ != artifacts.__name__:
            yield name, cls


def _import_of(function: Callable[..., Any], cls: type, name: str) -> str:
    """The line that makes an artifact class known under the name that the function's signature has for it."""
    if "<locals>" in cls.__qualname__:
        return "\n" + _class_source(cls)  # nothing can import it: its source goes along
    qualified = f"{cls.__module__}.{cls.__qualname__}".split(".")
    base = _base_symbol(function, name)
    if base not in qualified:
        raise AuthoringTypeError(
            f"Component {function.__name__!r}: the artifact class {'.'.join(qualified)} is called {base!r} in the "
            "signature. Use the name under which it is defined: aliases cannot be imported where the component runs."
        )
    path = qualified[: qualified.index(base) + 1]
    return f"from {'.'.join(path[:-1])} import {path[-1]}" if len(path) > 1 else f"import {path[0]}"


def _base_symbol(function: Callable[..., Any], name: str) -> str:
    """The first name in the annotation of an argument, of the returned value, or of a field of a NamedTuple."""
    definition = ast.parse(source_of(function)).body[0]
    assert isinstance(definition, ast.FunctionDef)
    every = (*definition.args.posonlyargs, *definition.args.args, *definition.args.kwonlyargs)
    by_argument = {argument.arg: argument.annotation for argument in every}
    annotation = by_argument.get(name) or definition.returns
    if isinstance(annotation, ast.Call):  # NamedTuple('Outputs', [('field', Class), …])
        pairs = [node for node in ast.walk(annotation) if isinstance(node, ast.Tuple) and len(node.elts) == 2]
        annotation = next(p.elts[1] for p in pairs if isinstance(p.elts[0], ast.Constant) and p.elts[0].value == name)
    while isinstance(annotation, (ast.Attribute, ast.Subscript)):
        annotation = annotation.slice if isinstance(annotation, ast.Subscript) else annotation.value
    assert isinstance(annotation, ast.Name)
    return annotation.id


def _class_source(cls: type) -> str:
    try:
        return textwrap.dedent(inspect.getsource(cls))
    except (OSError, TypeError) as error:
        raise AuthoringError(
            f"The source of the artifact class {cls.__qualname__} cannot be found: {error}."
        ) from error


def _unpacking(path: Path) -> str:
    """Code that unpacks a file or folder where the component runs and makes its modules importable.

    The names that it sets are KFP's: its executor looks for them to fill in `EmbeddedInput` arguments.
    """
    if not path.exists():
        raise AuthoringError(f"embedded_artifact_path={str(path)!r} does not exist.")
    archive = _archive(path)
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
    if path.is_file():
        lines.append(f"__KFP_EMBEDDED_ASSET_FILE = _os.path.join(__KFP_EMBEDDED_ASSET_DIR, {path.name!r})")
    return "\n".join(lines)


def _archive(path: Path) -> str:
    import base64  # these three cost 10 ms, and few components embed anything
    import gzip
    import tarfile

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.add(path, arcname=path.name if path.is_file() else ".")
    compressed = gzip.compress(buffer.getvalue(), mtime=0)  # so that the same content gives the same component
    if len(compressed) > _LARGE_ARCHIVE_BYTES:
        warnings.warn(
            f"{path} is embedded in the component with {len(compressed) / 2**20:.1f} MiB: consider an image.",
            stacklevel=6,
        )
    return base64.b64encode(compressed).decode("ascii")
