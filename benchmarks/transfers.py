"""Uploads and downloads of a large file and of many small ones, beside boto3, with the same S3 server (moto).

    python transfers.py FOLDER PYTHON MEGABYTES FILES

PYTHON is that of an environment with moto and boto3. Prints as JSON the seconds of each: `large_put`, `large_get`,
`small_put`, `small_get`, and those of boto3, with 16 threads, with `boto3_` before their names. The server is the same
for both, and slower than a real one: the figures compare, and say nothing about networks.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from standpipe.artifact_stores.remote import RemoteArtifactStore
from standpipe.model.cancellation import Cancellation
from standpipe.model.types import ArtifactType
from standpipe.model.values import ArtifactValue

T = TypeVar("T")

LIMIT = 10**11

#: The same transfers by boto3: arguments are the address, the source, the prefix and the target.
BOTO3 = """
import sys, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import boto3, botocore.config
url, source, prefix, target = sys.argv[1], Path(sys.argv[2]), sys.argv[3], Path(sys.argv[4])
s3 = boto3.client("s3", endpoint_url=url, config=botocore.config.Config(max_pool_connections=16))
files = [path for path in source.rglob("*") if path.is_file()] if source.is_dir() else [source]
names = {path: f"{prefix}/{path.relative_to(source.parent)}" for path in files}
for name in names:
    (target / names[name]).parent.mkdir(parents=True, exist_ok=True)
began = time.perf_counter()
with ThreadPoolExecutor(16) as pool:
    list(pool.map(lambda path: s3.upload_file(str(path), "data", names[path]), files))
middle = time.perf_counter()
with ThreadPoolExecutor(16) as pool:
    list(pool.map(lambda path: s3.download_file("data", names[path], str(target / names[path])), files))
print(middle - began, time.perf_counter() - middle)
"""


def main(folder: Path, python: Path, megabytes: int, files: int) -> None:
    """Start the server, measure, and print."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")  # the server takes any values
    regions = dict.fromkeys(("AWS_REGION", "AWS_DEFAULT_REGION"), "us-east-1")
    # As boto3 does: moto (5.2.5) copies an upload in parts several times as a whole if its checksums are not named.
    checksums = {"AWS_CHECKSUM_ALGORITHM": "SHA256"}
    os.environ.update({"AWS_ENDPOINT_URL": url, **dict.fromkeys(names, "benchmark"), **regions, **checksums})
    server = subprocess.Popen(
        [str(python.with_name("moto_server")), "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _make_bucket(python, url)
        print(json.dumps(_measure(folder, python, url, megabytes, files)))
    finally:
        server.kill()
        server.wait()


def _make_bucket(python: Path, url: str) -> None:
    code = f"import boto3; boto3.client('s3', endpoint_url={url!r}).create_bucket(Bucket='data')"
    for _ in range(60):
        if subprocess.run([str(python), "-c", code], capture_output=True, check=False).returncode == 0:
            return
        time.sleep(0.5)
    raise SystemExit("the S3 server does not answer")


def _measure(folder: Path, python: Path, url: str, megabytes: int, files: int) -> dict[str, float]:
    large = _measure_kind(folder, python, url, "large", lambda path: _write_large(path, megabytes))
    return {**large, **_measure_kind(folder, python, url, "small", lambda path: _write_small(path, files))}


def _measure_kind(folder: Path, python: Path, url: str, kind: str, make: Callable[[Path], None]) -> dict[str, float]:
    task, copy = folder / kind / "run" / "task", folder / f"{kind}-copy"
    task.mkdir(parents=True)
    store = RemoteArtifactStore(folder / kind, f"s3://data/{kind}", LIMIT)
    location = store.locate(task, "payload")
    make(Path(store.local_path(location)))
    shutil.copytree(task, copy)
    checksum, put = _time(lambda: store.put(location, Cancellation()))
    shutil.rmtree(folder / kind / ".payloads")
    artifact = ArtifactValue("payload", ArtifactType("system.Dataset"), location, checksum=checksum)
    _, get = _time(lambda: _get(store, artifact))
    command = [str(python), "-c", BOTO3, url, str(copy / "payload"), f"boto3-{kind}", str(folder / f"{kind}-boto3")]
    boto3 = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return {
        f"{kind}_put": put,
        f"{kind}_get": get,
        f"boto3_{kind}_put": float(boto3[0]),
        f"boto3_{kind}_get": float(boto3[1]),
    }


def _get(store: RemoteArtifactStore, artifact: ArtifactValue) -> None:
    with store.provide([artifact], Cancellation()):
        pass


def _write_large(path: Path, megabytes: int) -> None:
    with path.open("wb") as file:
        for number in range(megabytes):
            file.write(number.to_bytes(8, "big") * 2**17)


def _write_small(path: Path, files: int) -> None:
    path.mkdir()
    for number in range(files):
        (path / f"{number}.txt").write_text(str(number) * 100)


def _time(call: Callable[[], T]) -> tuple[T, float]:
    began = time.perf_counter()
    result = call()
    return result, time.perf_counter() - began


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
