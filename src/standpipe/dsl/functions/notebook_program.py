"""Executes a notebook. This file is part of the program of every component that is made of one.

It runs on clusters as well, with Python 3.9 or newer and the component's own packages.
"""

import json
import os
import re
import sys
from typing import Any


def _run_notebook(folder: str, name: str, parameters: dict[str, Any]) -> None:
    """Executes the notebook called `name` in `folder`, and prints what its cells print and show.

    Raises:
        RuntimeError: if a cell fails; the message holds the cell's traceback.
        TypeError: if JSON cannot hold a parameter.
    """
    # only where components are authored are these missing
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    class Client(NotebookClient):  # type: ignore[misc]  # it is a class wherever this runs
        def process_message(self, *args: Any, **kwargs: Any) -> Any:
            output = super().process_message(*args, **kwargs)
            _show_output(output or {})
            return output

    notebook = nbformat.read(os.path.join(folder, name), as_version=4)
    _inject_parameters(notebook, parameters)
    try:
        Client(notebook, timeout=None, kernel_name="python3").execute(cwd=folder)
    except CellExecutionError as error:
        story = re.sub(r"\x1b\[[0-9;]*m", "", str(error.traceback)).strip()
        raise RuntimeError(f"a cell of {name} failed: {error.ename}: {error.evalue}\n\n{story}") from None


def _inject_parameters(notebook: Any, parameters: dict[str, Any]) -> None:
    """Adds a cell that sets the parameters: below the one tagged `parameters`, as Papermill does, or at the top."""
    import nbformat  # as above

    if not parameters:
        return
    lines = ["import json"]
    for name, value in parameters.items():
        try:
            lines.append(f"{name} = json.loads({json.dumps(value)!r})")
        except TypeError as error:
            raise TypeError(
                f"dsl.run_notebook cannot pass on {name!r}: {error}. Of an artifact, pass its .path or .uri."
            ) from None
    cell = nbformat.v4.new_code_cell("\n".join(lines), metadata={"tags": ["injected-parameters"]})
    tags = [one.metadata.get("tags", ()) if one.cell_type == "code" else () for one in notebook.cells]
    tagged = [index for index, names in enumerate(tags) if "parameters" in names]
    notebook.cells.insert(tagged[0] + 1 if tagged else 0, cell)


def _show_output(output: dict[str, Any]) -> None:
    """Prints an output of a cell; errors are told by whoever meets them."""
    if output.get("output_type") == "stream":
        stream = sys.stderr if output["name"] == "stderr" else sys.stdout
        stream.write(output["text"])
        stream.flush()
        return
    shown = output.get("data", {})
    for kind in ("text/plain", "text/markdown", "application/json"):
        if kind in shown:
            print(shown[kind], flush=True)
            return
