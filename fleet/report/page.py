"""The frame of every page: its style, its policy, and the one way for text to get into it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from pathlib import Path

from markupsafe import Markup, escape

from fleet import __version__

STYLE = Path(__file__).parent / "page.css"


def text(words: object) -> Markup:
    """Anybody's text, without any meaning to a browser."""
    return escape(str(words).replace("\0", "\ufffd"))


def tag(name: str, *inside: str, css: str = "") -> Markup:
    """`inside` is escaped unless it is Markup; `css` is a class of page.css."""
    opened = f'<{name} class="{css}">' if css else f"<{name}>"
    return Markup(f"{opened}{joined(inside)}</{name}>")


def joined(parts: Iterable[str]) -> Markup:
    return Markup("".join(part if isinstance(part, Markup) else text(part) for part in parts))


def page(title: str, body: Markup) -> str:
    """One whole file. By its policy a browser fetches nothing and runs nothing."""
    style = STYLE.read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    return (
        "<!doctype html>\n"
        '<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="generator" content="fleet {text(__version__)}">'
        f"<title>{text(title)}</title><style>{style}</style></head>\n"
        f"<body>{body}</body></html>\n"
    )
