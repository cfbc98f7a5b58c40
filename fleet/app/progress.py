"""What the use cases report while they work; the command line decides how it looks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from fleet.model.event import Event
from fleet.plan.expand import Plan, Redo


class Talk(Protocol):
    """The listener to whom a submission reports."""

    def home(self, folder: Path) -> None:
        """Take the folder in which everything will lie; called first."""

    def say(self, text: str) -> None:
        """Take a message."""

    def planned(self, plan: Plan, trials: int, finished: int) -> None:
        """Take the plan, with the trials to measure and those that are finished."""

    def confirm(self, redo: Sequence[Redo]) -> bool:
        """Return whether to measure again what only an upgrade made new."""

    def began(self, plan: Plan, queues: dict[str, int]) -> None:
        """Take the number of waiting trials by machine id, as measuring begins."""

    def event(self, event: Event) -> None:
        """Take an event of a machine."""

    def not_needed(self, machine_id: str, trials: int, why: str) -> None:
        """Take the number of trials that are dropped, and why."""

    def columns(self) -> int | None:
        """Return the width of the terminal that shows answers; None for a file or a pipe."""

    def answer(self, lines: Sequence[str]) -> None:
        """Take data, for standard output."""
