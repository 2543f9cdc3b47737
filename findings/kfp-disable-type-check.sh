#!/bin/sh
# kfp 2.17.3: nothing disables the check of types in pipelines. `kfp dsl compile --disable-type-check`, `type_check=False`
# of Compiler.compile and `kfp.TYPE_CHECK = False` are accepted and have no effect: the types are checked when the task is
# made, so while the script is imported, and that check does not look at the switch.
# Seen: each of the three fails with "Argument type 'STRING' is incompatible with the input type 'NUMBER_INTEGER'".
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check kfp==2.17.3
cd "$folder"

cat > mismatch.py <<'PYTHON'
from kfp import dsl


@dsl.component(base_image="python:3.11")
def text() -> str:
    return "a"


@dsl.component(base_image="python:3.11")
def add(a: int) -> int:
    return a


@dsl.pipeline
def mismatch():
    add(a=text().output)
PYTHON
{ echo "import kfp"; echo "kfp.TYPE_CHECK = False"; cat mismatch.py; } > switched_off.py
{
    cat mismatch.py
    echo "from kfp import compiler"
    echo "compiler.Compiler().compile(mismatch, 'mismatch.yaml', type_check=False)"
} > unchecked.py

check() {
    if "$@" > output.txt 2>&1; then
        echo "the behaviour has changed: '$*' does not fail" >&2
        exit 1
    fi
    grep -q "Argument type 'STRING' is incompatible with the input type 'NUMBER_INTEGER'" output.txt
    echo "$(basename "$1") $(echo "$@" | cut -d' ' -f2-): $(tail -1 output.txt)"
}

check venv/bin/kfp dsl compile --py mismatch.py --output mismatch.yaml --disable-type-check
check venv/bin/kfp dsl compile --py switched_off.py --output mismatch.yaml --disable-type-check
check venv/bin/python unchecked.py
