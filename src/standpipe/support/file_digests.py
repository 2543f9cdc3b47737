"""Digests of the content of files, by one of two algorithms.

`sha256` is the SHA-256 of the content. `blake3-4m` is the BLAKE3 of the BLAKE3 digests, 32 bytes each, of the pieces of
4 MiB that the content consists of, at least one. So threads read and hash a file together: on two cores it takes less
than a third of the time of SHA-256, even where the processor has instructions for that (2 GB: 0.7 s of CPU time instead
of 1.5 s, each with 0.2 s to read them).

BLAKE3 has threads of its own, which cannot be interrupted and which a forked child does not have. To map the file into
memory would be as fast, but a task that truncates it meanwhile would kill this process.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from threading import Thread
from typing import Protocol

from standpipe.model.cancellation import Cancellation
from standpipe.support.machine_capacity import count_cores
from standpipe.support.untrusted_files import open_regular

SHA256 = "sha256"
BLAKE3 = "blake3-4m"

#: From this size of a payload on, in bytes, BLAKE3 is worth its import of 3 ms.
_LARGE = 16 * 1024 * 1024

#: The bytes of a piece. This number is part of the algorithm.
_PIECE = 4 * 1024 * 1024

#: The bytes that are read at once; they stay in the cache of the processor until they are hashed.
_BLOCK = 256 * 1024

#: More threads would wait for the memory.
_MOST_THREADS = 8


class Hash(Protocol):
    """What `hashlib` and `blake3` have in common."""

    def update(self, data: bytes | memoryview, /) -> object: ...

    def digest(self) -> bytes: ...

    def hexdigest(self) -> str: ...


class Cancelled(Exception):
    """The caller has stopped waiting."""


def choose_algorithm(size: int) -> str:
    """Return the algorithm for a payload of so many bytes."""
    return BLAKE3 if size >= _LARGE else SHA256


def new_hash(algorithm: str) -> Hash:
    """Return what computes a digest by the hash function of an algorithm."""
    if algorithm == SHA256:
        return hashlib.sha256()
    from blake3 import blake3  # only large payloads need it

    return blake3()


def compute_digest(path: str, algorithm: str, cancel: Cancellation) -> str:
    """Return the digest of a file, in hexadecimal digits.

    Args:
        path: the path of the file.
        algorithm: `SHA256` or `BLAKE3`.
        cancel: stops the reading.

    Raises:
        OSError: if the file cannot be read.
        Cancelled: once `cancel` is set.
    """
    file = open_regular(path)
    try:
        size = os.fstat(file).st_size  # what is appended meanwhile may have no end, and is noticed later
        if algorithm == SHA256:
            return _hash_part(file, 0, size, SHA256, cancel, _make_buffer(size)).hexdigest()
        count = max(1, -(-size // _PIECE))
        digests = [b""] * count

        def hash_pieces(numbers: range) -> None:
            buffer = _make_buffer(size)
            for number in numbers:
                begin = number * _PIECE
                end = min(begin + _PIECE, size)
                digests[number] = _hash_part(file, begin, end, algorithm, cancel, buffer).digest()

        _share(hash_pieces, count)
        combined = new_hash(algorithm)
        combined.update(b"".join(digests))
        return combined.hexdigest()
    finally:
        os.close(file)


def _make_buffer(size: int) -> memoryview:
    return memoryview(bytearray(min(size, _BLOCK)))


def _hash_part(file: int, begin: int, end: int, algorithm: str, cancel: Cancellation, buffer: memoryview) -> Hash:
    part = new_hash(algorithm)
    # Into one buffer: a new one for each block costs more than the system call. macOS has `preadv` since version 11.
    while begin < end and (count := os.preadv(file, [buffer[: end - begin]], begin)):
        if cancel:
            raise Cancelled
        part.update(buffer[:count])
        begin += count
    return part


def _share(work: Callable[[range], None], count: int) -> None:
    """Call a function with some of the numbers below `count` in each of several threads, and raise what it raises."""
    errors: list[BaseException] = []
    number_of_threads = min(count_cores(), count, _MOST_THREADS)

    def work_on(first: int) -> None:
        try:
            work(range(first, count, number_of_threads))
        except BaseException as error:  # noqa: BLE001 - raised below, in the thread of the caller
            errors.append(error)

    threads = [Thread(target=work_on, args=(first,), daemon=True) for first in range(1, number_of_threads)]
    for thread in threads:
        thread.start()
    work_on(0)
    for thread in threads:
        thread.join()  # each uses the file
    if errors:
        raise errors[0]
