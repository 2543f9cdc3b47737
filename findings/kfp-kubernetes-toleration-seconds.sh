#!/bin/sh
# kfp-kubernetes 2.17.3 (kfp 2.17.3): add_toleration_json drops `tolerationSeconds` of a constant dict, without a warning,
# so a pod that should leave a tainted node after 60 seconds stays forever. It reads only `toleration_seconds`, although
# all its other keys are those of Kubernetes, and although the same dict as an input of the pipeline reaches the backend
# as it is, which reads the keys of Kubernetes.
# Seen: the compiled toleration of the dict has no tolerationSeconds; with toleration_seconds it has; the default value of
# the input has tolerationSeconds.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
python="$folder/venv/bin/python"
"$python" -m pip install --quiet --disable-pip-version-check kfp==2.17.3 kfp-kubernetes==2.17.3

cat > "$folder/program.py" <<'PYTHON'
import warnings

import yaml
from kfp import compiler, dsl, kubernetes

TOLERATION = {"key": "spot", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60}
IN_SNAKE_CASE = {"key": "spot", "operator": "Exists", "effect": "NoExecute", "toleration_seconds": 60}


@dsl.component
def train():
    print("training")


with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")

    @dsl.pipeline
    def pipeline(toleration: dict = TOLERATION):
        task = train()
        kubernetes.add_toleration_json(task, TOLERATION)
        kubernetes.add_toleration_json(task, IN_SNAKE_CASE)
        kubernetes.add_toleration_json(task, toleration)

    compiler.Compiler().compile(pipeline, "pipeline.yaml")

with open("pipeline.yaml") as file:
    spec, platform = yaml.safe_load_all(file)
settings = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-train"]
constant, in_snake_case, from_input = settings["tolerations"]
default = spec["root"]["inputDefinitions"]["parameters"]["toleration"]["defaultValue"]
print("the constant:", constant)
print("in snake case:", in_snake_case)
print("the input:", from_input, "with the value", default)
assert constant == {"key": "spot", "operator": "Exists", "effect": "NoExecute"}, "the behaviour has changed"
assert in_snake_case["tolerationSeconds"] == "60", "the behaviour has changed"
assert default["tolerationSeconds"] == 60, "the behaviour has changed"
assert not [w for w in caught if "oleration" in str(w.message)], "the behaviour has changed: it warns"
PYTHON
cd "$folder"
"$python" program.py
