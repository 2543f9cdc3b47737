#!/bin/sh
# CPython 3.9 to 3.13: gc.freeze() lasts until the very end of the interpreter. What hangs on a frozen object that is in a
# cycle, as every class is, is not finalized: a file that a forked child keeps as an attribute of a class that its parent
# had imported stays empty, although the child ends normally. With gc.unfreeze() before the end it is written. The
# documentation recommends gc.freeze() before a fork, and does not say so.
# Seen: 0 bytes with gc.freeze(), 4 bytes with gc.unfreeze() after it.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

cat > "$folder/program.py" <<'PYTHON'
import gc
import json
import os
import sys


def size_after(unfreeze):
    gc.collect()
    gc.freeze()
    pid = os.fork()
    if pid == 0:
        json.JSONEncoder.log = open("log", "w")
        json.JSONEncoder.log.write("rows")
        if unfreeze:
            gc.unfreeze()
        sys.exit()
    os.waitpid(pid, 0)
    return os.path.getsize("log")


sizes = size_after(unfreeze=False), size_after(unfreeze=True)
print("bytes written after gc.freeze(), and after gc.unfreeze():", *sizes)
assert sizes == (0, 4), "the behaviour has changed"
PYTHON
cd "$folder"
python3 program.py
