"""Run several streams at once, one thread each, all released at the same moment."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from fleet.errors import Interrupted, TrialError
from fleet.ports import Clock, Stop
from fleet.runner.streams import Stream


@dataclass(frozen=True, slots=True)
class EitherStop:
    """Set by the user, or by a failed stream, which ends the other streams."""

    user: Stop
    failed: threading.Event

    def is_set(self) -> bool:
        return self.user.is_set() or self.failed.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        return self.user.wait(timeout) or self.failed.is_set()


def run_side_by_side(streams: Sequence[Stream], failed: threading.Event, clock: Clock) -> None:
    """Raise the error of the stream that failed first; the streams it stopped stay silent."""
    start = threading.Barrier(len(streams), action=lambda: _release(streams, clock.monotonic_ns()))
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
        futures = [pool.submit(run, stream) for stream in streams]
        for future in futures:
            future.result()
    if problems:
        raise problems[0]


def _release(streams: Sequence[Stream], now_ns: int) -> None:
    for stream in streams:
        stream.free_ns = now_ns
