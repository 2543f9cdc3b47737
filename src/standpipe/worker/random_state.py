"""What tasks that are forked after their imports would have in common, and fresh interpreters do not.

A fresh interpreter seeds some generators from the system while it imports their modules. All processes that are forked
later would draw the same numbers from them. Nothing is to be done for

* generators that start in the same state in every interpreter: those of OpenCV, `torch.Generator()`, keys of JAX;
* Python's `random`, `tempfile` and OpenSSL, which take care of forks, and `uuid`, which asks the system each time;
* the seed of `hash(str)`, which cannot be changed later. Fork servers have always shared it among their tasks.
"""

from __future__ import annotations

import os
import time
from typing import Any, Callable, Dict


def reseed(find_module: Callable[[str], Any]) -> None:
    """Renew what fresh interpreters have different, in a forked process, before the user's code.

    It costs 0.2 ms with NumPy and PyTorch loaded. Generators that a library has seeded during its import stay as they
    are, where that can be seen.

    Args:
        find_module: returns a module that was imported before the fork, by its name; None if it was not. A look at all
            modules would cost 7 ms with pandas: their memory is copied for this process.
    """
    for name, renew in _RENEWALS.items():
        module = find_module(name)
        if module is not None:
            renew(module)


def _renew_numpy(mtrand: Any) -> None:
    """Reseed the generator of `numpy.random.rand` and its like, which libraries hold references to, in place."""
    generator = mtrand._rand
    bits = getattr(generator, "_bit_generator", None)  # older than NumPy 1.17: None
    if getattr(bits, "seed_seq", getattr(bits, "_seed_seq", True)) is not None:  # `numpy.random.seed` sets None
        generator.seed()


def _renew_torch(random: Any) -> None:
    """Reseed the default generator of the CPU, without a look at other devices, whose seeds are constants at first."""
    random.default_generator.seed()


def _renew_logging(logging: Any) -> None:
    """Let `%(relativeCreated)d` count from now."""
    is_integer = isinstance(logging._startTime, int)  # since Python 3.13
    logging._startTime = time.time_ns() if is_integer else time.time()


def _renew_multiprocessing(process: Any) -> None:
    """Renew the key with which the processes of one program recognize each other."""
    process.current_process().authkey = os.urandom(32)


#: By the name of the module that has the state: what renews it.
_RENEWALS: Dict[str, Callable[[Any], None]] = {
    "logging": _renew_logging,
    "multiprocessing.process": _renew_multiprocessing,
    "numpy.random.mtrand": _renew_numpy,
    "torch.random": _renew_torch,
}
