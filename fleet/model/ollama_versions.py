"""The versions of Ollama that this fleet knows, and what has changed at which of them."""

from __future__ import annotations

import re

Version = tuple[int, ...]

OLDEST_CHECKED: Version = (0, 12)
NEWEST_CHECKED: Version = (0, 40)
"""What the counters of all versions between mean was checked, by their sources or their answers.
Others are measured alike, under a label."""
LLAMA_SERVER: Version = (0, 30)
"""The first that runs GGUF files in a llama-server."""
TELLS_CACHED: Version = (0, 33, 3)
"""The first whose final records say how many tokens of the prompt came from a cache."""
IDLE_MLX_RESTS: Version = (0, 34)
"""The first whose MLX runner does not keep a core busy while it has nothing to do."""

_NUMBER = re.compile(r"(\d{1,6})\.(\d{1,6})(?:\.(\d{1,6}))?", re.ASCII)


def version_of(text: str | None) -> Version | None:
    """Return the numbers of `0.34.4`; None for what begins with no version."""
    number = _NUMBER.match(text or "")
    return None if number is None else tuple(int(part or 0) for part in number.groups())


def show_version(version: Version) -> str:
    return ".".join(map(str, version))


def is_checked(text: str) -> bool:
    """Tell whether this fleet knows what the counters of this version mean."""
    version = version_of(text)
    return version is not None and OLDEST_CHECKED <= version[:2] <= NEWEST_CHECKED
