#!/bin/sh
# PyYAML 6.0.3: `yaml.CSafeDumper` writes other bytes than `yaml.SafeDumper` for long text in double quotes, such as source
# code. Both break its lines behind column 80; Python's writes the break as an escape, libyaml's folds the line. The
# documentation mentions "subtle (but not really significant) differences", which are significant to whoever compares
# files by their bytes or checksums. What they load is equal.
# Seen: two texts, and the same value from both.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
python="$folder/venv/bin/python"
"$python" -m pip install --quiet --disable-pip-version-check PyYAML==6.0.3

cat > "$folder/program.py" <<'PYTHON'
import yaml

data = {"source": "def total():\n    return " + " + ".join(["price"] * 20)}
in_python, in_c = (yaml.dump(data, Dumper=dumper) for dumper in (yaml.SafeDumper, yaml.CSafeDumper))
print("SafeDumper:", in_python, "CSafeDumper:", in_c, sep="\n")
assert in_python != in_c, "the behaviour has changed: both dumpers write the same"
assert yaml.safe_load(in_python) == yaml.safe_load(in_c) == data
PYTHON
"$python" "$folder/program.py"
