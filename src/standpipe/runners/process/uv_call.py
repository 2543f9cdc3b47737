"""What `uv pip install` gets on its command line, and what otherwise, because all users can read command lines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from standpipe.runners.credentials import has_credentials, move_git_credentials
from standpipe.runners.process.pip_options import Arguments, Option, uv_options, uv_variables

#: The options for sources of packages that have a variable, with that and what separates its values.
_SOURCES = {
    "index-url": ("UV_INDEX_URL", ""),
    "extra-index-url": ("UV_EXTRA_INDEX_URL", " "),
    "find-links": ("UV_FIND_LINKS", ","),
}

#: Options that a file of requirements may have.
_IN_FILES = {"constraint": "-c", "editable": "-e", "requirement": "-r"}


class UvCall(NamedTuple):
    """The options and requirements for uv's command line, its variables, and a file of requirements for its input."""

    options: list[str]
    requirements: list[str]
    variables: dict[str, str]
    standard_input: str


def make_uv_call(arguments: Arguments, environ: Mapping[str, str]) -> UvCall:
    """Return how to tell uv what to install.

    Args:
        arguments: the packages, with pip's options.
        environ: the variables that uv gets besides.
    """
    texts = [*arguments.requirements, *(option.value or "" for option in arguments.options)]
    if not any(map(has_credentials, texts)):
        words = [*uv_options(arguments.options)]
        return UvCall(words, [*arguments.requirements], uv_variables(arguments.options), "")
    texts, variables = move_git_credentials(texts, environ)
    count = len(arguments.requirements)
    options = [
        Option(name, None if value is None else text)
        for (name, value), text in zip(arguments.options, texts[count:], strict=True)
    ]
    if any(option.name == "extra-index-url" for option in options):
        variables["UV_INDEX_STRATEGY"] = "unsafe-best-match"  # see `uv_options`
    for name, (variable, separator) in _SOURCES.items():
        urls = [option.value or "" for option in options if option.name == name]
        if any(map(has_credentials, urls)):
            variables[variable] = separator.join(urls) if separator else urls[-1]
            options = [option for option in options if option.name != name]
    secret = [option for option in options if option.name in _IN_FILES and has_credentials(option.value or "")]
    lines = [f"{_IN_FILES[option.name]} {option.value}" for option in secret]
    lines += filter(has_credentials, texts[:count])
    return UvCall(
        [*uv_options([option for option in options if option not in secret]), *(["-r", "-"] if lines else [])],
        [text for text in texts[:count] if not has_credentials(text)],
        {**uv_variables(arguments.options), **variables},
        "".join(f"{line}\n" for line in lines),
    )
