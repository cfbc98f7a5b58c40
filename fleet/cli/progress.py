"""Progress as plain lines: one line for each event.

The lines are written by the coordinator's process, never by a process that measures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from fleet.cli import output
from fleet.model.event import Event, Failed, Finished, Held, Lost, Said, Started
from fleet.report.event_text import cell_text, finished_text
from fleet.units import show_span

if TYPE_CHECKING:
    from fleet.plan.expand import Plan, Redo


say = output.say


@dataclass(slots=True)
class Lane:
    """One machine's progress."""

    name: str
    waiting: int
    left_s: float
    blocks: int
    now: str = ""
    speed: str = ""
    block: int = 0
    outcomes: dict[str, str] = field(default_factory=dict)
    """Of each trial's last attempt, by the trial's id."""
    lost: str = ""
    estimate_s: float = 0.0

    def take(self, event: Event) -> None:
        if isinstance(event, Started):
            trial = event.attempt.trial
            self.now, self.estimate_s = cell_text(trial), trial.estimate_s
            self.block = min(trial.block, self.blocks - 1)  # the last canary stands behind all
        elif isinstance(event, Finished):
            self._take_outcome(event)
        elif isinstance(event, Lost):
            self.lost = event.what
        elif isinstance(event, Said):
            self.now = event.text
        elif isinstance(event, Held):
            self.now = event.why

    def _take_outcome(self, event: Finished) -> None:
        """A trial that is tried again counts once."""
        trial = event.result.trial
        if trial.trial_id not in self.outcomes:
            self.waiting = max(self.waiting - 1, 0)
            self.left_s = max(self.left_s - trial.estimate_s, 0.0)
        self.outcomes[trial.trial_id] = event.result.outcome
        self.speed = event.speeds

    def count(self, outcome: str) -> int:
        return sum(each == outcome for each in self.outcomes.values())

    def drop(self, trials: int) -> None:
        share = trials / self.waiting if self.waiting else 0.0
        self.waiting -= trials
        self.left_s *= 1.0 - share


class PlainTalk:
    """One line per event on standard error, data on standard output."""

    def __init__(self) -> None:
        self.lanes: dict[str, Lane] = {}
        self._names: dict[str, str] = {}

    def home(self, folder: Path) -> None:
        say(f"results, ledger and spool: {folder}")

    def say(self, text: str) -> None:
        say(text)

    def planned(self, plan: Plan, trials: int, finished: int) -> None:
        from fleet.report.plan_text import plan_lines

        self._names = {each.machine.machine_id: each.machine.name for each in plan.machines}
        for line in plan_lines(plan):
            self.say(line)
        if finished:
            self.say(f"{finished} trials are finished already, {trials} to go")

    def confirm(self, redo: Sequence[Redo]) -> bool:
        """Nobody is there to ask: what an upgrade made new is measured only with --yes."""
        return False

    def began(self, plan: Plan, queues: dict[str, int]) -> None:
        for machine in plan.machines:
            key = machine.machine.machine_id
            if key in queues:
                share = queues[key] / max(len(machine.trials), 1)
                self.lanes[key] = Lane(
                    name=machine.machine.name,
                    waiting=queues[key],
                    left_s=machine.estimate_s * share,
                    blocks=plan.repeats.most,
                )

    def event(self, event: Event) -> None:
        lane = self.lanes.get(event.machine_id)
        if lane is not None:
            lane.take(event)
        line = self._line(event, lane)
        if line:
            self.say(line)

    def not_needed(self, machine_id: str, trials: int, why: str) -> None:
        lane = self.lanes[machine_id]
        lane.drop(trials)
        self.say(f"{lane.name}: {trials} trials not needed: {why}")

    def columns(self) -> int | None:
        return output.columns()

    def answer(self, lines: Sequence[str]) -> None:
        output.emit(lines, verdicts=True)

    def _line(self, event: Event, lane: Lane | None) -> str:
        name = self._names.get(event.machine_id, event.machine_id)
        if isinstance(event, Finished):
            trial = event.result.trial
            left = f"   {show_span(lane.left_s)} left" if lane and lane.waiting else ""
            return f"{name}: {cell_text(trial)}  {finished_text(event)}{left}"
        if isinstance(event, Said):
            return f"{name}: {event.text}"
        if isinstance(event, Held):
            return f"{name}: {event.why}"
        if isinstance(event, Failed):
            return f"{name}: {event.what}  {event.hint}".rstrip()
        return f"{name}: lost: {event.what}" if isinstance(event, Lost) else ""
