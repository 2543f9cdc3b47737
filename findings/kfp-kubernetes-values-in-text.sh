#!/bin/sh
# kfp-kubernetes 2.17.3 (kfp 2.17.3): a value of the run inside text, f"{team}-db" as the name of a secret, is compiled
# literally, with the mark that stands for the value while the pipeline is traced. Nothing warns. Where a component's
# argument has the same text, kfp compiles a placeholder, which the backend replaces; settings for Kubernetes have none.
# Seen: the compiled name of the secret is {{channel:task=;name=team;type=String;}}-db, and that of the argument has
# {{$.inputs.parameters['pipelinechannel--team']}}.
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


@dsl.component
def query(text: str):
    print(text)


with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")

    @dsl.pipeline
    def pipeline(team: str):
        task = query(text=f"{team}-db")
        kubernetes.use_secret_as_env(task, f"{team}-db", {"password": "PASSWORD"})

    compiler.Compiler().compile(pipeline, "pipeline.yaml")

with open("pipeline.yaml") as file:
    spec, platform = yaml.safe_load_all(file)
(secret,) = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-query"]["secretAsEnv"]
argument = spec["root"]["dag"]["tasks"]["query"]["inputs"]["parameters"]["text"]["runtimeValue"]["constant"]
print("the argument:", argument)
print("the name of the secret:", secret["secretNameParameter"]["runtimeValue"]["constant"])
assert argument == "{{$.inputs.parameters['pipelinechannel--team']}}-db", "the behaviour has changed"
assert secret["secretNameParameter"]["runtimeValue"]["constant"] == (
    "{{channel:task=;name=team;type=String;}}-db"
), "the behaviour has changed"
assert not [w for w in caught if "team" in str(w.message)], "the behaviour has changed: it warns"
PYTHON
cd "$folder"
"$python" program.py
