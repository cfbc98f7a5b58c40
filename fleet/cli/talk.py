"""Choose how progress looks: a live table on a terminal, one plain line per event elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from fleet.cli.progress import PlainTalk

if TYPE_CHECKING:
    from fleet.app.progress import Talk


@contextmanager
def open_talk() -> Iterator[Talk]:
    """Yield the live view on a terminal, plain lines elsewhere."""
    if not sys.stderr.isatty():
        yield PlainTalk()
        return
    from fleet.cli.live import LiveTalk

    with LiveTalk() as live:
        yield live
