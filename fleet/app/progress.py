"""What the use cases say while they work; the command line decides how it looks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from fleet.model.event import Event
from fleet.plan.expand import Plan, Redo


class Talk(Protocol):
    def home(self, folder: Path) -> None:
        """First of all: where everything will lie."""
        ...

    def say(self, text: str) -> None: ...

    def planned(self, plan: Plan, trials: int, finished: int) -> None: ...

    def confirm(self, redo: Sequence[Redo]) -> bool:
        """Whether to measure again what only an upgrade made new."""
        ...

    def began(self, plan: Plan, queues: dict[str, int]) -> None:
        """Measuring begins; per machine id the number of trials that wait."""
        ...

    def event(self, event: Event) -> None: ...

    def not_needed(self, machine_id: str, trials: int, why: str) -> None: ...

    def columns(self) -> int | None:
        """Of the terminal that shows answers; None: a file or a pipe."""
        ...

    def answer(self, lines: Sequence[str]) -> None:
        """Data, for standard output."""
        ...
