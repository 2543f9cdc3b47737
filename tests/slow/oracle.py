"""The corpus as compiled by the KFP SDK and by us, and how documents are compared."""

from __future__ import annotations

import base64
import gzip
import io
import json
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

CORPUS = Path(__file__).parent / "corpus"
AS_KFP = """
import runpy, sys, standpipe
standpipe.install_as_kfp()
runpy.run_path(sys.argv.pop(1), run_name="__main__")
"""
#: Runs a script with our `kfp` modules.
OURS = [sys.executable, "-c", AS_KFP]
_ARCHIVE = re.compile(r"\bH4sI[A-Za-z0-9+/]{40,}={0,2}")
#: The program that unpacks an archive, which differs between the SDKs.
_UNPACKING = re.compile(r"(__KFP_EMBEDDED_ARCHIVE_B64 = '[^']*')\n.*\n(?=def )", re.DOTALL)


@pytest.fixture(scope="session")
def compiled(kfp_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the corpus as the SDK compiles it: see compile_all.py."""
    return compile_corpus([kfp_python], tmp_path_factory.mktemp("theirs"))


def compile_corpus(command: Sequence[str | Path], folder: Path) -> Path:
    subprocess.run([*command, CORPUS / "compile_all.py", "."], check=True, cwd=folder)
    return folder


def documents(text: str) -> list[Any]:
    """Return the documents of a file, without the version of the SDK and the metadata of archives."""
    return [_plain(document) for document in yaml.load_all(text, yaml.CSafeLoader)]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if key != "sdkVersion"}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return _ARCHIVE.sub(_unpacked, _UNPACKING.sub(r"\1\n", value)) if isinstance(value, str) else value


def _unpacked(match: re.Match[str]) -> str:
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(base64.b64decode(match[0])))) as archive:
        members = [(member, archive.extractfile(member)) for member in archive.getmembers()]
        found = [(member.name, file.read().decode() if file else None) for member, file in members]
    return json.dumps(sorted(found))


def differences(theirs: Any, ours: Any, path: str = "") -> Iterator[str]:
    """Return the paths where two documents differ, with both values; a missing value is `…`."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key in sorted(theirs.keys() | ours.keys(), key=str):
            yield from differences(theirs.get(key, ...), ours.get(key, ...), f"{path}.{key}".lstrip("."))
    elif isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        for index, (their, our) in enumerate(zip(theirs, ours, strict=True)):
            yield from differences(their, our, f"{path}[{index}]")
    elif theirs != ours or isinstance(theirs, bool) != isinstance(ours, bool):
        yield f"{path}\n      theirs: {_shown(theirs)}\n      ours:   {_shown(ours)}"


def _shown(value: Any) -> str:
    text = "…" if value is ... else repr(value)
    return text if len(text) < 300 else f"{text[:300]} …"
