#!/bin/sh
# ipykernel 7.4.0: the code of a notebook's cell has the name of a Python file that does not exist.
# A function of a cell has the co_filename /tmp/ipykernel_<process>/<number>.py: an absolute path with the ending .py, and
# not `<ipython-input-…>` or `<stdin>`. Nothing is at that path, nor is its folder, while inspect.getsource returns the
# source (from linecache), and the module __main__ has no __file__. So only os.path.isfile tells whether code has a file
# that a command could run again.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
python="$folder/venv/bin/python"
"$python" -m pip install --quiet --disable-pip-version-check ipykernel==7.4.0 nbclient==0.11.0 nbformat==5.11.1

cat > "$folder/program.py" <<'PYTHON'
import json

import nbclient
import nbformat

CELL = """
import inspect, json, os, sys

def function():
    return 1

file = function.__code__.co_filename
print(json.dumps({
    "file": file,
    "exists": os.path.exists(file),
    "folder exists": os.path.exists(os.path.dirname(file)),
    "source": inspect.getsource(function),
    "main has a file": hasattr(sys.modules["__main__"], "__file__"),
}))
"""

notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
nbclient.NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
seen = json.loads(notebook.cells[0].outputs[0]["text"])
print("ipykernel 7.4.0:", seen)
assert seen["file"].endswith(".py") and "ipykernel_" in seen["file"], "the behaviour has changed"
assert not seen["exists"] and not seen["folder exists"], "the behaviour has changed: the file exists"
assert seen["source"] == "def function():\n    return 1\n"
assert not seen["main has a file"]
PYTHON
cd "$folder"
JUPYTER_PLATFORM_DIRS=1 "$python" program.py
