"""Streams that run at the same time: who stops them, and whose fault is raised."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any, cast

import pytest

from fleet.clock import SystemClock
from fleet.errors import EngineUnreachable
from fleet.runner.side_by_side import EitherStop, run_side_by_side
from fleet.runner.streams import Stream


@dataclass
class Scripted:
    """A stream that waits for another's fault, or has one of its own."""

    failed: threading.Event
    fault: BaseException | None = None
    free_ns: int = 0
    was_stopped: bool = False

    def run(self) -> None:
        if self.fault is not None:
            raise self.fault
        self.was_stopped = self.failed.wait(60)


@pytest.mark.parametrize("user", [False, True])
@pytest.mark.parametrize("failed", [False, True])
def test_either_of_both_stops(user: bool, failed: bool) -> None:
    stop = EitherStop(user=threading.Event(), failed=threading.Event())
    for event, is_set in ((stop.user, user), (stop.failed, failed)):
        if is_set:
            cast(threading.Event, event).set()
    assert stop.is_set() is (user or failed)
    assert stop.wait(0) is (user or failed)


@pytest.mark.parametrize("fault", [EngineUnreachable("gone", ""), RuntimeError("a fault of ours")])
def test_the_fault_of_one_stream_stops_the_others_and_is_raised(fault: Exception) -> None:
    failed = threading.Event()
    streams = [Scripted(failed), Scripted(failed, fault), Scripted(failed)]
    with pytest.raises(type(fault)) as raised:
        run_side_by_side(cast(list[Stream], cast(Any, streams)), failed, SystemClock())
    assert raised.value is fault
    assert [stream.was_stopped for stream in streams] == [True, False, True]
    assert len({stream.free_ns for stream in streams}) == 1
