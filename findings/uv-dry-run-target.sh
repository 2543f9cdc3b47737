#!/bin/sh
# uv 0.13.9: `uv pip install --dry-run --target DIR` creates DIR, although a dry run installs nothing. A tool that asks
# whether requirements resolve, and that takes the folder for a sign of an environment, finds one afterwards.
# Seen: a folder with an empty file `.lock`. `uv pip install --help` says of the option only that nothing is installed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/tools"
"$folder/tools/bin/python" -m pip install --quiet --disable-pip-version-check uv==0.13.9
"$folder/tools/bin/uv" pip install --quiet --dry-run --target "$folder/target" --python "$folder/tools/bin/python" six==1.17.0
ls -la "$folder/target" || { echo "the behaviour has changed: there is no folder"; exit 1; }
[ -z "$(find "$folder/target" -mindepth 1 -name 'six*')" ] || { echo "the behaviour has changed: six is there"; exit 1; }
echo "uv pip install --dry-run --target: the folder exists, and six is not in it"
