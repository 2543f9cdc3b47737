#!/bin/sh
# kfp 2.17.3: kfp.local replaces placeholders in values that come from other tasks (resolve_self_references_in_executor_input
# in kfp/local/placeholder_utils.py). A document that a task reads and that contains such text, for example a page about
# KFP or a compiled pipeline, is another one when the next task gets it; the first task's output has the text unchanged.
# On a cluster, only constants of the author are replaced (backend/src/v2/driver/resolve.go).
# Seen: the second task gets the name of the run in place of a part of the first one's output.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
python="$folder/venv/bin/python"
"$python" -m pip install --quiet --disable-pip-version-check kfp==2.17.3

cat > "$folder/program.py" <<'PYTHON'
import warnings

from kfp import dsl, local

warnings.simplefilter("ignore")


@dsl.component(install_kfp_package=False)
def read() -> str:
    return "a name is {" + "{$.pipeline_job_name}}"


@dsl.component(install_kfp_package=False)
def count(text: str) -> str:
    return f"{len(text)} characters: {text}"


@dsl.pipeline
def pages() -> str:
    return count(text=read().output).output


local.init(runner=local.SubprocessRunner(use_venv=False), pipeline_root="outputs")
returned, output = read().output, pages().output
print("read returned:", returned)
print("count got:", output)
assert returned == "a name is {{$.pipeline_job_name}}"
assert "a name is pages-" in output, "the behaviour has changed"
assert "{{$" not in output, "the behaviour has changed"
PYTHON
cd "$folder"
"$python" program.py
