#!/bin/sh
# google-cloud-pipeline-components 2.22.0: compiled forecasting pipelines of `preview` and `v1` have a component whose
# program reads `_DEFAULT_MODEL_DISPLAY_NAME`, which the program does not define: KFP compiles a function without the
# globals of its module. The name is a NameError when its line is reached.
# Seen: in four of the YAML files that the wheel ships.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder"
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps google-cloud-pipeline-components==2.22.0 PyYAML==6.0.3
"$folder/bin/python" - "$folder" <<'PYTHON'
import ast, pathlib, sys, yaml

NAME = "_DEFAULT_MODEL_DISPLAY_NAME"
files = set()
for path in pathlib.Path(sys.argv[1]).rglob("google_cloud_pipeline_components/**/*.yaml"):
    text = path.read_text()
    if NAME not in text:
        continue
    for spec in yaml.load_all(text, yaml.CSafeLoader):
        for label, executor in spec.get("deploymentSpec", {}).get("executors", {}).items():
            for word in executor.get("container", {}).get("command", []):
                if NAME in word:
                    tree = ast.parse(word)
                    names = [each for each in ast.walk(tree) if isinstance(each, ast.Name) and each.id == NAME]
                    assert names and all(isinstance(each.ctx, ast.Load) for each in names), "the behaviour has changed"
                    files.add(path.name)
                    print(path.name, label, "reads", NAME, "and never assigns it")
assert len(files) == 4, f"the behaviour has changed: {sorted(files)}"
PYTHON
