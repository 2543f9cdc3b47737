"""`@notebook_component`: make a component of a Jupyter notebook and a function that runs it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, overload

from standpipe.dsl.components import PythonComponent
from standpipe.dsl.config import TaskConfigField, TaskConfigPassthrough
from standpipe.dsl.decorators import component
from standpipe.errors import AuthoringError, UnsupportedError, shorten_errors

Function = Callable[..., Any]

#: The packages that execute notebooks, installed unless other packages are named.
_PACKAGES = ("nbclient>=0.10,<1", "ipykernel>=6,<7", "jupyter_client>=7,<9")

_SUFFIX = ".ipynb"

#: The folder of backup copies that Jupyter creates.
_CHECKPOINTS = ".ipynb_checkpoints"


@overload
def notebook_component(
    func: Function,
    *,
    notebook_path: str | os.PathLike[str],
    base_image: str | None = ...,
    packages_to_install: Sequence[str] | None = ...,
    output_component_file: str | None = ...,
    pip_index_urls: Sequence[str] | None = ...,
    pip_trusted_hosts: Sequence[str] | None = ...,
    use_venv: bool = ...,
    kfp_package_path: str | None = ...,
    install_kfp_package: bool = ...,
    task_config_passthroughs: Sequence[TaskConfigPassthrough | TaskConfigField] | None = ...,
) -> PythonComponent: ...
@overload
def notebook_component(
    func: None = None,
    *,
    notebook_path: str | os.PathLike[str],
    base_image: str | None = ...,
    packages_to_install: Sequence[str] | None = ...,
    output_component_file: str | None = ...,
    pip_index_urls: Sequence[str] | None = ...,
    pip_trusted_hosts: Sequence[str] | None = ...,
    use_venv: bool = ...,
    kfp_package_path: str | None = ...,
    install_kfp_package: bool = ...,
    task_config_passthroughs: Sequence[TaskConfigPassthrough | TaskConfigField] | None = ...,
) -> Callable[[Function], PythonComponent]: ...
@shorten_errors
def notebook_component(
    func: Function | None = None,
    *,
    notebook_path: str | os.PathLike[str],
    base_image: str | None = None,
    packages_to_install: Sequence[str] | None = None,
    output_component_file: str | None = None,
    pip_index_urls: Sequence[str] | None = None,
    pip_trusted_hosts: Sequence[str] | None = None,
    use_venv: bool = False,
    kfp_package_path: str | None = None,
    install_kfp_package: bool = True,
    task_config_passthroughs: Sequence[TaskConfigPassthrough | TaskConfigField] | None = None,
) -> PythonComponent | Callable[[Function], PythonComponent]:
    """Make a component of a function that calls `dsl.run_notebook`, and of the notebook, which is embedded in it.

    `dsl.run_notebook(name=value, …)` in the function executes the notebook. A cell that sets these names is inserted
    below the cell with the tag `parameters`, or at the top if no cell has that tag. The output of the cells is in the
    task's log, and if a cell fails, the task fails. The working directory of the cells contains the embedded files.

    Args:
        func: the function. Its arguments and return values are those of the component.
        notebook_path: an .ipynb file, or a folder with exactly one, which is embedded as a whole.
        packages_to_install: the packages that pip installs, by default those that execute notebooks: nbclient,
            ipykernel and jupyter_client. If you name other packages, add these unless the image has them.
        base_image: as in `@component`, like all arguments that follow.
        output_component_file: a file to compile the component to; deprecated by KFP.
        pip_index_urls: the package indexes for pip. The first one replaces PyPI.
        pip_trusted_hosts: hosts that pip trusts without TLS.
        use_venv: whether the cluster installs the packages into a virtual environment.
        kfp_package_path: the requirement or path that the cluster installs the KFP SDK from.
        install_kfp_package: whether the cluster installs the KFP SDK for the component.
        task_config_passthroughs: parts of the task's configuration that a `dsl.TaskConfig` argument receives.

    Raises:
        AuthoringTypeError: if an annotation is missing or is not a type that KFP can pass.
        AuthoringError: if there is no notebook, or the source of the function cannot be shipped.
    """
    from standpipe.dsl.functions.embedding import Notebook  # few components embed files

    decorate = component(
        embedded_artifact_path=Notebook(os.fspath(notebook_path), _find_notebook(os.fspath(notebook_path))),
        base_image=base_image,
        packages_to_install=_PACKAGES if packages_to_install is None else packages_to_install,
        output_component_file=output_component_file,
        pip_index_urls=pip_index_urls,
        pip_trusted_hosts=pip_trusted_hosts,
        use_venv=use_venv,
        kfp_package_path=kfp_package_path,
        install_kfp_package=install_kfp_package,
        task_config_passthroughs=task_config_passthroughs,
    )
    return decorate if func is None else decorate(func)


def _find_notebook(notebook_path: str) -> str:
    """Return the path of the notebook relative to what is embedded."""
    from pathlib import Path  # costs 5 ms, and few components are made of notebooks

    path = Path(notebook_path)
    if path.is_file() and path.suffix.lower() == _SUFFIX:
        return path.name
    if not path.is_dir():
        problem = "is not an .ipynb file" if path.exists() else "does not exist"
        raise AuthoringError(f"notebook_path={notebook_path!r} {problem}: pass a notebook, or a folder with one.")
    notebooks = [
        file.relative_to(path).as_posix()
        for file in path.rglob(f"*{_SUFFIX}")
        if file.is_file() and _CHECKPOINTS not in file.parts
    ]
    if len(notebooks) != 1:
        raise AuthoringError(
            f"notebook_path={notebook_path!r}: expected a folder with exactly one notebook, got {len(notebooks)}"
            f"{': ' if notebooks else ''}{', '.join(sorted(notebooks))}. Pass the notebook itself."
        )
    return notebooks[0]


def run_notebook(**parameters: Any) -> None:
    """Execute the notebook of a `@notebook_component` with parameters. This works only in a running task.

    Raises:
        UnsupportedError: outside a task.
    """
    raise UnsupportedError(
        "dsl.run_notebook was called outside of a task. Call it in the function of a @dsl.notebook_component, and run "
        "the component as a task."
    )
