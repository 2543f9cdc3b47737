"""The package indexes of a component, as its author names them and as a task's variables complete them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from standpipe.errors import InvalidPackages
from standpipe.model.locations import is_remote
from standpipe.model.plan import PythonFunction
from standpipe.runners.shell_variables import replace_variables
from standpipe.support.pip_commands import default_trusted_hosts

#: A password may contain `@`: it ends at the last one before the path, as pip and uv read it.
_PASSWORD = re.compile(r"//[^/\s]+@")


class Indexes(NamedTuple):
    """The URLs of package indexes, the first in place of PyPI, and the hosts that need no valid certificate."""

    urls: tuple[str, ...] = ()
    trusted_hosts: tuple[str, ...] = ()

    @property
    def options(self) -> tuple[tuple[str, str], ...]:
        """Pairs of the name of an option of `pip install` and its value."""
        return (
            *(("extra-index-url" if position else "index-url", url) for position, url in enumerate(self.urls)),
            *(("trusted-host", host) for host in self.trusted_hosts),
        )


def resolve_indexes(function: PythonFunction, variables: Mapping[str, str]) -> Indexes:
    """Return the indexes of a function with `$NAME` and `${NAME}` replaced.

    In a compiled command the URLs and hosts are not quoted, so that `sh` replaces variables in them and splits the
    result at blanks (`make_index_url_options` in `kfp/dsl/component_factory.py`, kfp 2.17.3). Hosts are trusted if the
    author lists them. If there is no list, those of `http://` URLs are, because pip ignores such an index otherwise.

    Args:
        function: the function.
        variables: the variables of the task.

    Raises:
        InvalidPackages: if a variable is not set.
    """
    if not function.index_urls:
        return Indexes()
    urls = _replace(function.index_urls, "pip_index_urls", function, variables)
    if function.trusted_hosts is None:
        return Indexes(urls, _unique(map(_host, default_trusted_hosts(urls))))
    hosts = _replace(function.trusted_hosts, "pip_trusted_hosts", function, variables)
    # pip takes `https://a/simple` for a host that never matches, so the old default of the SDK trusted none of these.
    return Indexes(urls, _unique(_host(host) for host in hosts if not host.startswith("https://")))


def has_variables(function: PythonFunction) -> bool:
    """Return whether the indexes of a function depend on the variables of its task."""
    return any("$" in text for text in (*function.index_urls, *(function.trusted_hosts or ())))


def hide_password(text: str) -> str:
    """Return a URL, or a requirement with one, without the user and password in it."""
    return _PASSWORD.sub("//***@", text)


def drop_password(text: str) -> str:
    """Return a URL without the user and password in it: they decide who may read an index, not what it has."""
    return _PASSWORD.sub("//", text)


def _replace(
    texts: tuple[str, ...], argument: str, function: PythonFunction, variables: Mapping[str, str]
) -> tuple[str, ...]:
    try:
        return tuple(word for text in texts for word in replace_variables(text, variables).split())
    except KeyError as error:
        (name,) = error.args
        raise InvalidPackages(
            f"{argument} of component {function.name!r} uses ${name}, which is not set. Set it for the task "
            f"(task.set_env_variable({name!r}, ...), or a config map or secret), or in the environment of this program."
        ) from None


def _host(text: str) -> str:
    """Return the host and port of a URL; the text itself if it is a host already."""
    return urlsplit(text).netloc.rpartition("@")[2] if is_remote(text) else text


def _unique(hosts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(filter(None, hosts)))
