"""What is asked of the system once, and what each time."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from fleet.commands import Remembering
from fleet.ports import Output


class Counting:
    """Answers each question with how many there were, or as a command that is late does."""

    def __init__(self, *late: int) -> None:
        self.asked = 0
        self._late = late

    def run(self, argv: Sequence[str], deadline_s: float = 5.0) -> Output:
        self.asked += 1
        if self.asked in self._late:
            return Output(code=None, stdout="", stderr=f"timed out after {deadline_s} seconds")
        return Output(code=0, stdout=str(self.asked), stderr="")

    def read(self, path: str) -> str | None:
        self.asked += 1
        return path


def test_what_stays_the_same_is_asked_once_for_each_question() -> None:
    commands = Remembering(Counting())
    told = [commands.run(argv).stdout for argv in (["uname", "-s"], ["uname", "-r"]) * 2]
    assert told == ["1", "2", "1", "2"]


@pytest.mark.parametrize("argv", [["pmset", "-g", "batt"], ["nvidia-smi", "-q"], ["sh", "-c", ""]])
def test_what_changes_is_asked_each_time(argv: list[str]) -> None:
    commands = Remembering(Counting())
    assert [commands.run(argv).stdout for _ in range(2)] == ["1", "2"]


def test_what_came_too_late_is_asked_again() -> None:
    commands = Remembering(Counting(1))
    assert [commands.run(["lscpu", "-J"]).stdout for _ in range(3)] == ["", "2", "2"]


def test_files_are_read_each_time() -> None:
    counting = Counting()
    assert [Remembering(counting).read("/proc/stat") for _ in range(2)] == ["/proc/stat"] * 2
    assert counting.asked == 2
