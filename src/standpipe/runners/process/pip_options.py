"""Options of `pip install` among a component's packages, and what each is to uv.

On a cluster `packages_to_install` are the arguments of `pip install`, so authors write its options there, too. Here uv
builds environments, with options of its own: what it knows is passed in the author's order, the rest has no effect.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from standpipe.errors import InvalidPackages
from standpipe.runners.package_indexes import hide_password


class Option(NamedTuple):
    """An option of `pip install` by its long name without dashes, with its value; None for a flag."""

    name: str
    value: str | None = None


@dataclass(frozen=True)
class Arguments:
    """The arguments of a `pip install`: requirements, and options in the author's order."""

    requirements: tuple[str, ...] = ()
    options: tuple[Option, ...] = ()


#: The one-letter forms of options.
_LETTERS = {
    "C": "config-settings",
    "I": "ignore-installed",
    "U": "upgrade",
    "c": "constraint",
    "e": "editable",
    "f": "find-links",
    "i": "index-url",
    "q": "quiet",
    "r": "requirement",
    "t": "target",
    "v": "verbose",
}

#: Other names of options.
_ALIASES = {"default-timeout": "timeout", "pypi-url": "index-url", "config-setting": "config-settings"}

#: Flags of pip with those of uv.
_FLAGS = {
    "break-system-packages": "--break-system-packages",
    "compile": "--compile-bytecode",
    "force-reinstall": "--reinstall",
    "ignore-installed": "--reinstall",
    "no-build-isolation": "--no-build-isolation",
    "no-cache-dir": "--no-cache",
    "no-compile": "--no-compile-bytecode",
    "no-deps": "--no-deps",
    "no-index": "--no-index",
    "pre": "--prerelease=allow",
    "require-hashes": "--require-hashes",
    "upgrade": "--upgrade",
}

#: Options of pip that take a value, with those of uv.
_VALUES = {
    "cache-dir": "--cache-dir",
    "config-settings": "--config-setting",
    "constraint": "-c",
    "editable": "-e",
    "extra-index-url": "--extra-index-url",
    "find-links": "--find-links",
    "index-url": "--index-url",
    "no-binary": "--no-binary",
    "only-binary": "--only-binary",
    "requirement": "-r",
    "trusted-host": "--allow-insecure-host",
}

#: Options of pip that take a value, with the variables that uv reads instead.
_VARIABLES = {
    "cert": ("SSL_CERT_FILE",),
    "proxy": ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"),
    "retries": ("UV_HTTP_RETRIES",),
    "timeout": ("UV_HTTP_TIMEOUT",),
}

#: Options that uv has no use for; what they do concerns pip alone, its output, or the machine that it runs on.
_FLAGS_WITHOUT_EFFECT = {
    "check-build-dependencies",
    "debug",
    "disable-pip-version-check",
    "ignore-requires-python",
    "isolated",
    "no-clean",
    "no-color",
    "no-input",
    "no-python-version-warning",
    "no-use-pep517",
    "no-warn-conflicts",
    "no-warn-script-location",
    "prefer-binary",
    "quiet",
    "require-virtualenv",
    "use-pep517",
    "user",
    "verbose",
}
_VALUES_WITHOUT_EFFECT = {
    "build-option",
    "client-cert",
    "exists-action",
    "global-option",
    "install-option",
    "keyring-provider",
    "log",
    "progress-bar",
    "report",
    "root-user-action",
    "src",
    "upgrade-strategy",
    "use-deprecated",
    "use-feature",
}

#: Options that install into another folder, or nothing.
_REFUSED = {
    "abi",
    "download",
    "dry-run",
    "help",
    "implementation",
    "platform",
    "prefix",
    "python",
    "python-version",
    "root",
    "target",
    "version",
}

_TAKES_VALUE = {*_VALUES, *_VARIABLES, *_VALUES_WITHOUT_EFFECT}
_IS_FLAG = {*_FLAGS, *_FLAGS_WITHOUT_EFFECT}


def parse_arguments(words: Sequence[str], component: str) -> Arguments:
    """Split the arguments of a `pip install` into requirements and options, as pip does.

    Args:
        words: the arguments, such as `("--no-deps", "x==1", "-f", "/wheels", "--index-url=https://a/simple")`.
        component: the name of the component, for errors.

    Raises:
        InvalidPackages: if an option is unknown, has no place in an environment, lacks its value, or has it after
            a blank.
    """
    requirements: list[str] = []
    options: list[Option] = []
    rest = iter(map(str.strip, words))
    for word in rest:
        if word == "--":
            requirements += rest
        elif word.startswith("--"):
            options.append(_read_long(word, rest, component))
        elif word.startswith("-") and word != "-":
            options += _read_short(word, rest, component)
        elif word:
            requirements.append(word)
    return Arguments(tuple(requirements), tuple(options))


def _read_long(word: str, rest: Iterator[str], component: str) -> Option:
    spelling, has_value, value = word[2:].partition("=")
    if len(words := spelling.split(maxsplit=1)) > 1:
        raise InvalidPackages(
            f"packages_to_install of component {component!r}: {hide_password(word)!r} is one argument, and pip has no "
            f"such option. Write two: '--{words[0]}', {hide_password(words[1])!r}."
        )
    name = _ALIASES.get(spelling, spelling)
    if name in _TAKES_VALUE:
        return Option(name, value if has_value else _next_value(word, rest, component))
    if name in _IS_FLAG and not has_value:
        return Option(name)
    raise _refuse(f"--{spelling}", component, is_known=name in _REFUSED)


def _read_short(word: str, rest: Iterator[str], component: str) -> Iterator[Option]:
    """Yield the options of a word such as `-U`, `-qU`, `-f` or `-f/wheels`."""
    for position, letter in enumerate(word[1:], start=2):
        name = _LETTERS.get(letter, "")
        if name in _TAKES_VALUE:
            yield Option(name, word[position:].strip() or _next_value(word, rest, component))
            return
        if name not in _IS_FLAG:
            raise _refuse(f"-{letter}", component, is_known=name in _REFUSED)
        yield Option(name)


def _next_value(word: str, rest: Iterator[str], component: str) -> str:
    value = next(rest, None)
    if value is None:
        raise InvalidPackages(
            f"packages_to_install of component {component!r}: the option {word} needs a value, as the next item of the "
            "list."
        )
    return value


def _refuse(option: str, component: str, *, is_known: bool) -> InvalidPackages:
    if is_known:
        problem = f"pip's option {option} would not install into the environment of the task"
    else:
        problem = f"unknown option {option} of `pip install`"
    return InvalidPackages(
        f"packages_to_install of component {component!r}: {problem}. Remove it, or use local.DockerRunner(), which "
        "passes all of them to pip."
    )


def uv_options(options: Sequence[Option]) -> Iterator[str]:
    """Yield the options of `uv pip install` for those of pip that it has, in their order."""
    last_index = max((n for n, option in enumerate(options) if option.name == "index-url"), default=-1)
    for number, option in enumerate(options):
        if option.name in _FLAGS:
            yield _FLAGS[option.name]
        elif option.name == "index-url" and number != last_index:
            continue  # uv takes one, pip the last
        elif option.name in _VALUES:
            values = [option.value or ""]
            if option.name in ("no-binary", "only-binary"):
                values = values[0].split(",")
            for value in values:
                yield from (_VALUES[option.name], value)
    if any(option.name == "extra-index-url" for option in options):
        yield from ("--index-strategy", "unsafe-best-match")  # as pip: the newest release of all indexes


def uv_variables(options: Sequence[Option]) -> dict[str, str]:
    """Return the variables that mean to uv what some options mean to pip."""
    variables: dict[str, str] = {}
    for name, value in options:
        if name in _VARIABLES and value is not None:
            text = _whole_seconds(value) if name == "timeout" else value
            variables.update(dict.fromkeys(_VARIABLES[name], text))
    return variables


def pip_words(options: Sequence[Option]) -> Iterator[str]:
    """Yield the options as pip itself takes them."""
    for name, value in options:
        yield f"--{name}" if value is None else f"--{name}={value}"


def without_effect(options: Sequence[Option]) -> list[str]:
    """Return the options that uv has no use for, as their authors know them."""
    dropped = {*_FLAGS_WITHOUT_EFFECT, *_VALUES_WITHOUT_EFFECT}
    return list(dict.fromkeys(f"--{option.name}" for option in options if option.name in dropped))


def _whole_seconds(text: str) -> str:
    try:
        return str(max(1, math.ceil(float(text))))
    except (ValueError, OverflowError):
        return text  # uv says what is wrong with it
