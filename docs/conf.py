"""How Sphinx builds the documentation: ``make docs``."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

project = "kycli"
version = release = PROJECT["version"]
project_copyright = "the kycli authors"
language = "en"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_heading_anchors = 3
# What the pages say is Markdown that GitHub shows as well; `$` is a shell prompt and no formula.
myst_enable_extensions: list[str] = []

# Docstrings have the sections of napoleon's Google style, "Parameters:" instead of "Args:".
napoleon_numpy_docstring = False
napoleon_use_rtype = False
autodoc_typehints = "none"  # the signatures hold them
python_maximum_signature_line_length = 88

smartquotes = False  # quotes are often what somebody types

html_theme = "furo"
html_title = f"kycli {version}"
html_copy_source = False
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True}
highlight_language = "text"
