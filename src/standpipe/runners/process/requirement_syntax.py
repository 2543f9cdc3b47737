"""Requirements that no installer can read, such as `pandas=>2`, found without an index."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress

from standpipe.runners.package_indexes import hide_password
from standpipe.runners.process.installer import find_uv
from standpipe.support.forking import start_process

#: Requirements that are certain to be valid; nearly all are. uv takes 30 ms to read another one.
_VALID = re.compile(
    r"""\s*[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?\s*
    (?:\[\s*[A-Za-z0-9_-]+(?:\s*,\s*[A-Za-z0-9_-]+)*\s*\])?\s*
    (?:(?:==|!=|<=|>=|<|>)\s*\d+(?:\.\d+)*(?:\s*,\s*(?:==|!=|<=|>=|<|>)\s*\d+(?:\.\d+)*)*)?\s*
    (?:;\s*(?:python_version|sys_platform|platform_machine|platform_system)\s*(?:==|!=|<=|>=|<|>)\s*(?:"[^"]*"|'[^']*'))?\s*
    """,
    re.VERBOSE,
)

#: Paths and URLs, which only a build can check, and environment variables.
_OTHER = re.compile(r"[./~]|.*(?:://|[/$]|\.whl|\.zip|\.tar\.gz)", re.DOTALL)

#: How uv reports a requirement that it cannot read (0.13.9), with exit code 2.
_UNREADABLE = re.compile(r"error: (?:Couldn't parse requirement|Unexpected)")


def find_unreadable(requirements: Iterable[str]) -> Iterator[str]:
    """Yield a sentence for each requirement that no installer can read.

    Args:
        requirements: the requirements of a component, without options.
    """
    for requirement in requirements:
        if not _VALID.fullmatch(requirement) and not _OTHER.match(requirement):
            reason = _ask_uv(requirement)
            if reason:
                yield f"invalid requirement {hide_password(requirement)!r} in packages_to_install: {reason}"


def _ask_uv(requirement: str) -> str:
    """Return why uv cannot read a requirement; empty if it can, or is missing."""
    import subprocess  # costs 20 ms, and few requirements are read here

    uv = find_uv()
    if uv is None:
        return ""
    command = [uv, "pip", "compile", "--quiet", "--offline", "--no-deps", "--no-config", "--no-index", "-"]
    with suppress(OSError, subprocess.SubprocessError):
        streams = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
        with start_process(command, text=True, encoding="utf-8", cwd="/", **streams) as process:
            errors = process.communicate(requirement)[1]
        if process.returncode == 2 and _UNREADABLE.match(errors):
            return _first_cause(errors)
    return ""


def _first_cause(errors: str) -> str:
    """Return the reason that uv states, in one line."""
    first, *causes = errors.splitlines()
    return next((line.strip().removeprefix("cause: ") for line in causes if "cause: " in line), first)
