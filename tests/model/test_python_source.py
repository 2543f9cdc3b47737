"""Source of components is parsed without the warnings that Python has given for the author's file already."""

from __future__ import annotations

import symtable
import warnings

import pytest

from standpipe.check.free_names import find_free_names
from standpipe.engine.nested_lists import parse_list_levels
from standpipe.model.component_changes import code_digest
from standpipe.model.plan import PythonFunction
from standpipe.model.python_source import FILE, parse_source, without_warnings

SOURCE = 'def f(x: str):\n    import re\n    return re.sub("\\d", "", x) is "", missing\n'


def read_names() -> tuple[tuple[str, str], ...]:
    return find_free_names.__wrapped__(SOURCE)


@pytest.mark.filterwarnings("error")
def test_reading_a_component_repeats_no_warning_of_python() -> None:
    assert [name for name, _ in read_names()] == ["missing"]
    assert code_digest.__wrapped__(SOURCE) == code_digest.__wrapped__(f"# a comment\n{SOURCE}")
    assert parse_list_levels(PythonFunction(name="f", source=SOURCE)) == {"x": 0}


@pytest.mark.filterwarnings("always")
def test_other_warnings_are_shown(recwarn: pytest.WarningsRecorder) -> None:
    with without_warnings():
        warnings.warn("another", stacklevel=1)
        symtable.symtable(SOURCE, FILE, "exec")
    parse_source(SOURCE)

    assert [str(warning.message) for warning in recwarn] == ["another"]
