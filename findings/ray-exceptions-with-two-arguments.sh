#!/bin/sh
# ray 2.60.0: an exception of a task whose class takes two arguments, and passes one text to `Exception`, arrives as
# `UnserializableException`, so `except` with its class does not catch it. Pickle makes an exception again by calling its
# class with its `args`, which is one argument here. `pickle` alone fails in the same way; Ray fails on the caller's side
# only, when the task has ended.
# Seen: on a new cluster of one machine.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder"
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check ray==2.60.0
cat >"$folder/program.py" <<'PYTHON'
import ray

ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level="ERROR")


class Mismatch(Exception):
    def __init__(self, expected, actual):
        super().__init__(f"expected {expected}, got {actual}")


@ray.remote
def fail():
    raise Mismatch(1, 2)


try:
    ray.get(fail.remote())
except Exception as error:
    caught = error
print(f"Mismatch(1, 2) of a task arrives as {type(caught).__name__}, a Mismatch: {isinstance(caught, Mismatch)}")
assert type(caught).__name__ == "UnserializableException", "the behaviour has changed"
assert not isinstance(caught, Mismatch), "the behaviour has changed"
PYTHON
"$folder/bin/python" "$folder/program.py"
