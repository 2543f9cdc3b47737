"""The source of lightweight components: what KFP ships of a function to the place where it runs."""

from __future__ import annotations

import ast
import contextlib
import inspect
import io
import os
import textwrap
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from standpipe.dsl.types import hints_of
from standpipe.errors import AuthoringError, AuthoringTypeError
from standpipe.inside import annotations as kfp_annotations
from standpipe.inside import artifacts
from standpipe.model.frozen import frozen

_IMPORTS = ("import kfp", "from kfp import dsl", "from kfp.dsl import *", "from typing import *")
_LARGE_ARCHIVE_BYTES = 1024 * 1024


@frozen
class Notebook:
    """A notebook that is embedded: the file or folder that is shipped, and the notebook's own path in it.

    It is a path like any other that is embedded, and brings along what executes it.
    """

    path: str
    file: str

    def __fspath__(self) -> str:
        return self.path


def program_of(
    function: Callable[..., Any], additional: Sequence[Callable[..., Any]], embedded: str | os.PathLike[str] | None
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
        text = _dedented(inspect.getsource(function))
    except (OSError, TypeError) as error:
        raise AuthoringError(
            f"The source of the function {getattr(function, '__name__', function)!r} cannot be found ({error}). "
            "A component is shipped as source: define it with `def` in a file or a notebook cell."
        ) from error
    lines = text.split("\n")
    start = next((number for number, line in enumerate(lines) if line.startswith("def ")), None)
    if start is None:
        raise AuthoringError(
            f"The function {function.__name__!r} is no plain `def`, so its source cannot be shipped. "
            "Define it with `def` at the start of a line, not as a lambda and not with `async`."
        )
    return "\n".join(lines[start:])


def _dedented(text: str) -> str:
    """The source of a nested function at the left margin, as KFP ships it.

    KFP's way gives up where a text in several lines reaches into the margin; there, the lines that have the indentation
    of the function lose it.
    """
    dedented = textwrap.dedent(text)
    indentation = dedented[: len(dedented) - len(dedented.lstrip())]
    return "\n".join(line.removeprefix(indentation) for line in dedented.split("\n"))


def _own_artifact_classes(function: Callable[..., Any]) -> Iterator[tuple[str, type]]:
    """The artifact classes in the signature that are not KFP's, by argument; returned ones by `return` or field."""
    hints = hints_of(function)
    returned = hints.pop("return", None)
    fields = hints_of(returned) if kfp_annotations.is_named_tuple(returned) else {"return": returned}
    for name, hint in (*hints.items(), *fields.items()):
        cls = kfp_annotations.artifact_class(hint)
        if cls is not None and cls.__module__ != artifacts.__name__:
            yield name, cls


def _import_of(function: Callable[..., Any], cls: type, name: str) -> str:
    """The line that makes an artifact class known under the name that the function's signature has for it."""
    if "<locals>" in cls.__qualname__:
        return "\n" + _class_source(cls)  # nothing can import it: its source goes along
    qualified = f"{cls.__module__}.{cls.__qualname__}".split(".")
    annotation = _annotation(function, name)
    written = [name.split(".") for name in _dotted_names(annotation)]
    bases = [parts[0] for parts in written if parts[-1] == cls.__name__ and parts[0] in qualified]
    if not bases:
        raise AuthoringTypeError(
            f"Component {function.__name__!r}: the artifact class {'.'.join(qualified)} goes by another name in "
            f"`{ast.unparse(annotation)}`. Use the name under which it is defined: aliases cannot be imported where "
            "the component runs."
        )
    path = qualified[: qualified.index(bases[0]) + 1]
    return f"from {'.'.join(path[:-1])} import {path[-1]}" if len(path) > 1 else f"import {path[0]}"


def _annotation(function: Callable[..., Any], name: str) -> ast.expr:
    """The annotation of an argument; for the returned value and the fields of a NamedTuple, that of the function."""
    definition = ast.parse(source_of(function)).body[0]
    assert isinstance(definition, ast.FunctionDef), "the source begins with the function"
    arguments = definition.args
    for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
        if argument.arg == name and argument.annotation is not None:
            return argument.annotation
    assert definition.returns is not None, "the class was found in an annotation"
    return definition.returns


def _dotted_names(annotation: ast.expr) -> Iterator[str]:
    """Every `a.b.C` in an annotation, also where it is written as text."""
    for node in ast.walk(annotation):
        if isinstance(node, (ast.Name, ast.Attribute)):
            yield ast.unparse(node)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isprintable():
            with contextlib.suppress(SyntaxError):  # the name of a field, say
                yield from _dotted_names(ast.parse(node.value, mode="eval").body)


def _class_source(cls: type) -> str:
    try:
        return textwrap.dedent(inspect.getsource(cls))
    except (OSError, TypeError) as error:
        raise AuthoringError(
            f"The source of the artifact class {cls.__qualname__} cannot be found: {error}."
        ) from error


def _unpacking(path: str | os.PathLike[str]) -> str:
    """Code that unpacks a file or folder where the component runs and makes its modules importable.

    The names that it sets are KFP's: its executor looks for them to fill in `EmbeddedInput` arguments.
    """
    if not os.path.exists(path):
        raise AuthoringError(f"embedded_artifact_path={os.fspath(path)!r} does not exist.")
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
        lines.append(_executing(path))
    return "\n".join(lines)


def _executing(notebook: Notebook) -> str:
    """Code that makes `dsl.run_notebook` execute a notebook that was unpacked."""
    from standpipe.dsl.functions import notebook_program  # few components are made of notebooks

    call = f"_run_notebook(__KFP_EMBEDDED_ASSET_DIR, {notebook.file!r}, parameters)"
    return f"\n{inspect.getsource(notebook_program)}\n\ndsl.run_notebook = lambda **parameters: {call}"


def _archive(path: str | os.PathLike[str]) -> str:
    import base64  # these three cost 10 ms, and few components embed anything
    import gzip
    import tarfile

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.add(path, arcname=os.path.basename(path) if os.path.isfile(path) else ".")
    compressed = gzip.compress(buffer.getvalue(), mtime=0)  # so that the same content gives the same component
    if len(compressed) > _LARGE_ARCHIVE_BYTES:
        warnings.warn(
            f"{path} is embedded in the component with {len(compressed) / 2**20:.1f} MiB: consider an image.",
            stacklevel=6,
        )
    return base64.b64encode(compressed).decode("ascii")
