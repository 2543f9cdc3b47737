#!/bin/sh
# IPython 8.37.0: a frame with `__tracebackhide__ = True` is left out of a traceback, as in pytest, unless it is the last
# one. So a function that hides itself and raises is shown with its source. pytest 9.2.0 leaves it out.
# Seen: IPython shows "raise ValueError" of the hidden function, pytest shows the caller's line as the last.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
python="$folder/venv/bin/python"
"$python" -m pip install --quiet --disable-pip-version-check ipython==8.37.0 pytest==9.2.0
cd "$folder"

cat > library.py <<'PYTHON'
def outer():
    __tracebackhide__ = True
    inner()


def inner():
    __tracebackhide__ = True
    raise ValueError("refused")
PYTHON
cat > test_library.py <<'PYTHON'
import library


def test_it():
    library.outer()
PYTHON

"$python" - > ipython.txt <<'PYTHON'
from IPython.core.interactiveshell import InteractiveShell

InteractiveShell.instance(colors="NoColor").run_cell("import library\nlibrary.outer()")
PYTHON
"$python" -m pytest -q -p no:cacheprovider test_library.py > pytest.txt && exit 1

if grep -q "raise ValueError" pytest.txt || grep -q "in outer()" ipython.txt; then
    echo "the behaviour has changed: a frame that was hidden is shown" >&2
    exit 1
fi
grep -q "skipping hidden 1 frame" ipython.txt
echo "IPython shows the last frame, although it is hidden:"
grep "raise ValueError" ipython.txt
echo "pytest ends at the caller:"
grep "test_library.py:5: ValueError" pytest.txt
