"""Lightweight Python components: conversion between a function and the command that the KFP SDK compiles it to.

A compiled file has no functions, only shell commands: one that installs packages, and one that writes the program to a
file and runs KFP's executor, which calls the function. To run the function without KFP, the command is parsed. It is
recognized only if rendering the result produces the same text; otherwise it stays an ordinary command.
"""

from __future__ import annotations

import ast
import enum
import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from standpipe.model.plan import PythonFunction
from standpipe.support.pip_commands import (
    INSTALL_SCRIPT,
    PIP_INSTALL,
    default_trusted_hosts,
    format_index_options,
    quote_requirements,
)

CommandAndArgs = tuple[tuple[str, ...], tuple[str, ...]]


class Order(enum.Enum):
    """The order in which a command installs the author's packages and KFP."""

    AUTHOR_FIRST = enum.auto()
    KFP_FIRST = enum.auto()
    AT_ONCE = enum.auto()


_RUN = (
    "program_path=$(mktemp -d)\n\n"
    'printf "%s" "$0" > "$program_path/ephemeral_component.py"\n'
    "_KFP_RUNTIME=true python3 -m kfp.dsl.executor_main "
    "                        --component_module_path "
    '                        "$program_path/ephemeral_component.py" '
    '                        "$@"\n'
)
_OLD_RUN = _RUN.replace("\n\n", "\n").replace("_KFP_RUNTIME=true ", "").replace("kfp.dsl.", "kfp.components.")
_OLD_PIP = PIP_INSTALL.replace("--quiet ", "--quiet     ")

_VENV = (
    "\nexport PIP_DISABLE_PIP_VERSION_CHECK=1\n"
    "tmp=$(mktemp -d)\n"
    'python3 -m venv "$tmp/venv" --system-site-packages\n'
    '. "$tmp/venv/bin/activate"\n'
)


@dataclass(frozen=True)
class Layout:
    """The form in which some versions of the SDK write the command, byte for byte.

    `name` is the first of these versions. In `install`, `{commands}` is replaced by the pip commands; `run` receives
    the source of the program as `$0`. With `host_after_url`, each index URL is followed by a `--trusted-host` option.
    """

    name: str
    order: Order = Order.AUTHOR_FIRST
    host_after_url: bool = False
    install: str = INSTALL_SCRIPT
    pip: str = PIP_INSTALL
    venv: str = _VENV
    run: str = _RUN


#: The layouts, the newest first. That of 2.14 has no name, as it is the one that we write.
LAYOUTS = (
    Layout(""),
    Layout("2.9", Order.KFP_FIRST),
    Layout("2.2", Order.KFP_FIRST, host_after_url=True),
    Layout("2.1", Order.AT_ONCE, host_after_url=True, pip=_OLD_PIP),
    Layout("2.0", Order.AT_ONCE, host_after_url=True, pip=_OLD_PIP, run=_OLD_RUN),
)

_KFP_RELEASE = re.compile(r"kfp==\S+")
_LITERAL = r"(?:'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")"
_OPTION = r"--(index-url|extra-index-url|trusted-host) (\S+) "


def render(function: PythonFunction) -> CommandAndArgs:
    """Return the command and the arguments that the KFP SDK compiles a function to."""
    layout = next(layout for layout in LAYOUTS if layout.name == function.layout)
    run = ("sh", "-ec", layout.run, function.source)
    args = ("--executor_input", "{{$}}", "--function_to_execute", function.name)
    return _install_command(function, layout) + run, args


def _install_command(function: PythonFunction, layout: Layout) -> tuple[str, ...]:
    pip = layout.pip + _index_options(function, layout)
    author, kfp = function.packages, function.kfp_requirements
    if layout.order is Order.AT_ONCE:
        groups = [(*author, *kfp)]
    else:
        groups = [author, kfp] if layout.order is Order.AUTHOR_FIRST else [kfp, author]
    in_venv = kfp if function.use_venv else None
    steps = [
        (f"{layout.venv} " if group is in_venv else "") + pip + quote_requirements(group) for group in groups if group
    ]
    if not steps:
        return ()
    return ("sh", "-c", layout.install.replace("{commands}", "  &&  ".join(steps)))


def _index_options(function: PythonFunction, layout: Layout) -> str:
    urls = function.index_urls
    if not layout.host_after_url:
        return format_index_options(urls, function.trusted_hosts)
    options = ("--extra-index-url" if position else "--index-url" for position in range(len(urls)))
    return "".join(f"{option} {url} --trusted-host {url} " for option, url in zip(options, urls, strict=True))


def recognize(command: Sequence[str], args: Sequence[str]) -> PythonFunction | None:
    """Return the function that a compiled command runs, or None if the command is not what `render` returns for one.

    Some commands are ambiguous. The newest layout that matches is used. Requirements that are installed alone are the
    author's packages, unless they are a release or a URL with KFP's `--no-deps`, or the URL of KFP's repository.
    Trusted hosts that are the layout's default count as not listed.
    """
    compiled = (tuple(command), tuple(args))
    for layout in LAYOUTS:
        function = _parse_command(*compiled, layout)
        if function is not None and render(function) == compiled:
            return function
    return None


def _parse_command(command: tuple[str, ...], args: tuple[str, ...], layout: Layout) -> PythonFunction | None:
    if len(args) != 4 or len(command) not in (4, 7):
        return None
    name, source = args[3], command[-1]
    if len(command) == 4:
        return PythonFunction(name, source, layout=layout.name)
    before, after = layout.install.split("{commands}")
    script = command[2]
    if not (script.startswith(before) and script.endswith(after)):
        return None
    match = _pattern(layout).fullmatch(script[len(before) : -len(after)])
    return _to_function(match, name, source, layout) if match else None


@functools.cache
def _pattern(layout: Layout) -> re.Pattern[str]:
    """Return the pattern of one or two pip commands, each optionally in a virtual environment."""
    venv, pip = f"(?:{re.escape(layout.venv)} )?", re.escape(layout.pip)
    step = rf"(?P<%s>{venv}){pip}(?P<%s>(?:{_OPTION})*)(?P<%s>{_LITERAL}(?: {_LITERAL})*)"
    first = step % ("first_venv", "first_options", "first")
    second = step % ("second_venv", "second_options", "second")
    return re.compile(rf"{first}(?:  &&  {second})?", re.DOTALL)


def _to_function(match: re.Match[str], name: str, source: str, layout: Layout) -> PythonFunction | None:
    first, second = _unquote(match["first"]), _unquote(match["second"])
    if first is None or second is None:
        return None
    parts = _split_requirements(first, second, layout)
    if parts is None:
        return None
    options = re.findall(_OPTION, match["first_options"])
    index_urls = tuple(value for option, value in options if option != "trusted-host")
    trusted_hosts = tuple(value for option, value in options if option == "trusted-host")
    default = index_urls if layout.host_after_url else default_trusted_hosts(index_urls)
    return PythonFunction(
        name,
        source,
        packages=parts[0],
        index_urls=index_urls,
        trusted_hosts=None if trusted_hosts == default else trusted_hosts,
        kfp_requirements=parts[1],
        use_venv=bool(match["first_venv"] or match["second_venv"]),
        layout=layout.name,
    )


def _unquote(requirements: str | None) -> tuple[str, ...] | None:
    try:
        return tuple(ast.literal_eval(literal) for literal in re.findall(_LITERAL, requirements or "", re.DOTALL))
    except (ValueError, SyntaxError):
        return None  # not written by `repr`: an ordinary command of the author


def _split_requirements(
    first: tuple[str, ...], second: tuple[str, ...], layout: Layout
) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """Return the author's packages and the requirements of KFP; None if their order is not that of the layout."""
    if layout.order is Order.AT_ONCE:
        end = _end_of_packages(first)
        return None if second else (first[:end], first[end:])
    if not second:
        return ((), first) if _kfp_likelihood(first) == _IS_KFP else (first, ())
    author, kfp = (first, second) if layout.order is Order.AUTHOR_FIRST else (second, first)
    return None if _kfp_likelihood(author) > _kfp_likelihood(kfp) else (author, kfp)


_IS_KFP = 2


def _kfp_likelihood(requirements: tuple[str, ...]) -> int:
    """Return the likelihood that these are the requirements of KFP: 0, 1, or `_IS_KFP` if it is certain."""
    location, *options = requirements
    if not options and "kubeflow/pipelines" in location:
        return _IS_KFP
    if options[:1] == ["--no-deps"] and ("/" in location or _KFP_RELEASE.fullmatch(location)):
        return _IS_KFP
    return 1 if not options and "/" in location else 0


def _end_of_packages(requirements: tuple[str, ...]) -> int:
    """Return the number of the author's packages at the beginning of a list that ends with the requirements of KFP."""
    for length in (3, 1):
        own = requirements[-length:]
        if len(own) == length and (_kfp_likelihood(own) == _IS_KFP or (length == 1 and _KFP_RELEASE.fullmatch(own[0]))):
            return len(requirements) - length
    return len(requirements)
