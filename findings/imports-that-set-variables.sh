#!/bin/sh
# scikit-learn 1.9.1, opencv-python-headless 5.0.0.93: imports set variables for the process and all that it starts:
# `import sklearn` sets KMP_DUPLICATE_LIB_OK and KMP_INIT_AT_FORK, for Intel's OpenMP, also where that is not installed;
# `import cv2` puts a folder of its own before LD_LIBRARY_PATH, so the programs that the process starts look there first.
# Seen: the variables that are added or changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
python="$folder/venv/bin/python"
"$python" -m pip install --quiet --disable-pip-version-check scikit-learn==1.9.1 opencv-python-headless==5.0.0.93

cat > "$folder/program.py" <<'PYTHON'
import importlib
import os
import sys

before = dict(os.environ)
importlib.import_module(sys.argv[1])
changed = sorted(name for name, value in os.environ.items() if before.get(name) != value)
print(f"import {sys.argv[1]} sets:", *changed)
assert changed == sys.argv[2:], "the behaviour has changed"
PYTHON
"$python" "$folder/program.py" sklearn KMP_DUPLICATE_LIB_OK KMP_INIT_AT_FORK
"$python" "$folder/program.py" cv2 LD_LIBRARY_PATH
