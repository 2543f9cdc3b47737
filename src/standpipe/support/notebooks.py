"""Notebooks: whether this process runs the cells of one, and what they show of runs.

The package `ui` makes the HTML. It is above `history`, `dsl` and `runs`, whose objects are shown, so they cannot import
it. This module imports it by its name; so does `local.write_report`, and nothing else imports upwards.
"""

from __future__ import annotations

import sys
from importlib import import_module

TYPE_CHECKING = False  # authoring and `standpipe show` import this module, and `typing` takes longer than it
if TYPE_CHECKING:
    from typing import Any


def has_kernel() -> bool:
    """Return whether this process is the kernel of a notebook: of Jupyter, of VS Code, of Colab.

    IPython on a terminal has none. Nothing is imported for that: a kernel has imported IPython.
    """
    shell = _shell()
    return shell is not None and getattr(shell, "kernel", None) is not None


def name_cell(file: str) -> str:
    """Return the name of the cell whose code has a file name, such as `Cell In[4]`; empty for other files.

    IPython compiles a cell under the name of a file that does not exist, and shows its number instead. So does this, as
    long as the kernel runs that executed the cell.
    """
    shell = _shell()
    format_code_name = getattr(getattr(shell, "compile", None), "format_code_name", None)
    parts = format_code_name(file) if format_code_name is not None else None  # since IPython 8.1
    return " ".join(parts) if parts else ""


def name_cells(text: str) -> str:
    """Return a text, or HTML, in which tracebacks name cells instead of files: `Cell In[4], line 2`."""
    if not has_kernel():
        return text
    import re  # of no use outside of notebooks

    file = r'File ("|&#34;|&quot;)([^"&\n]+)\1(?=, line \d)'
    return re.sub(file, lambda match: name_cell(match[2]) or match[0], text)


def _shell() -> Any:
    core = sys.modules.get("IPython.core.getipython")
    return core.get_ipython() if core is not None else None


def to_html(record: object) -> str:
    """Return the HTML of a run, a task or an artifact for the output of a cell.

    It never fails: where it cannot be made, the HTML is the `repr` of the record, and the reason.
    """
    try:
        html: str = import_module("standpipe.ui.notebook").to_html(record)
    except Exception as error:  # noqa: BLE001 - whatever the reason, the user gets what Python shows otherwise
        from html import escape  # costs time, and is needed here only

        from standpipe.support.terminal_text import strip_controls

        reason = f"This is shown as text: {type(error).__name__}: {error}"
        return (
            f"<pre>{escape(strip_controls(f'{record!r}'))}</pre><p><small>{escape(strip_controls(reason))}</small></p>"
        )
    return html


def new_display(*arguments: Any) -> Any:
    """Return an observer that shows a run in the output of the cell; None if it cannot.

    Args:
        *arguments: those of `standpipe.ui.notebook_progress.NotebookProgress`.
    """
    try:
        return import_module("standpipe.ui.notebook_progress").NotebookProgress(*arguments)
    except Exception as error:  # noqa: BLE001 - whatever the reason, the run is shown as lines of text instead
        from standpipe.support.notices import warn  # a display that fails is rare

        warn(f"The progress of the run is shown as text, not in the cell: {type(error).__name__}: {error}.")
        return None
