"""Compiled documents are those of the KFP SDK, for the corpus and for random programs."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from standpipe import ir

from .generated import programs
from .oracle import CORPUS, OURS, compile_corpus, differences, documents

pytestmark = pytest.mark.slow

PROGRAMS = 60
#: The suffixes of files that the SDK compiles to documents that cannot run: see entries.py.
WRONG = (".quirk.yaml", ".garbled.yaml")


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the corpus as we compile it."""
    return compile_corpus(OURS, tmp_path_factory.mktemp("ours"))


def test_the_sdk_compiles_the_whole_corpus(compiled: Path) -> None:
    assert [file.name for file in compiled.glob("*.error")] == []
    assert len(entries(compiled)) > 400


def test_the_sdk_refuses_each_refusal_of_the_corpus(compiled: Path) -> None:
    accepted = [name for name, answer in refusals(compiled).items() if not answer]

    assert accepted == []


def test_every_entry_compiles_to_the_same_documents(compiled: Path, ours: Path) -> None:
    found = {name: list(compare(compiled / name, ours / name)) for name in entries(compiled)}
    different = {name: lines for name, lines in found.items() if lines}

    modules = [file.read_text(encoding="utf-8") for file in sorted(ours.glob("*.module.error"))]
    report = "\n".join([*modules, *(f"  {name}: {lines[0]}{more(lines)}" for name, lines in different.items())])
    assert not different, f"{len(different)} of {len(found)} entries differ:\n{report}"


def test_entries_that_the_sdk_compiles_wrongly_are_correct_here(compiled: Path, ours: Path) -> None:
    """No cluster can run the SDK's documents of these entries, so ours differ: they only have valid references."""
    names = sorted(file.name for kind in WRONG for file in compiled.glob(f"*{kind}"))
    same = [name for name in names if not list(compare(compiled / name, ours / name))]

    assert len(names) > 10
    assert same == []
    for name in names:
        assert "{{channel:" not in (ours / name).read_text(encoding="utf-8")
        assert ir.read(ours / name).components


def test_we_refuse_what_the_sdk_refuses(compiled: Path, ours: Path) -> None:
    theirs, answers = refusals(compiled), refusals(ours)
    ill = {
        name: answers.get(name) or "was accepted"
        for name in theirs
        if "StandpipeError" not in answers.get(name, {}).get("bases", [])
    }

    report = "\n".join(f"  {name}: {answer}\n    theirs: {theirs[name]}" for name, answer in ill.items())
    assert not ill, f"{len(ill)} of {len(theirs)} scripts are not refused with an error of ours:\n{report}"


def entries(folder: Path) -> list[str]:
    files = [file.name for file in folder.iterdir() if file.suffix in (".yaml", ".json")]
    return sorted(name for name in files if not name.endswith(WRONG))


def refusals(folder: Path) -> dict[str, dict[str, Any]]:
    return {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in sorted(folder.glob("refused/*.json"))}


def compare(theirs: Path, ours: Path) -> Iterator[str]:
    error = ours.with_name(f"{ours.name.split('.')[0]}.error")
    if error.exists():
        yield error.read_text(encoding="utf-8").strip().splitlines()[-1]
    elif not ours.exists():
        yield "the module that it is in could not be imported"
    else:
        yield from differences(documents(theirs.read_text("utf-8")), documents(ours.read_text("utf-8")))


def more(lines: Sequence[str]) -> str:
    return f"\n      and {len(lines) - 1} more" if len(lines) > 1 else ""


# random programs


class Server:
    """A process that compiles programs: see serve.py."""

    def __init__(self, command: Sequence[str | Path], folder: Path) -> None:
        script = [*command, CORPUS / "serve.py"]
        self.process = subprocess.Popen(
            script, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=folder, text=True
        )

    def compile(self, source: str) -> dict[str, str]:
        """Return the documents as text, or the error."""
        assert self.process.stdin
        assert self.process.stdout
        print(json.dumps({"source": source}), file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())

    def close(self) -> None:
        self.process.communicate()


@pytest.fixture(scope="module")
def servers(kfp_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Server]]:
    """Return the SDK's server and ours."""
    folder = tmp_path_factory.mktemp("served")
    both = Server([kfp_python, "-W", "ignore"], folder), Server(OURS, folder)
    yield both
    for server in both:
        server.close()


def test_generated_programs_compile_to_the_same_documents(servers: tuple[Server, Server]) -> None:
    theirs, ours = servers
    refused = []

    # The same programs each time: now and then the SDK compiles a random program wrongly.
    @settings(max_examples=PROGRAMS, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(programs())
    def compile_both(source: str) -> None:
        expected = theirs.compile(source)
        if "error" in expected:
            refused.append(f"{expected['error']}\n{source}")
            return
        found = ours.compile(source)
        assert "error" not in found, f"{found['error']}\n{source}"
        different = list(differences(documents(expected["documents"]), documents(found["documents"])))
        assert not different, f"{different[0]}{more(different)}\n{source}"

    compile_both()
    assert len(refused) <= PROGRAMS // 10, "\n\n".join(refused)
