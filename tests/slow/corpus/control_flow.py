"""What Standpipe does not run yet, compiled by the KFP SDK: python control_flow.py <folder>."""

import sys
import warnings
from pathlib import Path

from kfp import compiler, dsl
from kfp.dsl import Dataset, Input

warnings.simplefilter("ignore")
FOLDER = Path(sys.argv[1])
PIN = {"base_image": "python:3.11"}


@dsl.component(**PIN)
def add(a: int, b: int) -> int:
    return a + b


@dsl.component(install_kfp_package=False, **PIN)
def no_kfp(x: str) -> str:
    return x


@dsl.component(**PIN)
def report(status: dsl.PipelineTaskFinalStatus, note: str = "n") -> None:
    pass


@dsl.component(**PIN)
def take(data: Input[Dataset]) -> None:
    pass


@dsl.pipeline(name="exit-handler")
def exit_handler(url: str):
    with dsl.ExitHandler(report(note=url)):
        no_kfp(x=url)


@dsl.pipeline(name="condition")
def condition(x: int):
    with dsl.If(x == 1):
        add(a=x, b=2)


@dsl.pipeline(name="loop")
def loop():
    with dsl.ParallelFor([1, 2]) as item:
        add(a=item, b=2)


@dsl.pipeline(name="import-data")
def import_data():
    take(data=dsl.importer("gs://bucket/data", artifact_class=Dataset).output)


CORPUS = [exit_handler, condition, loop, import_data]

if __name__ == "__main__":
    for entry in CORPUS:
        compiler.Compiler().compile(entry, str(FOLDER / f"{entry.name}.yaml"))
