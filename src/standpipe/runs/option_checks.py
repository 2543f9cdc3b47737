"""The checks of the options of a run: each raises an `ArgumentError` for a value that its option cannot have.

They are called with the name of the option and the value, before anything of a run is written.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping

from standpipe import faults
from standpipe.errors import ArgumentError, StorageError
from standpipe.model.locations import is_remote
from standpipe.runners.api import LocalRunner, suggestions

#: How a task that asks for more than the machine has is treated (`model.resources.ResourcePolicy`).
RESOURCE_POLICIES = ("clamp", "strict", "ignore")


def no_check(name: str, value: object) -> None:
    """Accept any value, because only its truth matters."""


def check_folder(name: str, value: object) -> None:
    """Raise an ArgumentError unless the value is the path of a folder on this machine."""
    if not isinstance(value, (str, os.PathLike)) or not isinstance(path := os.fspath(value), str) or "\0" in path:
        raise ArgumentError(f"Invalid {name}={value!r}: expected the path of a folder, as str or pathlib.Path.")
    if not path:  # such as a variable that is not set, which must not mean the current folder
        raise ArgumentError(f"Invalid {name}='': expected the path of a folder. Write '.' for the current one.")
    if is_remote(path):
        hint = " Runs whose artifacts are at a URI are in their state root." if name == "pipeline_root" else ""
        raise ArgumentError(f"Invalid {name}={path!r}: expected a folder on this machine.{hint}")


def check_root(name: str, value: object) -> None:
    """Raise an ArgumentError unless the value is a folder of this machine, or a URI that artifacts can be put below."""
    if not isinstance(value, str) or not is_remote(value):
        check_folder(name, value)
        return
    from standpipe.artifact_stores import clients  # few runs need it

    if not clients.knows(value):
        schemes = ", ".join(f"{scheme}://" for scheme in clients.SCHEMES)
        raise ArgumentError(
            f"Invalid {name}={value!r}: {clients.find_problem(value)}. Expected a folder on this machine, a URI with "
            f"{schemes}, or one that fsspec has a client for."
        )
    if "?" in value:
        raise ArgumentError(
            f"Invalid {name}={value!r}: a root has no query. Set the address and the region in the environment."
        )
    try:
        clients.parse(value)
    except StorageError as error:
        raise ArgumentError(f"Invalid {name}={value!r}: {error}") from error
    if problem := clients.find_problem(value):
        raise ArgumentError(f"Invalid {name}={value!r}: {problem}.")


def check_optional_folder(name: str, value: object) -> None:
    """Raise an ArgumentError unless the value is None, or the path of a folder on this machine."""
    if value is not None:
        check_folder(name, value)


def check_tracker(name: str, value: object) -> None:
    """Raise an ArgumentError unless the value is None, or the URL of a server for the tracker of that name."""
    if value is not None:
        from standpipe.trackers.api import check_server  # few runs need it

        check_server(name, value)


def check_source_root(name: str, value: object) -> None:
    """Raise an ArgumentError unless the value is None, or the path of a folder that exists."""
    if value is None:
        return
    check_folder(name, value)
    assert isinstance(value, (str, os.PathLike)), "it is checked"
    if not os.path.isdir(os.path.expanduser(value)):
        raise ArgumentError(
            f"Invalid {name}={os.fspath(value)!r}: there is no such folder. Pass the folder that holds your modules."
        )


def check_runner(name: str, value: object) -> None:
    """Raise an ArgumentError unless the value is a runner."""
    if not isinstance(value, LocalRunner):
        raise ArgumentError(f"Invalid {name}={value!r}: expected {' or '.join(suggestions())}.")


def check_count(name: str, value: object) -> None:
    """Raise an ArgumentError unless the value is a whole number, at least 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ArgumentError(f"Invalid {name}={value!r}: expected a whole number of tasks, at least 1.")


def check_size(name: str, value: object) -> None:
    """Raise an ArgumentError unless the value is a number of bytes as text."""
    from standpipe.model.resources import QuantityError, parse_memory  # the command line does without it

    try:
        parse_memory(value if isinstance(value, str) else "")
    except QuantityError:
        raise ArgumentError(
            f"Invalid {name}={value!r}: expected a number of bytes as text, such as '20Gi' or '500M'."
        ) from None


def check_policy(name: str, value: object) -> None:
    """Raise an ArgumentError unless the value is one of `RESOURCE_POLICIES`."""
    if value not in RESOURCE_POLICIES:
        raise ArgumentError(f"Invalid {name}={value!r}: expected one of {', '.join(map(repr, RESOURCE_POLICIES))}.")


def check_kubernetes(name: str, value: object) -> None:
    """Raise an ArgumentError unless the value is None, a mapping, or the path of a file or folder that exists."""
    if isinstance(value, (str, os.PathLike)):
        if not os.path.exists(os.path.expanduser(value)):
            raise ArgumentError(
                f"Invalid {name}={str(value)!r}: there is no such file or folder. Pass the path of a file or folder "
                "with the contents of secrets, config maps and PVCs."
            )
    elif not isinstance(value, (Mapping, type(None))):
        raise ArgumentError(f"Invalid {name}: expected a file, a folder or a mapping, got {type(value).__name__}.")


def check_faults(_: str, value: object) -> None:
    """Raise an ArgumentError unless the value is a list of faults."""
    faults.check_faults(value)


def check_names(name: str, value: object) -> None:
    """Raise an ArgumentError unless the value is a list of texts."""
    if not isinstance(value, Collection) or isinstance(value, str) or not all(isinstance(each, str) for each in value):
        raise ArgumentError(
            f"Invalid {name}={value!r}: expected a list of names of environment variables, such as ['API_TOKEN']."
        )
