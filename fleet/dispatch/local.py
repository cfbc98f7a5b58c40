"""Run workers on this machine: one process each, no Ray."""

from __future__ import annotations

import os
import queue
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from multiprocessing import Pipe
from typing import Any

from fleet.errors import FleetError, FleetUnreachable, UserError
from fleet.model.event import Event, Lost
from fleet.model.machine import Machine
from fleet.model.trial import Attempt

CANCEL_S = 1.5
CLOSE_S = 2.0


class WorkerProcess:
    """One worker process, whose messages go into the inbox."""

    def __init__(self, name: str, spec: object, inbox: queue.SimpleQueue[tuple[str, Any]]) -> None:
        self.name = name
        self._inbox = inbox
        self._connection, childs = Pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "fleet.worker", str(childs.fileno())],
            pass_fds=[childs.fileno()],
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C reaches the dispatcher alone, which then says stop
        )
        childs.close()
        self._connection.send(spec)
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def call(self, name: str, *arguments: object) -> None:
        """Send a call; the answer comes into the inbox."""
        try:
            self._connection.send((name, arguments))
        except (BrokenPipeError, OSError):
            return  # the listening thread reports the loss

    def _listen(self) -> None:
        try:
            while True:
                self._inbox.put((self.name, self._connection.recv()))
        except (EOFError, OSError):
            self._inbox.put((self.name, ("lost", f"its worker process ended ({self._end()})")))

    def _end(self) -> str:
        try:
            code = self._process.wait(CLOSE_S)
        except subprocess.TimeoutExpired:
            return "still running"
        return f"signal {-code}" if code < 0 else f"exit code {code}"

    def hang_up(self) -> None:
        """Hang up, so that the worker ends: closing is not enough while a thread reads."""
        with (
            suppress(OSError),  # it has ended already
            socket.socket(fileno=os.dup(self._connection.fileno())) as both_ways,
        ):
            both_ways.shutdown(socket.SHUT_RDWR)

    def wait(self) -> None:
        """Wait for the worker to end, and kill it if it does not."""
        try:
            self._process.wait(CLOSE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._listener.join()
        self._connection.close()


class LocalDispatcher:
    """The Dispatcher of this machine. `specs`: machine name to the parameters of its worker."""

    def __init__(self, specs: Mapping[str, object], experiment: str = "") -> None:
        self._inbox: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self._workers = {
            name: WorkerProcess(name, spec, self._inbox) for name, spec in specs.items()
        }
        self._experiment = experiment
        self._names: dict[str, str] = {}
        self._lost: dict[str, str] = {}
        """Workers that ended by themselves, and how."""
        self._cancelled_at: float | None = None
        self._taken: Sequence[str] = tuple(self._workers)
        self.absent: dict[str, str] = {}

    def joined(self) -> Sequence[str]:
        return list(self._workers)

    def take(self, names: Collection[str], promised: Mapping[str, str]) -> Mapping[str, str]:
        self._taken = [name for name in self._workers if name in names]
        busy = {name: promised[name] for name in self._taken if name in promised}
        if not busy:
            answers, _ = self._call_all(self._taken, "reserve", self._experiment)
            busy = {name: words for name, words in answers.items() if words}
        if busy:
            self._call_all(self._taken, "release")
        return busy

    def borrow(self, names: Collection[str]) -> Mapping[str, str]:
        """Take all of them: a look disturbs nobody here, and whoever has a machine keeps it."""
        self._taken = [name for name in self._workers if name in names]
        return {}

    def machines(self) -> Sequence[Machine]:
        """Look at the taken machines; raise FleetUnreachable or UserError if none answers."""
        machines, silent = self._call_all(self._taken, "look")
        if silent and not machines:
            raise _no_machine(*next(iter(silent.items())))
        self.absent = {name: "; ".join(_lines(problem)) for name, problem in silent.items()}
        self._names = {machine.machine_id: name for name, machine in machines.items()}
        return [machines[name] for name in self._taken if name in machines]

    def keep(self, machine_ids: Collection[str]) -> None:
        others = [name for key, name in self._names.items() if key not in machine_ids]
        self._call_all(others, "release")

    def prepare(self, models: Mapping[str, Sequence[str]]) -> Iterator[Event]:
        yield from self._stream("prepare", models)

    def run(self, queues: Mapping[str, Iterable[Attempt]]) -> Iterator[Event]:
        yield from self._stream("run", {key: list(value) for key, value in queues.items()})

    def drop(self, machine_id: str, trial_ids: Iterable[str]) -> None:
        self._worker(machine_id).call("drop", list(trial_ids))

    def acknowledge(self, machine_id: str, attempt_id: str) -> None:
        self._worker(machine_id).call("acknowledge", attempt_id)

    def cancel(self) -> None:
        self._cancelled_at = time.monotonic()
        for worker in self._workers.values():
            worker.call("stop")

    def close(self) -> None:
        for worker in self._workers.values():
            worker.hang_up()
        for worker in self._workers.values():
            worker.wait()

    def _call_all(
        self, names: Iterable[str], call: str, *arguments: object
    ) -> tuple[dict[str, Any], dict[str, object]]:
        """Call all workers at once; return the answers by name, and why others did not answer."""
        silent: dict[str, object] = {name: self._lost[name] for name in names if name in self._lost}
        living = [name for name in names if name not in self._lost]
        for name in living:
            self._workers[name].call(call, *arguments)
        answers: dict[str, Any] = {}
        for name, (kind, value) in self._answers(set(living)):
            if kind == "done":
                answers[name] = value
            elif kind in ("lost", "raised"):
                silent[name] = value
        return answers, silent

    def _worker(self, machine_id: str) -> WorkerProcess:
        return self._workers[self._names[machine_id]]

    def _stream(self, call: str, arguments: Mapping[str, Sequence[Any]]) -> Iterator[Event]:
        ids = {self._names[machine_id]: machine_id for machine_id in arguments}
        for name in self._lost.keys() & ids.keys():
            yield Lost(machine_id=ids.pop(name), what=self._lost[name])
        for name, machine_id in ids.items():
            self._workers[name].call(call, arguments[machine_id])
        for name, (kind, value) in self._answers(set(ids)):
            if kind == "event":
                yield value
            elif kind in ("lost", "raised"):
                yield Lost(machine_id=ids[name], what="; ".join(_lines(value)))

    def _answers(self, waiting: set[str]) -> Iterator[tuple[str, tuple[str, Any]]]:
        """Yield messages until every one of these workers is done, lost, or late to stop."""
        while waiting:
            try:
                name, message = self._inbox.get(timeout=0.2)
            except queue.Empty:
                if self._cancelled_for() > CANCEL_S:
                    return
                continue
            if message[0] == "lost":
                self._lost[name] = message[1]
            if name not in waiting:
                continue  # it had answered earlier, and has ended since
            yield name, message
            if message[0] != "event":
                waiting.discard(name)

    def _cancelled_for(self) -> float:
        return 0.0 if self._cancelled_at is None else time.monotonic() - self._cancelled_at


def _no_machine(name: str, problem: object) -> FleetError:
    """Report a mistake of the user as that, everything else as a machine out of reach."""
    if isinstance(problem, UserError):
        return UserError(f"{name}: {problem.what}", problem.hint)
    if isinstance(problem, FleetError):
        return FleetUnreachable(f"{name}: {problem.what}", problem.hint)
    return FleetUnreachable(f"{name}: {problem}", "")


def _lines(problem: object) -> list[str]:
    return [line.strip() for line in str(problem).splitlines()]
