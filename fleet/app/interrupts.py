"""Ctrl-C in the middle of a query."""

from __future__ import annotations

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
