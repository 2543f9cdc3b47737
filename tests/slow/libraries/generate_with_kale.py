"""Generates pipelines from the notebooks that kubeflow-kale's own tests use: python generate_with_kale.py <folder>"""

import shutil
import sys
from pathlib import Path

import kale
from kale.compiler import Compiler
from kale.processors import NotebookProcessor


def main(folder: Path) -> None:
    for notebook in sorted(Path(kale.__file__).parent.glob("tests/assets/notebooks/*.ipynb")):
        name = notebook.stem.replace("_", "-")
        processor = NotebookProcessor(str(shutil.copy(notebook, folder)), {"pipeline_name": name})
        generated = Compiler(processor.run(), processor.get_imports_and_functions()).compile()
        shutil.copy(generated, folder / f"{notebook.stem}.py")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
