"""Ways to be stopped: Ctrl-C and SIGTERM, during a query or while nothing may be cut off."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
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
def stops_handled_by(handler: Callable[[int, object], object]) -> Iterator[None]:
    """Let this handler take Ctrl-C and SIGTERM inside the block; only in the main thread."""
    handlers = {
        number: signal.signal(number, handler)
        for number in (signal.SIGINT, signal.SIGTERM)
        if signal.getsignal(number) is not None  # None: a handler that is not Python's
    }
    try:
        yield
    finally:
        for number, before in handlers.items():
            signal.signal(number, before)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold Ctrl-C and SIGTERM back until the block has ended; then they take effect."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread gets signals
        return
    held: list[int] = []
    with stops_handled_by(lambda number, _: held.append(number)):
        yield
    for number in held[:1]:
        signal.raise_signal(number)


def sigterm_is_an_interrupt() -> None:
    """Treat SIGTERM, which `fleet cancel` sends, like Ctrl-C.

    A process in the background of a shell may ignore SIGINT. Called after the dispatcher is open,
    since Ray's driver sets a handler of its own.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
