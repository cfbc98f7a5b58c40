"""Ways to be stopped: Ctrl-C during a query, and SIGTERM from another process."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

DUCKDBS_WORDS = "Query interrupted"


@contextmanager
def interruptible() -> Iterator[None]:
    """Turn the RuntimeError that DuckDB raises on Ctrl-C into a KeyboardInterrupt."""
    try:
        yield
    except RuntimeError as problem:
        if str(problem) != DUCKDBS_WORDS:
            raise
        raise KeyboardInterrupt from None


def sigterm_is_an_interrupt() -> None:
    """Treat SIGTERM, which `fleet cancel` sends, like Ctrl-C.

    A process in the background of a shell may ignore SIGINT. Called after the dispatcher is open,
    since Ray's driver sets a handler of its own.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
