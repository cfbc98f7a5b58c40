"""Ways to be stopped: Ctrl-C during a query, and SIGTERM from another process."""

from __future__ import annotations

import signal
import threading
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


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold Ctrl-C and SIGTERM back until the block has ended; then they take effect."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread gets signals
        return
    held: list[int] = []
    handlers = {
        number: signal.signal(number, lambda caught, _: held.append(caught))
        for number in (signal.SIGINT, signal.SIGTERM)
        if signal.getsignal(number) is not None  # None: a handler that is not Python's
    }
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    for held_back in held[:1]:
        signal.raise_signal(held_back)


def sigterm_is_an_interrupt() -> None:
    """Treat SIGTERM, which `fleet cancel` sends, like Ctrl-C.

    A process in the background of a shell may ignore SIGINT. Called after the dispatcher is open,
    since Ray's driver sets a handler of its own.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
