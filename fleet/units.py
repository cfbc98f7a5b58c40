"""Reads and writes quantities: nanoseconds, bytes, numbers, spans of time."""

from __future__ import annotations

import re
from decimal import Decimal

NS_PER_US = 1_000
NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
GIB = 2**30
MIB = 2**20

GO_UNITS_NS = {
    "h": 3600 * NS_PER_S,
    "m": 60 * NS_PER_S,
    "s": NS_PER_S,
    "ms": NS_PER_MS,
    "µs": NS_PER_US,  # U+00B5, as Go prints it
    "μs": NS_PER_US,  # U+03BC, the letter many fonts and editors put in its place
    "us": NS_PER_US,
    "ns": 1,
}
_GO_PART = re.compile(r"(\d+(?:\.\d+)?)(h|ms|m|s|µs|μs|us|ns)")
_SPAN_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def go_duration_ns(text: str) -> int:
    """Return the exact nanoseconds of a Go duration: `1m2.202324708s`; raises ValueError."""
    body, sign = (text[1:], -1) if text.startswith("-") else (text, 1)
    parts = _GO_PART.findall(body)
    if not parts or "".join(number + unit for number, unit in parts) != body:
        raise ValueError(f"{text!r} is no duration like 1m2.5s")
    return sign * int(sum(Decimal(number) * GO_UNITS_NS[unit] for number, unit in parts))


def span_s(text: str) -> float:
    """Return the seconds of `45s`, `10m`, `1.5h`, `2d` or `1h30m`; raises ValueError."""
    parts = re.findall(r"(\d+(?:\.\d+)?)([smhd])", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text!r} is no time span like 10m or 1h30m")
    return sum(float(number) * _SPAN_UNITS_S[unit] for number, unit in parts)


def show_span(seconds: float) -> str:
    """Return a span as a person would say it: `42 s`, `18 min`, `1 h 50 min`."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"


def show_ns(duration_ns: float) -> str:
    """Return a duration with three digits: `1.36 ms`, `59.6 ms`, `7.34 s`."""
    for unit_ns, unit in ((NS_PER_S, "s"), (NS_PER_MS, "ms"), (NS_PER_US, "us")):
        if duration_ns >= unit_ns:
            return f"{show_number(duration_ns / unit_ns)} {unit}"
    return f"{duration_ns:.0f} ns"


def show_time(duration_ns: float) -> str:
    """Return a duration to the second: `2m18s`, `1h02m05s`."""
    minutes, seconds = divmod(round(duration_ns / NS_PER_S), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m{seconds:02d}s" if hours else f"{minutes}m{seconds:02d}s"


def show_bytes(size_bytes: float) -> str:
    """Return a size in binary units: `8.1 MiB`, `60.9 GiB`."""
    for unit_bytes, unit in ((2**40, "TiB"), (GIB, "GiB"), (MIB, "MiB"), (2**10, "KiB")):
        if size_bytes >= unit_bytes:
            return f"{size_bytes / unit_bytes:.1f} {unit}"
    return f"{size_bytes:.0f} B"


def show_number(value: float) -> str:
    """Return three significant digits; from 1000 on a whole number."""
    if abs(value) >= 1000:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:.3g}"


def show_text(text: str, most: int = 120) -> str:
    """Return text from outside in one line, cut if long, with control characters as `\\x1b`."""
    line = " ".join(text.split())
    cut = line if len(line) <= most else f"{line[: most - 3]}..."
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in cut
    )


def show_count(number: int, singular: str, plural: str = "") -> str:
    """Return `1 trial`, `3 trials`."""
    return f"{number} {singular if number == 1 else plural or singular + 's'}"
