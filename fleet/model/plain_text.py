"""Text from outside in one line of limited length, without characters that control a terminal."""

from __future__ import annotations

import unicodedata

STEERING = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories: control characters, marks of direction, surrogates, line separators."""
CUT = "..."


def one_line(text: str, most: int = 120) -> str:
    """Return at most `most` characters; one that controls a terminal is shown as `\\x1b`."""
    head = " ".join(text[: 2 * most].split())
    shown = "".join(_shown(letter) for letter in head)
    return shown if len(shown) <= most else shown[: most - len(CUT)] + CUT


def _shown(letter: str) -> str:
    if unicodedata.category(letter) not in STEERING:
        return letter
    return letter.encode("unicode_escape").decode()
