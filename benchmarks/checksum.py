"""The checksum of an artifact of 2 GB, compared with a bare SHA-256 of it.

    python checksum.py FOLDER

Prints as JSON the median seconds of both (`checksum`, `sha256`), measured in turns.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from standpipe.model.cancellation import Cancellation
from standpipe.support.checksums import compute_checksum

RUNS = 5
BLOCK = 2**20
SIZE = 2 * 10**9


def main(folder: Path) -> None:
    """Measure and print."""
    payload = folder / "payload"
    with payload.open("wb") as file:
        for number in range(SIZE // BLOCK):
            file.write(number.to_bytes(8, "big") * (BLOCK // 8))
    samples = [
        (_time(lambda: compute_checksum(str(payload), Cancellation())), _time(lambda: _sha256(payload)))
        for _ in range(RUNS)
    ]
    checksum, sha256 = (median(column) for column in zip(*samples, strict=True))
    print(json.dumps({"checksum": checksum, "sha256": sha256}))


def _time(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _sha256(payload: Path) -> None:
    digest = hashlib.sha256()
    with payload.open("rb", buffering=0) as file:
        while block := file.read(BLOCK):
            digest.update(block)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
