#!/bin/sh
# kfp 2.17.3 and pip 24.0: for @dsl.component(pip_index_urls=["http://host:8080/simple"]) the SDK compiles
# `pip install --index-url http://host:8080/simple --trusted-host http://host:8080/simple`. The option takes a host, not
# a URL. With a port in the URL, pip itself ends with "ValueError: Invalid IPv6 URL" before it asks any index. Without
# one, pip takes the text for a host that never matches: it ignores the index as "not a trusted or secure host".
# Seen: the compiled option, and both outcomes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
python="$folder/venv/bin/python"
"$python" -m pip install --quiet --disable-pip-version-check kfp==2.17.3 pip==24.0

cat > "$folder/program.py" <<'PYTHON'
from kfp import compiler, dsl


@dsl.component(packages_to_install=["six"], pip_index_urls=["http://index.example:8080/simple"])
def work():
    pass


compiler.Compiler().compile(work, "work.yaml")
command = open("work.yaml").read()
assert "--trusted-host http://index.example:8080/simple" in " ".join(command.split()), "the behaviour has changed"
print("kfp compiles: --trusted-host http://index.example:8080/simple")
PYTHON
cd "$folder"
"$python" program.py

install() {
    "$python" -m pip --isolated --disable-pip-version-check install --no-input --retries 0 --timeout 2 --dry-run --ignore-installed \
        --index-url "$1" --trusted-host "$1" six 2>&1 || true
}

install http://index.invalid:8080/simple > with-port.txt
grep "ValueError: Invalid IPv6 URL" with-port.txt || { echo "the behaviour has changed"; cat with-port.txt; exit 1; }
install http://index.invalid/simple > without-port.txt
grep "not a trusted or secure host" without-port.txt || { echo "the behaviour has changed"; cat without-port.txt; exit 1; }
