#!/bin/sh
# numpy 2.2.6: the generator behind numpy.random.rand() is seeded when numpy.random is imported, and not after a fork, so
# children of a process that has only imported it draw the same numbers. Python's own `random` is reseeded in each child.
# Since numpy 2.3 `import numpy` alone leaves numpy.random out, but pandas, scipy and scikit-learn import it.
# Seen: the same numbers in both children from numpy.random, other ones from `random` and from a new default_rng().
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
python="$folder/venv/bin/python"
"$python" -m pip install --quiet --disable-pip-version-check numpy==2.2.6

cat > "$folder/program.py" <<'PYTHON'
import os
import random

import numpy.random


def draw(function):
    read, write = os.pipe()
    if os.fork() == 0:
        os.write(write, repr(function()).encode())
        os._exit(0)
    os.close(write)
    os.wait()
    with open(read) as file:
        return file.read()


differ = {
    "numpy.random.rand()": draw(numpy.random.rand) != draw(numpy.random.rand),
    "numpy.random.default_rng()": draw(lambda: numpy.random.default_rng().random())
    != draw(lambda: numpy.random.default_rng().random()),
    "random.random()": draw(random.random) != draw(random.random),
}
print("two children draw different numbers:", differ)
assert list(differ.values()) == [False, True, True], "the behaviour has changed"
PYTHON
"$python" "$folder/program.py"
