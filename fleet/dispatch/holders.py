"""Who has a machine now, in words that are the same with and without Ray; no Ray here."""

from __future__ import annotations

import time


def holder_words(machine: str, experiment: str, since_unix_s: float | None) -> str:
    """`studio-96 is measuring gpt-oss since 14:02`; with the date where it is no longer today."""
    words = f"{machine} is measuring {experiment or 'another experiment'}"
    if since_unix_s is None:
        return words
    began = time.localtime(since_unix_s)
    today = began[:3] == time.localtime()[:3]
    return f"{words} since {time.strftime('%H:%M' if today else '%Y-%m-%d %H:%M', began)}"
