#!/bin/sh
# kfp 2.17.3: a component that is defined in another function is compiled with other text in its strings. The SDK dedents
# the source as a whole (textwrap.dedent in kfp/dsl/component_factory.py), so lines inside strings lose indentation, too,
# and if one of them has none, the compiled program has no function at all. In functions at the margin, lines of strings
# that hold only blanks become empty. Nothing is said in any of these cases.
# Seen: the compiled function returns other text than the function itself; with a line at the margin, it is missing.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
python="$folder/venv/bin/python"
"$python" -m pip install --quiet --disable-pip-version-check kfp==2.17.3

cat > "$folder/program.py" <<'PYTHON'
import warnings

from kfp import dsl

warnings.simplefilter("ignore")


def make():
    @dsl.component
    def query() -> str:
        return """
        select *
          from t
        """

    @dsl.component
    def manifest() -> str:
        return """top:
  leaf: 1
"""

    return query, manifest


@dsl.component
def blanks() -> str:
    return """a
   
b"""


def compiled(component):
    source = component.component_spec.implementation.container.command[-1]
    namespace = {}
    exec(source.partition("from typing import *")[2], namespace)
    function = namespace.get(component.python_func.__name__)
    return function and function()


query, manifest = make()
for component in (query, manifest, blanks):
    print(component.name, "returns", repr(component.python_func()), "and, when compiled,", repr(compiled(component)))
assert query.python_func() == "\n        select *\n          from t\n        "
assert compiled(query) == "\n    select *\n      from t\n    ", "the behaviour has changed"
assert compiled(manifest) is None, "the behaviour has changed: the function is compiled"
assert (blanks.python_func(), compiled(blanks)) == ("a\n   \nb", "a\n\nb"), "the behaviour has changed"
PYTHON
cd "$folder"
"$python" program.py
