"""The packages that components ask for, compared with those of this process."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache

#: A requirement by name, with its exact version or a range. Those with markers, options, paths and URLs do not match.
_REQUIREMENT = re.compile(r"([A-Za-z0-9][\w.-]*)\s*(?:\[[^\]]*\])?\s*(?:==\s*([^\s,;*/]+)|[<>=!~][^;/@]*)?")


def find_differences(packages: Sequence[str]) -> Iterator[str]:
    """Yield a phrase for each package that is missing here, or is another version than the one that is pinned.

    Args:
        packages: the requirements, as in `packages_to_install`. Markers, options, paths and URLs are left out.
    """
    for requirement in packages:
        match = _REQUIREMENT.fullmatch(requirement.strip())
        if not match:
            continue
        name, pinned = match[1], match[2]
        installed = _version(name)
        if installed is None:
            yield f"{name} is missing"
        elif pinned and installed != pinned:
            yield f"{name} is {installed}, not {pinned}"


@cache  # a look-up reads the folders of `sys.path`
def _version(name: str) -> str | None:
    from importlib import metadata  # takes a while, and only components with packages need it

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
