#!/bin/sh
# kfp 2.17.3: in a dsl.ParallelFor over dicts, `item.title` is a field of the item and `item.name` is not. It is the name
# of kfp's own loop variable, a constant text that is the same for every item, and it compiles without a warning. So does
# `item.full_name`. With `item["name"]`, which would say what is meant, Python raises a TypeError.
# Seen: the compiled task gets a selector for `title`, and the constant "rows-loop-item" for `name`.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
python="$folder/venv/bin/python"
"$python" -m pip install --quiet --disable-pip-version-check kfp==2.17.3 PyYAML

cat > "$folder/program.py" <<'PYTHON'
import yaml
from kfp import compiler, dsl


@dsl.component
def greet(text: str):
    print(text)


@dsl.pipeline
def greetings(rows: list):
    with dsl.ParallelFor(rows) as row:
        greet(text=row.title)
        greet(text=row.name)
        try:
            greet(text=row["name"])
        except TypeError as error:
            print("row['name']:", error)
        else:
            raise AssertionError("the behaviour has changed: items have fields by key")


compiler.Compiler().compile(greetings, "greetings.yaml")
with open("greetings.yaml") as file:
    tasks = yaml.safe_load(file)["components"]["comp-for-loop-1"]["dag"]["tasks"]
title, name = (tasks[task]["inputs"]["parameters"]["text"] for task in ("greet", "greet-2"))
print("row.title:", title)
print("row.name:", name)
assert title["parameterExpressionSelector"] == 'parseJson(string_value)["title"]', "the behaviour has changed"
assert name == {"runtimeValue": {"constant": "rows-loop-item"}}, "the behaviour has changed"
PYTHON
cd "$folder" && "$python" program.py
