"""`@notebook_component`: a component made of a Jupyter notebook and of the function that runs it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, overload

from standpipe.dsl.components import PythonComponent
from standpipe.dsl.config import TaskConfigField, TaskConfigPassthrough
from standpipe.dsl.decorators import component
from standpipe.dsl.functions.source import Notebook
from standpipe.errors import AuthoringError, UnsupportedError

Function = Callable[..., Any]

#: What executes notebooks, where the author names no packages.
_PACKAGES = ("nbclient>=0.10,<1", "ipykernel>=6,<7", "jupyter_client>=7,<9")

_SUFFIX = ".ipynb"

#: The folder of copies that Jupyter keeps.
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
    """Makes a component of a notebook, which is shipped along, and of a function that calls `dsl.run_notebook`.

    `dsl.run_notebook(name=value, …)` in the function executes the notebook: a cell that sets these names is put below
    the cell with the tag `parameters`, or at the top where no cell has it. What the cells print and show is in the
    task's log, and a cell that fails fails the task. Their working directory holds what was shipped.

    Args:
        func: the function; its arguments and what it returns are those of the component.
        notebook_path: an .ipynb file, or a folder with one of them, which is shipped whole.
        packages_to_install: what pip shall install for it. By default that is what executes notebooks, which are
            nbclient, ipykernel and jupyter_client; who names other packages names these too, if the image lacks them.
        base_image: as for `@component`, and so are all that follow.
        output_component_file: a file to compile the component to; deprecated by KFP.
        pip_index_urls: where pip looks for packages, the first in place of PyPI.
        pip_trusted_hosts: hosts that pip trusts without TLS.
        use_venv: whether the cluster installs into an environment of its own.
        kfp_package_path: where the cluster installs the KFP SDK from.
        install_kfp_package: whether the cluster installs the KFP SDK for it.
        task_config_passthroughs: parts of the task's configuration that a `dsl.TaskConfig` argument receives.

    Raises:
        AuthoringTypeError: if an annotation is missing or stands for nothing that KFP can pass.
        AuthoringError: if there is no notebook, or the function cannot be shipped.
    """
    made = component(
        embedded_artifact_path=Notebook(os.fspath(notebook_path), _notebook_in(os.fspath(notebook_path))),
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
    return made if func is None else made(func)


def _notebook_in(given: str) -> str:
    """The notebook that a path names, relative to what is shipped."""
    from pathlib import Path  # costs 5 ms, and few components are made of notebooks

    path = Path(given)
    if path.is_file() and path.suffix.lower() == _SUFFIX:
        return path.name
    if not path.is_dir():
        problem = "is no .ipynb file" if path.exists() else "does not exist"
        raise AuthoringError(f"notebook_path={given!r} {problem}: name a notebook, or a folder with one.")
    found = [
        file.relative_to(path).as_posix()
        for file in path.rglob(f"*{_SUFFIX}")
        if file.is_file() and _CHECKPOINTS not in file.parts
    ]
    if len(found) != 1:
        raise AuthoringError(
            f"notebook_path={given!r} is a folder with {len(found)} notebooks, and exactly one is wanted"
            f"{': ' if found else ''}{', '.join(sorted(found))}. Name the notebook itself."
        )
    return found[0]


def run_notebook(**parameters: Any) -> None:
    """Executes the notebook of a `@notebook_component`, with these parameters. It can do so in a running task only.

    Raises:
        UnsupportedError: here, where there is no notebook.
    """
    raise UnsupportedError(
        "dsl.run_notebook was called where no notebook is: call it in the function of a @dsl.notebook_component, and "
        "run that as a task."
    )
