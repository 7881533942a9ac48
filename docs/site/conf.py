"""How Sphinx makes the site of the pages that scripts/make_site.py writes."""

import tidu

project = "tidu"
author = "the tidu project"
version = release = tidu.__version__
extensions = ["myst_parser", "sphinx.ext.mathjax"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4
html_theme = "furo"
html_title = f"tidu {release}"
html_show_sourcelink = False
templates_path = []
suppress_warnings = ["misc.highlighting_failure"]  # what is shown is not always whole
