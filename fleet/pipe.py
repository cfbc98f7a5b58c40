"""A worker behind a pipe: the same calls as messages, for a worker process on this machine.

Parent to child: (call, arguments). Child to parent: ("event", Event), then ("done", value) or
("raised", FleetError). `look`, `prepare` and `run` are done one after the other by the child's
main thread, which measures; `drop`, `acknowledge` and `stop` by its reading thread, at once.

Whatever a worker raises goes to the parent as one message. This is the one place where any
exception is caught: behind it there is nobody but the user, who is not to read a traceback.
"""

from __future__ import annotations

import queue
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from fleet.errors import Fault, FleetError
from fleet.ports import Worker

AT_ONCE = frozenset({"drop", "acknowledge", "stop"})
STREAMS = frozenset({"prepare", "run"})

Message = tuple[str, Any]


def serve(connection: Connection, make: Callable[[], Worker], faults: Path) -> None:
    """Answer until the other end hangs up; a dispatcher that died stops the trial as well.

    A worker that cannot be made answers each call with the reason. `faults`: a file to which the
    traceback of a fault of fleet itself is added.
    """
    calls: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
    worker, problem = _make_worker(make, faults)
    threading.Thread(target=_read, args=(connection, worker, calls), daemon=True).start()
    try:
        while (call := calls.get()) is not None:
            if worker is None:
                connection.send(("raised", problem))
            else:
                _answer(connection, worker, call, faults)
    except (BrokenPipeError, ConnectionResetError):
        return
    finally:
        if worker is not None:
            worker.close()


def _make_worker(
    make: Callable[[], Worker], faults: Path
) -> tuple[Worker | None, FleetError | None]:
    try:
        return make(), None
    except Exception as problem:  # noqa: BLE001
        return None, _as_message(problem, faults)


def _read(
    connection: Connection, worker: Worker | None, calls: queue.SimpleQueue[Message | None]
) -> None:
    while True:
        try:
            name, arguments = connection.recv()
        except (EOFError, OSError):
            break
        if name not in AT_ONCE:
            calls.put((name, arguments))
        elif worker is not None:
            with suppress(OSError):  # a spooled result that cannot be removed is sent once more
                getattr(worker, name)(*arguments)
    if worker is not None:
        worker.stop()
    calls.put(None)


def _answer(connection: Connection, worker: Worker, call: Message, faults: Path) -> None:
    name, arguments = call
    try:
        value = getattr(worker, name)(*arguments)
        if name in STREAMS:
            for event in value:
                connection.send(("event", event))
            value = None
    except (BrokenPipeError, ConnectionResetError):
        raise
    except Exception as problem:  # noqa: BLE001
        connection.send(("raised", _as_message(problem, faults)))
    else:
        connection.send(("done", value))


def _as_message(problem: Exception, faults: Path) -> FleetError:
    """The FleetError that was raised; anything else as a fault, with its traceback in the file."""
    if isinstance(problem, FleetError):
        return problem
    what = " ".join(f"{type(problem).__name__}: {problem}".split())
    lines = traceback.format_exception(problem)
    try:
        faults.parent.mkdir(parents=True, exist_ok=True)
        with faults.open("a") as file:
            print(time.strftime("%Y-%m-%dT%H:%M:%S%z"), *lines, sep="\n", file=file)
    except OSError as unwritable:
        return Fault(f"fleet itself is at fault: {what}", f"{faults}: {unwritable.strerror}")
    return Fault(f"fleet itself is at fault: {what}", f"where it happened stands in {faults}")
