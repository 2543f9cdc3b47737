"""Compiles programs with whatever `kfp` is at hand: reads {"source": …} and writes {"documents": …} or {"error": …}.

One JSON object on each line. The program names the pipeline that is compiled `program`.
"""

import json
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any, Dict

sys.path.insert(0, str(Path(__file__).parent.parent))

from corpus import entries  # noqa: F401  # so that a failure of it is seen at the start
from kfp import compiler  # the SDK's, or ours by install_as_kfp


def main() -> None:
    warnings.simplefilter("ignore")
    answers, sys.stdout = sys.stdout, sys.stderr  # the SDK prints
    with tempfile.TemporaryDirectory() as folder:
        for line in sys.stdin:
            print(json.dumps(answer(json.loads(line)["source"], Path(folder) / "out.yaml")), file=answers, flush=True)


def answer(source: str, file: Path) -> Dict[str, str]:
    namespace: Dict[str, Any] = {}
    try:
        exec(compile(source, "program.py", "exec"), namespace)
        compiler.Compiler().compile(namespace["program"], str(file))
    except Exception as error:  # noqa: BLE001  # it is the answer
        return {"error": f"{type(error).__name__}: {error}"}
    return {"documents": file.read_text(encoding="utf-8")}


if __name__ == "__main__":
    main()
