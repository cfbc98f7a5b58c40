"""Several streams at once: one thread for each, all let go at one moment."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from fleet.errors import Interrupted, TrialError
from fleet.ports import Clock, Stop
from fleet.runner.streams import Stream


@dataclass(frozen=True, slots=True)
class Either:
    """Set by the user, or by a stream that failed: the others then end too."""

    user: Stop
    failed: threading.Event

    def is_set(self) -> bool:
        return self.user.is_set() or self.failed.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        return self.user.wait(timeout) or self.failed.is_set()


def run_side_by_side(streams: Sequence[Stream], failed: threading.Event, clock: Clock) -> None:
    """Raises what ended the first stream that failed; who was stopped by that says nothing."""
    start = threading.Barrier(len(streams), action=lambda: _free(streams, clock.monotonic_ns()))
    problems: list[TrialError | Interrupted] = []

    def run(stream: Stream) -> None:
        try:
            start.wait()
            stream.run()
        except (TrialError, Interrupted) as problem:
            problems.append(problem)
            failed.set()
        except BaseException:
            failed.set()
            raise

    with ThreadPoolExecutor(len(streams), thread_name_prefix="stream") as pool:
        running = [pool.submit(run, stream) for stream in streams]
        for each in running:
            each.result()
    if problems:
        raise problems[0]


def _free(streams: Sequence[Stream], now_ns: int) -> None:
    for stream in streams:
        stream.free_ns = now_ns
