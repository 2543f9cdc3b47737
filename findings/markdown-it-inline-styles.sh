#!/bin/sh
# markdown-it-py 4.3.0: the renderer writes inline styles, also with `html` switched off. A table with aligned columns
# becomes `<td style="text-align:right">`. A page whose Content-Security-Policy forbids inline styles (`style-src 'self'`)
# shows such columns unaligned, and the browser reports an error for each cell. `attrs` of the tokens have them, so a
# caller can replace them by classes before it renders. The documentation of the preset and the option says nothing of it.
# Seen: style attributes from the presets "commonmark" with tables and "js-default", whose purpose is untrusted text.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder"
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check markdown-it-py==4.3.0
"$folder/bin/python" - <<'PYTHON'
from markdown_it import MarkdownIt

TABLE = "| name | rate |\n|:-----|-----:|\n| a    |  0.5 |\n"
for label, parser in {
    "commonmark with tables": MarkdownIt("commonmark", {"html": False}).enable("table"),
    "js-default": MarkdownIt("js-default"),
}.items():
    html = parser.render(TABLE)
    print(label, "->", html.replace("\n", ""))
    assert html.count('style="text-align:right"') == 2, "the behaviour has changed"
PYTHON
