"""Signals that end a command which stays in the foreground."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from fleet.app.interrupts import stops_handled_by


@contextmanager
def stop_on_signal() -> Iterator[threading.Event]:
    """Set the event on Ctrl-C and SIGTERM, so that everything started is ended in order."""
    stop = threading.Event()
    with stops_handled_by(lambda *_: stop.set()):
        yield stop
