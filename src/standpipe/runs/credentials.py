"""The credentials of object stores that the user provides as objects of a cluster, and not in the environment."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from standpipe.artifact_stores.providers import Providers
    from standpipe.pods.provisions import Source


def find_providers(source: Source) -> Providers:
    """Return where the credentials of object stores are that the environment does not have.

    Args:
        source: what the option `kubernetes` names.

    Raises:
        ArgumentError: if it cannot be read.
    """
    from standpipe.artifact_stores import providers  # few runs have remote payloads
    from standpipe.pods import provisions

    provided = provisions.read(source)
    configuration = provided.parse_config(providers.CONFIG_MAP, providers.KEY)
    return providers.Providers(configuration, provided.data[provisions.Kind.SECRET])
