"""What a word of a command line may become, for the completion of shells. It imports next to nothing."""

from __future__ import annotations

import os

from standpipe.cli.main import COMMANDS
from standpipe.cli.quick import DEFAULT_ROOT, ROOT_FLAGS

TYPE_CHECKING = False  # the import takes longer than all that is here
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

#: The endings of what a command runs or reads.
_PIPELINES = (".py", ".yaml", ".yml", ".json")

#: What lets the shell complete the names of files with some endings, of all files, or of folders.
_FILES, _FOLDERS = ":files", ":folders"


class Syntax:
    """The options and arguments of a command, and those that a command line has already.

    Attributes:
        options: the kind of the value of each option, such as `RUN`, `FILE` or `a|b`; empty for a flag.
        arguments: the kinds of the arguments; the last one may be repeated if it ends with `...`.
        texts: the descriptions of the options.
        root: the pipeline root that the command line names.
        before: the arguments before the word.
    """

    def __init__(self, command: str) -> None:
        self.options: dict[str, str] = {}
        self.arguments: list[str] = []
        self.texts: dict[str, str] = {}
        self.root = DEFAULT_ROOT
        self.before: list[str] = []
        for line in _read_table():
            name, kind, value, text = line.rstrip("\n").split("\t")
            if name == command and kind.startswith("-"):
                self.options[kind], self.texts[kind] = value, text
            elif name == command:
                self.arguments.append(kind)


def complete(words: Sequence[str]) -> list[str]:
    """Return what the last word may become, each with its description after a tab.

    Args:
        words: the words of the command line, with the name of the program, up to the cursor; the last one may be empty.
    """
    *before, word = list(words)[1:] or [""]
    if before[:2] == ["dsl", "compile"]:
        del before[0]
    if not before:
        commands = (f"{name}\t{text}" for name, text in COMMANDS.items())
        return [*_beginning(word, commands), *_targets(word, Syntax(""))]
    command, *before = before
    if command not in COMMANDS or "--" in before:  # a script, or its arguments
        return [_FILES]
    syntax = Syntax(command)
    option = _read(before, syntax)
    if option:
        return [*_values(syntax.options[option], word, syntax)]
    name, equals, value = word.partition("=")
    if equals and syntax.options.get(name):
        return [f"{name}={each}" for each in _values(syntax.options[name], value, syntax) if each[:1] != ":"]
    if command in ("run", "watch") and _is_script(syntax.before):
        return [_FILES]
    if word.startswith("-"):
        return [*_beginning(word, (f"{option}\t{text}" for option, text in syntax.texts.items()))]
    return [*_values(_argument(syntax), word, syntax)]


def _is_script(before: Sequence[str]) -> bool:
    """Return whether arguments begin with a script, which gets all that follow."""
    return before[:1] != [] and before[0].endswith(".py")


def _read_table() -> list[str]:
    with open(os.path.join(os.path.dirname(__file__), "shells", "options.txt"), encoding="utf-8") as file:
        return file.readlines()


def _read(words: Iterable[str], syntax: Syntax) -> str:
    """Note the arguments and the pipeline root among words; return the option whose value is missing, if any."""
    option = ""
    for word in words:
        name, equals, value = word.partition("=")
        if option:
            name, equals, value, option = option, "=", word, ""
        elif not word.startswith("-"):
            syntax.before.append(word)
            continue
        if equals and name in ROOT_FLAGS:
            syntax.root = value
        if not equals and syntax.options.get(name):
            option = name
    return option


def _argument(syntax: Syntax) -> str:
    """Return the kind of the argument that comes next; empty if there is none."""
    position = len(syntax.before)
    if position < len(syntax.arguments):
        return syntax.arguments[position].removesuffix("...")
    last = syntax.arguments[-1] if syntax.arguments else ""
    return last.removesuffix("...") if last.endswith("...") else ""


def _values(kind: str, word: str, syntax: Syntax) -> Iterator[str]:
    values = _KINDS.get(kind)
    if values is not None:
        yield from values(word, syntax)
    elif "|" in kind:
        yield from _beginning(word, kind.split("|"))


def _beginning(word: str, candidates: Iterable[str]) -> Iterator[str]:
    return (each for each in candidates if each.startswith(word))


def _runs(word: str, syntax: Syntax) -> Iterator[str]:
    from standpipe.store.overview import list_runs  # brings SQLite

    runs = list_runs(_path(syntax.root))
    named = (f"{run}\t{pipeline}" for run, pipeline in runs if run not in syntax.before)
    newest = (f"{pipeline}\tits newest run" for pipeline in dict.fromkeys(pipeline for _, pipeline in runs))
    yield from _beginning(word, ["latest\tthe run that began last", *newest, *named] if runs else ())


def _tasks(word: str, syntax: Syntax) -> Iterator[str]:
    from standpipe.store.overview import list_tasks  # brings SQLite

    run = syntax.before[0] if syntax.before else "latest"
    yield from _beginning(word, list_tasks(_path(syntax.root), run))


def _targets(word: str, _: Syntax) -> Iterator[str]:
    """Yield files with pipelines or, after the colon, the names in a script."""
    path, colon, name = word.rpartition(":")
    if colon and path.endswith(".py"):
        yield from (f"{path}:{each}" for each in _names_in(_path(path)) if each.startswith(name))
    else:
        yield " ".join((_FILES, *_PIPELINES))


def _names_in(path: str) -> Iterator[str]:
    """Yield the names of the components and pipelines that a script defines with decorators, without importing it."""
    import ast  # takes a few milliseconds, which only this needs

    try:
        with open(path, "rb") as file:
            body = ast.parse(file.read()).body
    except (OSError, SyntaxError, ValueError):
        return  # there is nothing to complete
    for node in body:
        if isinstance(node, ast.FunctionDef) and any(map(_is_definition, node.decorator_list)):
            yield node.name


def _is_definition(decorator: object) -> bool:
    """Return whether a decorator is `@dsl.pipeline`, `@component(...)` or the like."""
    called = getattr(decorator, "func", decorator)
    name = getattr(called, "attr", "") or getattr(called, "id", "")
    return str(name).endswith(("pipeline", "component"))


def _path(text: str) -> str:
    return os.path.expanduser(text.strip("'\""))


def _files(_: str, __: Syntax) -> Iterator[str]:
    yield _FILES


def _folders(_: str, __: Syntax) -> Iterator[str]:
    yield _FOLDERS


#: What values of the kinds that the parsers name may be. Others are not completed.
_KINDS: dict[str, Callable[[str, Syntax], Iterator[str]]] = {
    "RUN": _runs,
    "TASK": _tasks,
    "ARTIFACT": _tasks,  # the name of the task comes first
    "SCRIPT[:NAME]": _targets,
    "TARGET": _targets,
    "FILE": _files,
    "OUTPUT": _files,
    "SCRIPT": _files,
    "FOLDER": _folders,
}
