"""How Sphinx builds these pages: Markdown by MyST, the furo theme, warnings are errors."""

import tomllib
from pathlib import Path

_PYPROJECT = Path(__file__).parent.parent / "pyproject.toml"

project = "oto-trio"
author = "the oto-trio maintainers"
project_copyright = "the oto-trio maintainers, Apache-2.0"
release = tomllib.loads(_PYPROJECT.read_text(encoding="utf-8"))["project"]["version"]

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

# Docstrings: Google style, members in the order of the file, which reads from the top down.
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_custom_sections = [
    ("Cancellation", "returns_style"),
    ("Closes", "returns_style"),
    ("Cost", "returns_style"),
    ("Source", "returns_style"),
]
autodoc_member_order = "bysource"
autodoc_typehints = "description"

html_theme = "furo"
html_title = f"oto-trio {release}"
html_show_sourcelink = False
