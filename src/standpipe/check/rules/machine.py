"""Rules for what pods do not have of this machine: its folders, its ports, its variables, and each other's files."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from standpipe.check.fields import entries, text_of
from standpipe.check.rule import Problem
from standpipe.check.view import ContainerView, PipelineView, Place, TaskView, dotted_name, walk_constants
from standpipe.model.types import Json, ParameterInput

#: Folders of a user of this machine. `jovyan` is the user of the images of Jupyter.
_OWN_PATH = re.compile(r"(file://)?(/home/(?!jovyan/)[^/\s]+/|/Users/[^/\s]+/)\S|[A-Z]:\\[\w ]{2,}\\")

_LOCAL_HOST = re.compile(
    r"(?:[a-z][\w+.-]*://(?:[^/@\s]*@)?(?:localhost|127\.0\.0\.1|\[::1\]|host\.docker\.internal)(?=[:/?]|$))"
    r"|(?:(?:localhost|127\.0\.0\.1|host\.docker\.internal):\d+)"
)

#: With these a program may start the server itself that it calls.
_SERVERS = {
    "asyncio", "dask", "flask", "http", "mlflow", "multiprocessing", "pyspark", "ray", "socket", "socketserver",
    "subprocess", "threading", "torch", "uvicorn",
}  # fmt: skip

#: Variables that official images, Kubernetes, Argo or the launcher set.
_KNOWN_VARIABLE = re.compile(
    r"(PATH|HOME|HOSTNAME|LANG|PWD|TMPDIR|GPG_KEY|NAMESPACE|(HTTPS?|NO)_PROXY|(PYTHON|KUBERNETES|KFP|ARGO|PIP)_.*)"
)

#: Methods and functions that write to, or read from, the path in their first argument, by their last name.
_WRITES = re.compile(r"(to|save|dump|write)_\w+|save|savetxt|savez")
_READS = re.compile(r"(read|load)_\w+|load|loadtxt")
#: Where each pod has files of its own, and where processes of one machine share them.
_SHARED_FOLDERS = ("/tmp/", "/var/tmp/", "/data/", "/mnt/", "/srv/", "/opt/")  # noqa: S108 - what programs name


def find_own_paths(pipeline: PipelineView) -> Iterator[Problem]:
    for place, text, line in _find_texts(pipeline):
        match = _OWN_PATH.match(text)
        if match:
            yield Problem(place, f"{_shorten(text)} is a path of this machine, which pods do not have", "", line, text)


def find_local_hosts(pipeline: PipelineView) -> Iterator[Problem]:
    for place, text, line in _find_texts(pipeline):
        if _LOCAL_HOST.match(text) and not (line and isinstance(place, ContainerView) and _may_serve(place)):
            yield Problem(place, f"{_shorten(text)} is the pod itself on a cluster, not this machine", "", line, text)


def _may_serve(view: ContainerView) -> bool:
    assert view.program, "only programs have lines"
    names = {dotted_name(node).partition(".")[0] for node in view.program.nodes() if isinstance(node, ast.Attribute)}
    imported = {
        alias.name.partition(".")[0]
        for node in view.program.nodes()
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in (*node.names, ast.alias(getattr(node, "module", "") or ""))
    }
    has_sidecar = any(task.settings.get("initContainers") for task in view.tasks)
    return has_sidecar or bool(_SERVERS & (names | imported))


def _find_texts(pipeline: PipelineView) -> Iterator[tuple[Place, str, int]]:
    """Yield the texts of programs with their lines, and those of variables, arguments and defaults with 0."""
    for view in pipeline.containers:
        for node in view.program.author_nodes() if view.program else ():
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield view, node.value, node.lineno
    for task in pipeline.tasks:
        for value in _values_of(task):
            for text in walk_constants(value):
                if isinstance(text, str):
                    yield task, text, 0
    for declared in pipeline.plan.root.inputs.values():
        if isinstance(declared, ParameterInput):
            for text in walk_constants(declared.default):
                if isinstance(text, str):
                    yield pipeline, text, 0


def _values_of(task: TaskView) -> Iterator[Json]:
    for _, value in task.constants():
        yield value
    yield from task.container.env.values() if task.container else ()


def _shorten(text: str) -> str:
    text = re.sub(r"//[^/@\s]*@", "//", text)  # names and passwords
    return repr(text if len(text) <= 60 else f"{text[:57]}...")


def find_host_variables(pipeline: PipelineView) -> Iterator[Problem]:
    """Yield reads of `os.environ["NAME"]` that fail in an official image of Python, as the task does not set NAME."""
    for view in pipeline.containers:
        if not view.program or view.program.python is None:
            continue
        handled = _handled_variables(view)
        for node in view.program.author_nodes():
            if not isinstance(node, ast.Subscript) or not isinstance(node.ctx, ast.Load):
                continue
            name = _text(node.slice) if dotted_name(node.value) in ("os.environ", "environ") else ""
            if name and name not in handled and not _KNOWN_VARIABLE.fullmatch(name):
                problem = f"component {view.name!r} reads the variable {name!r}, which its task does not set"
                yield Problem(view, problem, "", node.lineno, name)


def _handled_variables(view: ContainerView) -> set[str]:
    """Return the variables that all tasks of a container set, and those that its program sets or tests for."""
    names = set.intersection(*(set(_variables_of(task)) for task in view.tasks))
    for node in view.program.nodes() if view.program else ():
        if isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load):
            names.add(_text(node.slice))
        elif isinstance(node, ast.Compare):
            names |= {_text(node.left)}
        elif isinstance(node, ast.Call) and dotted_name(node.func).rpartition(".")[2] in ("setdefault", "putenv"):
            names |= {_text(argument) for argument in node.args[:1]}
        elif isinstance(node, ast.Call) and dotted_name(node.func).endswith(("environ.update", "load_dotenv")):
            names |= {keyword.arg or "" for keyword in node.keywords}
        elif isinstance(node, ast.Try):
            names |= {_text(each.slice) for each in ast.walk(node) if isinstance(each, ast.Subscript)}
    return names


def _variables_of(task: TaskView) -> Iterator[str]:
    yield from task.container.env if task.container else ()
    for field in ("secretAsEnv", "configMapAsEnv"):
        for source in entries(task.settings, field):
            for pair in entries(source, "keyToEnv"):
                yield text_of(pair, "envVar")
    for source in entries(task.settings, "fieldPathAsEnv"):
        yield text_of(source, "name")


def _text(node: ast.expr) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def find_shared_files(pipeline: PipelineView) -> Iterator[Problem]:
    """Yield reads of a file that another component writes, by the same absolute path, and this one does not."""
    written: dict[str, set[int]] = {}
    for number, view in enumerate(pipeline.containers):
        for path, _, is_write in _find_file_uses(view):
            if is_write:
                written.setdefault(path, set()).add(number)
    for number, view in enumerate(pipeline.containers):
        mounts = [text_of(mount, "mountPath") for task in view.tasks for mount in entries(task.settings, "pvcMount")]
        for path, line, is_write in _find_file_uses(view):
            writers = written.get(path, set())
            if (
                not is_write
                and writers
                and number not in writers
                and not any(map(path.startswith, filter(None, mounts)))
            ):
                problem = f"component {view.name!r} reads {_shorten(path)}, which only another component writes"
                yield Problem(view, problem, "", line, path)


def _find_file_uses(view: ContainerView) -> Iterator[tuple[str, int, bool]]:
    """Yield the absolute paths that a program opens: with the line, and whether it writes."""
    for node in view.program.author_nodes() if view.program else ():
        if not isinstance(node, ast.Call) or not node.args:
            continue
        path = _text(node.args[0])
        function = node.func.attr if isinstance(node.func, ast.Attribute) else dotted_name(node.func)
        if not path.startswith(_SHARED_FOLDERS):
            continue
        if function == "open":
            yield path, node.lineno, any(letter in _mode(node) for letter in "wax+")
        elif _WRITES.fullmatch(function) or _READS.fullmatch(function):
            yield path, node.lineno, _WRITES.fullmatch(function) is not None


def _mode(call: ast.Call) -> str:
    keywords = [_text(keyword.value) for keyword in call.keywords if keyword.arg == "mode"]
    return keywords[0] if keywords else _text(call.args[1]) if len(call.args) > 1 else "r"
