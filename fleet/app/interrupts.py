"""Ways to be stopped: Ctrl-C in the middle of a query, and being told to by another process."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

DUCKDBS_WORDS = "Query interrupted"


@contextmanager
def interruptible() -> Iterator[None]:
    """DuckDB takes Ctrl-C for an error of its own and raises a plain RuntimeError."""
    try:
        yield
    except RuntimeError as problem:
        if str(problem) != DUCKDBS_WORDS:
            raise
        raise KeyboardInterrupt from None


def sigterm_is_an_interrupt() -> None:
    """`fleet cancel` sends SIGTERM: a shell lets what runs behind it ignore SIGINT.

    Called after the dispatcher is open, since Ray's driver sets a handler of its own.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
