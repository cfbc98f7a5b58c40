"""A worker behind a pipe: the same calls as messages, for a worker process on this machine.

Parent to child: (call, arguments). Child to parent: ("event", Event), then ("done", value) or
("raised", FleetError). `look`, `prepare` and `run` are done one after the other by the child's
main thread, which measures; `drop`, `acknowledge` and `stop` by its reading thread, at once.
"""

from __future__ import annotations

import queue
import threading
from multiprocessing.connection import Connection
from typing import Any

from fleet.errors import FleetError
from fleet.ports import Worker

AT_ONCE = frozenset({"drop", "acknowledge", "stop"})
STREAMS = frozenset({"prepare", "run"})

Message = tuple[str, Any]


def serve(connection: Connection, worker: Worker) -> None:
    """Answer until the other end hangs up; a dispatcher that died stops the trial as well."""
    calls: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(connection, worker, calls), daemon=True).start()
    try:
        while (call := calls.get()) is not None:
            _answer(connection, worker, *call)
    except (BrokenPipeError, ConnectionResetError):
        return
    finally:
        worker.close()


def _read(connection: Connection, worker: Worker, calls: queue.SimpleQueue[Message | None]) -> None:
    try:
        while True:
            name, arguments = connection.recv()
            if name in AT_ONCE:
                getattr(worker, name)(*arguments)
            else:
                calls.put((name, arguments))
    except (EOFError, OSError):
        worker.stop()
        calls.put(None)


def _answer(connection: Connection, worker: Worker, name: str, arguments: tuple[Any, ...]) -> None:
    try:
        value = getattr(worker, name)(*arguments)
        if name in STREAMS:
            for event in value:
                connection.send(("event", event))
            value = None
    except FleetError as problem:
        connection.send(("raised", problem))
    else:
        connection.send(("done", value))
