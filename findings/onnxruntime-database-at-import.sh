#!/bin/sh
# onnxruntime 1.32.0 on Linux: `import onnxruntime` makes a database below ~/.cache/Microsoft, and keeps it open, with
# memory that it shares. So children of a process that has only imported it share the connection to the database, which
# SQLite does not support; of 20 such children that ran a model, 10 ended by SIGABRT.
# Seen: the files that are open after the import.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
python="$folder/venv/bin/python"
"$python" -m pip install --quiet --disable-pip-version-check onnxruntime==1.32.0

cat > "$folder/program.py" <<'PYTHON'
import os

import onnxruntime


def open_files():
    for name in os.listdir("/proc/self/fd"):
        try:
            yield os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:  # the one of the list itself
            pass


files = sorted(os.path.basename(path) for path in open_files() if ".db" in path)
print(f"onnxruntime {onnxruntime.__version__} keeps open:", *files)
assert files == ["onnxruntime.db", "onnxruntime.db-shm", "onnxruntime.db-wal"], "the behaviour has changed"
PYTHON
mkdir "$folder/home"
HOME="$folder/home" XDG_CACHE_HOME="$folder/home/.cache" "$python" "$folder/program.py"
