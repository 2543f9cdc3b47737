"""Components that bring files of theirs: notebooks, tables, packages."""

from pathlib import Path

from corpus.entries import PIN, SMALL, components, pipeline
from kfp import dsl
from kfp.dsl import Dataset, Input, Model, Output

ASSETS = Path(__file__).parent / "assets"


@dsl.notebook_component(notebook_path=str(ASSETS / "notebook.ipynb"), **PIN)
def notebook(text: str) -> None:
    """Runs a notebook."""
    dsl.run_notebook(text=text)


@dsl.notebook_component(notebook_path=str(ASSETS), packages_to_install=[], install_kfp_package=False, **PIN)
def notebook_of_a_folder(text: str, model: Output[Model], n: int = 1) -> str:
    dsl.run_notebook(text=text, n=n)
    return text


@dsl.notebook_component(
    notebook_path=str(ASSETS / "notebook.ipynb"),
    packages_to_install=["nbclient", "pandas"],
    pip_index_urls=["https://a.example/simple"],
    pip_trusted_hosts=["a.example"],
    use_venv=True,
    task_config_passthroughs=[dsl.TaskConfigField.RESOURCES],
    base_image="python:3.12",
)
def notebook_with_everything(config: dsl.TaskConfig, data: Input[Dataset]) -> None:
    dsl.run_notebook()


@dsl.component(embedded_artifact_path=str(ASSETS / "table.csv"), **SMALL)
def embedded_file(table: dsl.EmbeddedInput[Dataset], x: int = 1) -> str:
    with open(table.path) as file:
        return file.read()


@dsl.component(embedded_artifact_path=str(ASSETS / "package"), **SMALL)
def embedded_folder(folder: dsl.EmbeddedInput[dsl.Artifact]) -> str:
    from greeting import greet

    return greet("you")


def shout(text: str) -> str:
    return text.upper()


@dsl.component(
    embedded_artifact_path=str(ASSETS / "package"), additional_funcs=[shout], packages_to_install=["x"], **PIN
)
def embedded_with_helpers(name: str) -> str:
    from greeting import greet

    return shout(greet(name))


components(
    notebook, notebook_of_a_folder, notebook_with_everything, embedded_file, embedded_folder, embedded_with_helpers
)


@pipeline
def notebooks_in_a_pipeline(text: str):
    first = notebook_of_a_folder(text=text)
    with dsl.ParallelFor(["a", "b"]) as item:
        notebook(text=item).after(first).set_cpu_limit("1")
    notebook(text=f"{first.outputs['Output']}!")


@pipeline
def embedded_in_a_pipeline():
    embedded_file()
    embedded_file(x=2)
    embedded_with_helpers(name=embedded_folder().output)
