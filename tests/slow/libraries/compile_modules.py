"""Compiles what modules define, with whatever `kfp` is at hand: python compile_modules.py <folder> <module> ...

With `--apart` before the folder, a process is forked for each module, so that each import is the first.

A module is a name or the path of a file. Leaves in the folder `<module>.<name>.yaml` for every component or pipeline in
it, or the same with `.error` if it does not compile, and `<module>.error` if it cannot be imported. An error has the
names of the exception's classes in its first line.
"""

import importlib.util
import multiprocessing
import os
import sys
import traceback
import warnings
from functools import partial
from pathlib import Path
from types import ModuleType

from kfp import compiler  # the SDK's, or ours by install_as_kfp
from kfp.dsl import base_component


def main(folder: Path, *modules: str) -> None:
    warnings.simplefilter("ignore")
    for module in modules:
        label = Path(module).stem if module.endswith(".py") else module
        try:
            names = dict(vars(import_module(module)))
        except Exception as error:  # noqa: BLE001  # whatever it is, the next module is imported
            write_error(folder / f"{label}.error", error)
            continue
        for name, value in names.items():
            if isinstance(value, base_component.BaseComponent):
                compile_one(value, folder / f"{label}.{name}.yaml")


def import_module(module: str) -> ModuleType:
    if not module.endswith(".py"):
        return importlib.import_module(module)
    spec = importlib.util.spec_from_file_location(Path(module).stem, module)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def compile_one(component: base_component.BaseComponent, file: Path) -> None:
    try:
        compiler.Compiler().compile(component, str(file))
    except Exception as error:  # noqa: BLE001  # whatever it is, the next one is compiled
        write_error(file.with_suffix(".error"), error)


def write_error(file: Path, error: Exception) -> None:
    bases = " ".join(base.__name__ for base in type(error).__mro__)
    file.write_text(f"{bases}\n{''.join(traceback.format_exception(error))}", encoding="utf-8")


def compile_apart(folder: Path, *modules: str) -> None:
    with multiprocessing.get_context("fork").Pool(os.cpu_count(), maxtasksperchild=1) as pool:
        pool.map(partial(main, folder), modules, chunksize=1)


if __name__ == "__main__":
    if sys.argv[1] == "--apart":
        compile_apart(Path(sys.argv[2]), *sys.argv[3:])
    else:
        main(Path(sys.argv[1]), *sys.argv[2:])
