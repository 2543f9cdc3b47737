"""Compiles the corpus with whatever `kfp` is at hand: python compile_all.py <folder> [<entry> ...].

Leaves in the folder a file for every entry, or `<entry>.error` if it failed, and in `refused` a file for every script
that must be refused: {"bases": names of the exception's classes, "message": …}, or {} if it was not refused.
"""

import importlib
import json
import sys
import traceback
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from corpus.entries import CORPUS, REFUSED
from kfp import compiler  # the SDK's, or ours by install_as_kfp

PROGRAMS = {"compile_all", "serve"}
MODULES = sorted({path.stem for path in Path(__file__).parent.glob("*.py")} - PROGRAMS)


def main(folder: Path, *names: str) -> None:
    warnings.simplefilter("ignore")
    for module in MODULES:
        try:
            importlib.import_module(f"corpus.{module}")
        except Exception:  # noqa: BLE001  # whatever it is, the next module is imported
            (folder / f"{module}.module.error").write_text(traceback.format_exc(), encoding="utf-8")
    for name in names or CORPUS:
        if name in CORPUS:
            compile_entry(folder, name)
    (folder / "refused").mkdir(exist_ok=True)
    for name in names or REFUSED:
        if name in REFUSED:
            refuse_entry(folder / "refused", name)


def compile_entry(folder: Path, name: str) -> None:
    entry = CORPUS[name]
    try:
        compiler.Compiler().compile(entry.make(), str(folder / f"{name}{entry.suffix}"), **entry.arguments)
    except Exception:  # noqa: BLE001  # whatever it is, the next entry is compiled
        (folder / f"{name}.error").write_text(traceback.format_exc(), encoding="utf-8")


def refuse_entry(folder: Path, name: str) -> None:
    answer = {}
    try:
        made = REFUSED[name]()
        if made is not None:
            compiler.Compiler().compile(made, str(folder / f"{name}.yaml"))
    except Exception as error:  # noqa: BLE001  # its class is what is asked for
        answer = {"bases": [base.__name__ for base in type(error).__mro__], "message": str(error)}
    (folder / f"{name}.json").write_text(json.dumps(answer), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
