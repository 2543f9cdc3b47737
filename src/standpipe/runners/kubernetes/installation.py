"""Whether the extra `kubernetes` is installed."""

from __future__ import annotations

from importlib import import_module

from standpipe.errors import RunnerError


def check_installed() -> None:
    """Check that the extra is installed.

    Raises:
        RunnerError: if it is not.
    """
    try:
        import_module("lightkube")
        import_module("obstore")
    except ImportError as error:
        raise RunnerError(
            f"The KubernetesRunner needs the packages lightkube and obstore, which cannot be imported: {error}. "
            "Install them: pip install 'standpipe[kubernetes]'"
        ) from error
