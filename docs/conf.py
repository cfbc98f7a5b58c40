"""How Sphinx builds the site: `make docs`. Nothing in it is fetched from elsewhere."""

from fleet import __version__

project = "fleet"
release = __version__
extensions = ["myst_parser"]
root_doc = "index"
exclude_patterns = ["__pycache__"]
nitpicky = True

myst_heading_anchors = 3
highlight_language = "none"
suppress_warnings = ["misc.highlighting_failure"]  # the lexer of SQL knows no parameter $1

html_theme = "furo"
html_title = "fleet"
html_copy_source = False
html_show_sphinx = False
