"""A task in a container: the wait for its request, and its end."""

from __future__ import annotations

import os

from .task import read, run, warm_up
from .teardown import Teardown
from .usage import write


def wait_for_request() -> bool:
    """Wait until the request of this process is written, which a byte on the standard input tells.

    Meanwhile everything that tasks use is imported. Afterwards the standard input is empty, as it is in a container
    that does not wait.

    Returns:
        False if the standard input has ended instead: nobody needs this process.
    """
    warm_up()
    is_needed = bool(os.read(0, 1))
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.close(empty)
    return is_needed


def run_to_end(path: str) -> int:
    """Execute the request in a file, and end this process; return the exit code if the interpreter has to finalize.

    Otherwise the code is known already, and recorded with the usage: the engine takes longer to report it.
    """
    owner = os.getpid()
    request = read(path)
    teardown = Teardown()
    code = run(path, request)
    if not request.get("usage_file") or not teardown.run():
        return code
    if os.getpid() != owner:  # the user's code has forked, and this is the child
        os._exit(code)
    try:
        write(request["usage_file"], exit_code=code)
    except OSError:  # a full disk, perhaps: the engine reports the code
        return code
    os._exit(code)
