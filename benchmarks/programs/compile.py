from standpipe import dsl, local

# Compiles a pipeline of tasks, and loads a compiled file. Argument: {"tasks": …, "load": path or null, "save": path,
# "to": file}. It writes to that file, as JSON, the CPU seconds of tracing and compiling, and those of loading.
import importlib
import json
import sys
import time

request = json.loads(sys.argv[1])
package = local.__name__.partition(".")[0]
compiler = importlib.import_module(f"{package}.compiler")
components = importlib.import_module(f"{package}.components")


@dsl.component
def step(x: int) -> int:
    return x + 1


def compile_pipeline(tasks, path):
    @dsl.pipeline(name="steps")
    def steps(x: int) -> int:
        task = step(x=x)
        for _ in range(tasks - 1):
            task = step(x=task.output)
        return task.output

    compiler.Compiler().compile(steps, path)


def cpu_seconds(call, *arguments):
    start = time.process_time()
    call(*arguments)
    return time.process_time() - start


compile_pipeline(10, "small.yaml")  # imports what compiling needs
result = {"compile": cpu_seconds(compile_pipeline, request["tasks"], request["save"])}
if request["load"]:
    components.load_component_from_file("small.yaml")
    result["load"] = cpu_seconds(components.load_component_from_file, request["load"])
with open(request["to"], "w") as file:
    json.dump(result, file)
