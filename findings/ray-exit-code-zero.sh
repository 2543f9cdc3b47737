#!/bin/sh
# ray 2.60.0: a task that calls `sys.exit(0)` counts as a crash of its worker. Ray runs it four times, since it retries
# crashed tasks three times unless `max_retries=0` is passed, and then raises WorkerCrashedError. A task that has done
# its work thus does it four times, and has failed.
# Seen: on a new cluster of one machine. The message of the raylet says "Worker exits with an exit code 0".
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder"
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check ray==2.60.0
cat >"$folder/program.py" <<'PYTHON'
import sys

import ray

ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level="ERROR")


@ray.remote
def leave(path):
    with open(path, "a") as file:
        file.write("started\n")
    sys.exit(0)


try:
    ray.get(leave.remote(sys.argv[1]))
    result = "a result"
except ray.exceptions.WorkerCrashedError as error:
    result = type(error).__name__
with open(sys.argv[1]) as file:
    starts = len(file.readlines())
print(f"sys.exit(0) in a task: {result} after {starts} starts")
assert (result, starts) == ("WorkerCrashedError", 4), "the behaviour has changed"
PYTHON
"$folder/bin/python" "$folder/program.py" "$folder/starts"
