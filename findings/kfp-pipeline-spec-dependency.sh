#!/bin/sh
# kfp-pipeline-spec 2.14.0 cannot be imported where it is installed alone: its generated module imports google.rpc, which
# is in googleapis-common-protos, and its metadata names protobuf only.
# Seen: ModuleNotFoundError: No module named 'google.rpc'; the import works once googleapis-common-protos is there.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
python="$folder/venv/bin/python"
"$python" -m pip install --quiet --disable-pip-version-check kfp-pipeline-spec==2.14.0 protobuf==6.31.1

"$python" - <<'PYTHON'
from importlib.metadata import requires

declared = requires("kfp-pipeline-spec")
print("declares:", declared)
assert not any("googleapis" in requirement for requirement in declared or ())
try:
    from kfp.pipeline_spec import pipeline_spec_pb2  # noqa: F401
except ModuleNotFoundError as error:
    print("alone:", error)
    assert error.name == "google.rpc", error.name
else:
    raise SystemExit("the behaviour has changed: it can be imported alone")
PYTHON

"$python" -m pip install --quiet --disable-pip-version-check googleapis-common-protos==1.72.0
"$python" -c 'from kfp.pipeline_spec import pipeline_spec_pb2; print("with googleapis-common-protos: imported")'
