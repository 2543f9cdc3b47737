from standpipe import dsl, local

import importlib
import json
import sys
import time

assert local, "the import line of all programs"
compiler, components = (
    importlib.import_module(dsl.__name__.replace("dsl", name)) for name in ("compiler", "components")
)


@dsl.component
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@dsl.component(packages_to_install=["pandas"])
def write(rows: int, name: str, data: dsl.Output[dsl.Dataset]):
    """Write a dataset."""
    with open(data.path, "w") as file:
        file.write(name * rows)


def define(tasks: int):
    """Return a pipeline: half of its tasks form a chain, and half use its results in different ways."""

    @dsl.pipeline
    def large(start: int = 1):
        value = start
        for number in range(tasks // 4):
            task = add(a=value, b=1).set_caching_options(False)
            value = add(a=task.output, b=number).output
            write(rows=value, name=f"item {number}").set_display_name(f"write {number}")
            with dsl.If(task.output == 3):
                add(a=1, b=2).after(task)

    return large


def main(tasks: int, path: str, to: str) -> None:
    """Write the seconds of CPU time of compiling a pipeline and of loading the file, each for the first time."""
    start = time.process_time()
    compiler.Compiler().compile(define(tasks), path)
    compiled = time.process_time()
    components.load_component_from_file(path)
    loaded = time.process_time()
    with open(to, "w") as file:
        json.dump({"compile": compiled - start, "load": loaded - compiled}, file)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3])
