"""One practice machine that is slow, or dead, does not end the practice fleet; no Ray here."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from fleet.dispatch import practice
from fleet.dispatch.processes import ProcessMark
from fleet.dispatch.records import Record, read_record
from fleet.dispatch.versions import Versions
from fleet.errors import FleetUnreachable

RECORD = Record(
    address="10.0.0.1:7379",
    dashboard_port=9265,
    versions=Versions(python="3.12.4", ray="2.60.0", fleet="0.1.0"),
    own_ip="10.0.0.1",
    name="",
    command=ProcessMark(pid=1, started="x"),
    ray=(ProcessMark(pid=2, started="x"),),
)


@dataclass
class Node:
    """One `ray start` that comes up, or does not."""

    pid: int
    slow: bool
    dead: bool = False

    @property
    def mark(self) -> ProcessMark:
        return ProcessMark(pid=self.pid, started="x")

    def wait_until_up(self, deadline_s: float) -> None:
        if self.slow:
            raise FleetUnreachable(f"Ray was not up in {deadline_s:.0f} s: it said nothing", "")

    def running(self) -> bool:
        return not (self.slow or self.dead)

    def reap(self) -> None: ...


@dataclass
class Head:
    record: Record = RECORD
    address: str = RECORD.address

    def wait_for_jobs(self) -> None: ...
    def check(self) -> None: ...


@dataclass
class Machine:
    """`slow`: how many starts of the machine on these ports never come up, by start number."""

    slow_starts: frozenset[int] = frozenset()
    started: list[Node] = field(default_factory=list)
    ended: list[int] = field(default_factory=list)

    def start_node(self, *_: Any) -> Node:
        number = len(self.started)
        self.started.append(Node(100 + number, number in self.slow_starts))
        return self.started[-1]


@pytest.fixture
def machine_with(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Machine]:
    def make(*slow_starts: int) -> Machine:
        machine = Machine(frozenset(slow_starts))

        @contextmanager
        def start_head(*_: Any, **__: Any) -> Iterator[Head]:
            yield Head()

        monkeypatch.setattr(practice, "start_head", start_head)
        monkeypatch.setattr(practice, "start_node", machine.start_node)
        monkeypatch.setattr(practice, "end_sessions", machine.ended.extend)
        monkeypatch.setattr(practice, "fresh_folder", lambda state, role: state / role)
        monkeypatch.setattr(practice, "folder_of", lambda state, role: state / role)
        monkeypatch.setattr("os.cpu_count", lambda: 2)
        return machine

    return make


def test_a_machine_that_is_slow_once_is_tried_again(
    machine_with: Callable[..., Machine], tmp_path: Path
) -> None:
    machine, said = machine_with(0), list[str]()
    with practice.practice_cluster(["a", "b"], tmp_path, say=said.append) as fleet:
        assert fleet.joined == ["a", "b"]
        record = read_record(tmp_path / "head.json")
        assert record is not None
        assert [mark.pid for mark in record.ray] == [2, 102, 101], "leave ends them all"
    assert said == ["a did not come up; trying again: Ray was not up in 60 s: it said nothing"]
    assert sorted(machine.ended) == [101, 102], "the slow start was ended before"


def test_a_machine_that_does_not_come_up_is_named_and_the_others_go_on(
    machine_with: Callable[..., Machine], tmp_path: Path
) -> None:
    machine_with(0, 2, 3)
    said: list[str] = []
    with practice.practice_cluster(["a", "b", "c"], tmp_path, say=said.append) as fleet:
        assert fleet.joined == ["b", "c"]
    assert said[-1] == "a is left out: Ray was not up in 60 s: it said nothing"


def test_where_none_comes_up_there_is_no_practice_fleet(
    machine_with: Callable[..., Machine], tmp_path: Path
) -> None:
    machine = machine_with(0, 1, 2)
    with (
        pytest.raises(FleetUnreachable, match="no practice machine came up: a: Ray was not up"),
        practice.practice_cluster(["a"], tmp_path),
    ):
        pass
    assert sorted(machine.ended) == [102]


def test_a_machine_that_ends_is_named_once(
    machine_with: Callable[..., Machine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(practice, "WATCH_S", 0.0)
    machine, said, stop = machine_with(), list[str](), threading.Event()

    class Rounds:
        """Is set after some looks."""

        left = 3

        def is_set(self) -> bool:
            return stop.is_set()

        def wait(self, timeout: float | None = None) -> bool:
            self.left -= 1
            return self.left < 0

    with practice.practice_cluster(["a", "b"], tmp_path) as fleet:
        machine.started[1].dead = True
        fleet.watch(Rounds(), said.append)
    assert said == ["b ended and is no longer joined: fleet leave; fleet practice"]
