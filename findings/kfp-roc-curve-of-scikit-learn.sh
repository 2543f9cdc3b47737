#!/bin/sh
# kfp 2.17.3, scikit-learn 1.5.2: ClassificationMetrics.log_roc_curve takes what sklearn.metrics.roc_curve returns, and
# the run fails after the task has ended, far from that line. The first threshold is infinite since scikit-learn 1.3, the
# SDK writes it into executor_output.json as `Infinity`, which is not JSON, and no reader of a pipeline takes it.
# Seen: the function returns and its process succeeds; then protobuf raises "Fail to serialize Infinity for
# Value.number_value". Without the first point the same component succeeds.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
python="$folder/venv/bin/python"
"$python" -m pip install --quiet --disable-pip-version-check kfp==2.17.3 scikit-learn==1.5.2

cat > "$folder/program.py" <<'PYTHON'
import json
from pathlib import Path

from google.protobuf.json_format import SerializeToJsonError
from kfp import dsl, local


@dsl.component(install_kfp_package=False)
def evaluate(metrics: dsl.Output[dsl.ClassificationMetrics], first: int, done: str):
    from sklearn.metrics import roc_curve

    fpr, tpr, threshold = (values.tolist()[first:] for values in roc_curve([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]))
    metrics.log_roc_curve(fpr, tpr, threshold)
    open(done, "w").close()


local.init(runner=local.SubprocessRunner(use_venv=False), pipeline_root="outputs")
try:
    evaluate(first=0, done=str(Path("done").absolute()))
except SerializeToJsonError as error:
    print("with scikit-learn's own output:", error)
    assert "Infinity" in str(error)
else:
    raise AssertionError("the behaviour has changed: the first point is taken")
assert Path("done").exists(), "the behaviour has changed: the call in the function raises"
(written,) = Path("outputs").rglob("executor_output.json")
assert "Infinity" in written.read_text()

metadata = evaluate(first=1, done="done").outputs["metrics"].metadata
print("without the first point:", json.dumps(metadata))
assert len(metadata["confidenceMetrics"]) > 1
PYTHON
cd "$folder"
"$python" program.py
