"""Pass a parameter of 100 MB from one task to another. Argument: a pipeline root. Prints JSON: seconds, peak memory."""

from __future__ import annotations

import json
import resource
import sys
import time

from standpipe import dsl, local


@dsl.component
def produce(size: int) -> str:
    """Return a large text."""
    return "x" * size


@dsl.component
def consume(text: str) -> int:
    """Return the length of a text."""
    return len(text)


@dsl.pipeline
def passing(size: int) -> int:
    """Pass a text of this many characters."""
    return consume(text=produce(size=size).output).output  # type: ignore[no-any-return]


def main() -> None:
    """Measure the second run, whose fork server has started."""
    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=sys.argv[1], quiet=True)
    assert passing(size=1).output == 1
    start = time.perf_counter()
    assert passing(size=100_000_000).output == 100_000_000
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "max_rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}))


if __name__ == "__main__":
    main()
