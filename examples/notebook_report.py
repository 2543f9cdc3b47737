"""Executes a notebook as a task of a pipeline, with parameters, and uses what it has computed.

    standpipe run examples/notebook_report.py
    standpipe open latest report/page

The notebook is `orders.ipynb` beside this file. Open it in Jupyter to work on it; the pipeline embeds it as it is. It
shows `dsl.notebook_component`, the cell of parameters, and how a notebook returns values and artifacts.
"""

from pathlib import Path

from standpipe import dsl, local
from standpipe.dsl import HTML, Dataset, Input, Output

FOLDER = Path(__file__).resolve().parent


@dsl.notebook_component(
    notebook_path=str(FOLDER / "orders.ipynb"),
    # What executes notebooks, and what this one imports.
    packages_to_install=[
        "nbclient==0.10.4",
        "ipykernel==6.31.0",
        "jupyter_client==8.6.3",
        "pandas==2.3.3",
        "matplotlib==3.10.7",
    ],
)
def report(orders: Input[Dataset], country: str, page: Output[HTML]) -> dict:
    """Execute the notebook. It sees the arguments of run_notebook as variables, and returns values in a file."""
    import json
    import os

    result = os.path.abspath("result.json")  # the notebook has a working directory of its own
    dsl.run_notebook(table=orders.path, country=country, page=page.path, result=result)
    with open(result) as file:
        return json.load(file)


@dsl.component
def announce(result: dict) -> str:
    """Print the result in a sentence."""
    text = f"{result['country']}: {result['orders']} orders, {result['total']:.2f} in all"
    print(text)
    return text


@dsl.pipeline
def notebook_report(orders: str, country: str = "PT") -> str:
    """Report the orders of a country."""
    table = dsl.importer(artifact_uri=orders, artifact_class=Dataset)
    reported = report(orders=table.output, country=country)
    return announce(result=reported.outputs["Output"]).output


if __name__ == "__main__":
    local.init(runner=local.SubprocessRunner())
    notebook_report(orders=str(FOLDER / "orders.csv"))
