"""How Sphinx builds the documentation: `make docs`."""

from importlib.metadata import version as version_of

project = "Standpipe"
project_copyright = "The Standpipe authors"
release = version_of("standpipe")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "Standpipe"
myst_heading_anchors = 3

default_role = "code"  # docstrings are written with single backticks
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
napoleon_numpy_docstring = False
