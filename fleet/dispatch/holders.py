"""Say who has a machine now, in words that are the same with and without Ray; no Ray here."""

from __future__ import annotations

import time


def holder_words(machine: str, experiment: str, since_unix_s: float | None) -> str:
    """Say `studio-96 has been measuring gpt-oss since 14:02`, with the date of an earlier day."""
    what = experiment or "another experiment"
    if since_unix_s is None:
        return f"{machine} is measuring {what}"
    began = time.localtime(since_unix_s)
    today = began[:3] == time.localtime()[:3]
    since = time.strftime("%H:%M" if today else "%Y-%m-%d %H:%M", began)
    return f"{machine} has been measuring {what} since {since}"
