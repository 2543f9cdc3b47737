"""Read the source of Python components, which is shipped to where the component runs."""

from __future__ import annotations

import ast
import contextlib
import inspect
import io
import os
import re
import textwrap
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from standpipe.dsl.tracing.source_locations import caller_stacklevel
from standpipe.dsl.types import hints_of
from standpipe.errors import AuthoringError, AuthoringTypeError
from standpipe.model.frozen import frozen
from standpipe.worker import annotations as kfp_annotations
from standpipe.worker import artifacts

_IMPORTS = ("import kfp", "from kfp import dsl", "from kfp.dsl import *", "from typing import *")
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


def build_program(
    function: Callable[..., Any],
    additional_functions: Sequence[Callable[..., Any]],
    embedded: str | os.PathLike[str] | None,
) -> tuple[str, dict[str, str]]:
    """Return a program that defines a function, and the sources of the artifact classes in its signature.

    Args:
        function: the function.
        additional_functions: functions that are defined in the program before it.
        embedded: a file or folder that is embedded in the program.

    Returns:
        The text of the program, and the source of each artifact class by `module.Name`.

    Raises:
        AuthoringError: if a source cannot be read, or `embedded` does not exist.
    """
    classes = dict(_custom_artifact_classes(function))
    imports = "\n".join(
        (*_IMPORTS, *dict.fromkeys(_import_statement(function, cls, name) for name, cls in classes.items()))
    )
    helpers = "".join("\n\n" + read_source(helper) for helper in additional_functions)
    if embedded:
        helpers += f"\n\n{_unpack_code(embedded)}\n"
    sources = {f"{cls.__module__}.{cls.__qualname__}": _class_source(cls) for cls in classes.values()}
    return f"\n{imports}{helpers}\n\n{read_source(function)}\n", sources


def read_source(function: Callable[..., Any]) -> str:
    """Return the source of a function without its decorators and its indentation.

    Raises:
        AuthoringError: if Python has no source of it, for example of a function in the interactive interpreter.
    """
    name = getattr(function, "__name__", function)
    try:
        text = _dedent(inspect.getsource(function))
        _check_belongs(text, function)
    except (OSError, TypeError) as error:
        raise AuthoringError(
            f"The source of the function {name!r} was not found ({error}). A component is shipped as source: define "
            "its function with `def` in a file or a notebook cell."
        ) from error
    lines = text.split("\n")
    start = next((number for number, line in enumerate(lines) if line.startswith("def ")), None)
    if start is None:
        raise AuthoringError(
            f"The source of the function {function.__name__!r} cannot be shipped: expected a function that is defined "
            "with `def` at the start of a line, not a lambda and not `async def`."
        )
    return "\n".join(lines[start:])


def _dedent(text: str) -> str:
    """Return the source of a nested function without its indentation, as KFP ships it.

    `textwrap.dedent`, which KFP uses, removes less if a multi-line string has less indentation than the function. In
    that case, the indentation is removed from the lines that have it.
    """
    dedented = textwrap.dedent(text)
    indentation = dedented[: len(dedented) - len(dedented.lstrip())]
    return "\n".join(line.removeprefix(indentation) for line in dedented.split("\n"))


def _custom_artifact_classes(function: Callable[..., Any]) -> Iterator[tuple[str, type]]:
    """Yield the artifact classes in the signature that are not KFP's, with the name of the argument.

    The name of a returned artifact is `return`, or that of its field.
    """
    hints = hints_of(function)
    returned = hints.pop("return", None)
    fields = hints_of(returned) if kfp_annotations.is_named_tuple(returned) else {"return": returned}
    for name, hint in (*hints.items(), *fields.items()):
        cls = kfp_annotations.artifact_class(hint)
        if cls is not None and cls.__module__ != artifacts.__name__:
            yield name, cls


def _import_statement(function: Callable[..., Any], cls: type, name: str) -> str:
    """Return the statement that defines an artifact class under its name in the function's signature."""
    if "<locals>" in cls.__qualname__:
        return "\n" + _class_source(cls)  # it cannot be imported, so its source is shipped
    qualified = f"{cls.__module__}.{cls.__qualname__}".split(".")
    annotation = _annotation(function, name)
    names = [name.split(".") for name in _dotted_names(annotation)]
    bases = [parts[0] for parts in names if parts[-1] == cls.__name__ and parts[0] in qualified]
    if not bases:
        raise AuthoringTypeError(
            f"Component {function.__name__!r}: `{ast.unparse(annotation)}` uses an alias of the artifact class "
            f"{'.'.join(qualified)}. Use the name that it is defined with: an alias cannot be imported where the "
            "component runs."
        )
    path = qualified[: qualified.index(bases[0]) + 1]
    return f"from {'.'.join(path[:-1])} import {path[-1]}" if len(path) > 1 else f"import {path[0]}"


def _annotation(function: Callable[..., Any], name: str) -> ast.expr:
    """Return the annotation of an argument, or of the function for other names: `return` and fields of a NamedTuple."""
    definition = ast.parse(read_source(function)).body[0]
    assert isinstance(definition, ast.FunctionDef), "the source begins with the function"
    arguments = definition.args
    for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
        if argument.arg == name and argument.annotation is not None:
            return argument.annotation
    assert definition.returns is not None, "the class was found in an annotation"
    return definition.returns


def _check_belongs(text: str, function: Callable[..., Any]) -> None:
    """Raise an OSError if the text is that of other code.

    `inspect` looks a source up by the name of its file. All code that `exec` runs is in `<string>`, and since Python
    3.13 that name stands for the program of `python -c`, if there is one.
    """
    name = function.__code__.co_name
    if name.isidentifier() and not re.search(rf"^\s*(async\s+)?def\s+{name}\b", text, re.MULTILINE):
        raise OSError(f"{function.__code__.co_filename} holds other code")


def _dotted_names(annotation: ast.expr) -> Iterator[str]:
    """Yield every `a.b.C` in an annotation, also in annotations that are strings."""
    for node in ast.walk(annotation):
        if isinstance(node, (ast.Name, ast.Attribute)):
            yield ast.unparse(node)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isprintable():
            with contextlib.suppress(SyntaxError):  # it may be any string, such as the name of a field
                yield from _dotted_names(ast.parse(node.value, mode="eval").body)


def _class_source(cls: type) -> str:
    try:
        return textwrap.dedent(inspect.getsource(cls))
    except (OSError, TypeError) as error:
        raise AuthoringError(
            f"The source of the artifact class {cls.__qualname__} was not found: {error}. Define it in a file."
        ) from error


def _unpack_code(path: str | os.PathLike[str]) -> str:
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
            stacklevel=caller_stacklevel(),
        )
    return base64.b64encode(compressed).decode("ascii")
