from standpipe import dsl, local

# Runs chains of trivial tasks. Argument: {"runner": …, "packages": […], "lengths": […], "objects": number, "to": file}.
# It writes to that file, as JSON, the seconds of each chain, in order, and the peak memory of this process.
import json
import resource
import sys
import time

request = json.loads(sys.argv[1])
local.init(runner=getattr(local, request["runner"])())
others = [[number] for number in range(request["objects"])]  # which have nothing to do with the chains


@dsl.component(packages_to_install=request["packages"])
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


seconds = [seconds_of_chain(length) for length in request["lengths"]]
with open(request["to"], "w") as file:
    json.dump({"seconds": seconds, "max_rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}, file)
