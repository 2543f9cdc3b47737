#!/bin/sh
# kfp 2.17.3: `with dsl.If(a != "" and b != "")` compiles to `b != ""` alone, without an error or a warning. Comparisons of
# the SDK have no truth value of their own, so Python takes each for true: `and` gives the last one, `or` the first, and
# `1 < x < 3` is `x < 3`. Published pipelines of google-cloud-pipeline-components 2.22.0 are written like that.
# Seen: the compiled conditions have one comparison each.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
python="$folder/venv/bin/python"
"$python" -m pip install --quiet --disable-pip-version-check kfp==2.17.3

cat > "$folder/program.py" <<'PYTHON'
import warnings

from kfp import compiler, dsl


@dsl.component(base_image="python:3.11")
def act():
    pass


@dsl.pipeline
def compare(a: str, b: str, x: int):
    with dsl.If(a != "" and b != ""):
        act()
    with dsl.If(a != "" or b != ""):
        act()
    with dsl.If(1 < x < 3):
        act()


with warnings.catch_warnings(record=True) as warned:
    warnings.simplefilter("always")
    compiler.Compiler().compile(compare, "compare.yaml")

tasks = compare.pipeline_spec.root.dag.tasks
conditions = [tasks[name].trigger_policy.condition for name in sorted(tasks)]
print(*conditions, sep="\n")
parameter = "inputs.parameter_values['pipelinechannel--%s']"
expected = [f"{parameter % 'b'} != ''", f"{parameter % 'a'} != ''", f"int({parameter % 'x'}) < 3"]
assert conditions == expected, conditions
assert not any("comparison" in str(item.message) for item in warned)
PYTHON

cd "$folder" && "$python" program.py
