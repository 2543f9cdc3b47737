from standpipe import dsl, local

# Runs chains of trivial tasks. Argument: {"runner": …, "packages": […], "lengths": […], "to": file}. To that file it
# writes, as JSON, the seconds that each chain took, in order, and the most memory that this process ever had.
import json
import resource
import sys
import time

asked = json.loads(sys.argv[1])
local.init(runner=getattr(local, asked["runner"])())


@dsl.component(packages_to_install=asked["packages"])
def step(x: int) -> int:
    return x + 1


def seconds_of_chain(length):
    @dsl.pipeline
    def chain(x: int) -> int:
        task = step(x=x)
        for _ in range(length - 1):
            task = step(x=task.output)
        return task.output

    start = time.perf_counter()
    assert chain(x=0).output == length
    return time.perf_counter() - start


seconds = [seconds_of_chain(length) for length in asked["lengths"]]
with open(asked["to"], "w") as file:
    json.dump({"seconds": seconds, "max_rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}, file)
