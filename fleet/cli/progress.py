"""Progress as plain lines, one for each event.

The coordinator's process writes them, never a process that measures.
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


@dataclass(slots=True)
class Lane:
    """The progress of one machine."""

    name: str
    waiting: int
    left_s: float
    blocks: int
    now: str = ""
    speed: str = ""
    block: int = 0
    outcomes: dict[str, str] = field(default_factory=dict)
    """The outcome of each trial's last attempt, by the id of the trial."""
    lost: str = ""
    estimate_s: float = 0.0

    def take(self, event: Event) -> None:
        """Update the progress by one event."""
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
        """Count a trial once, however often it is tried."""
        trial = event.result.trial
        if trial.trial_id not in self.outcomes:
            self.waiting = max(self.waiting - 1, 0)
            self.left_s = max(self.left_s - trial.estimate_s, 0.0)
        self.outcomes[trial.trial_id] = event.result.outcome
        self.speed = event.speeds

    def count(self, outcome: str) -> int:
        """Return how many trials ended so."""
        return sum(each == outcome for each in self.outcomes.values())

    def drop(self, trials: int) -> None:
        """Take trials off what is left to do."""
        share = trials / self.waiting if self.waiting else 0.0
        self.waiting -= trials
        self.left_s *= 1.0 - share


class PlainTalk:
    """Print one line per event to standard error, and data to standard output."""

    def __init__(self) -> None:
        self.lanes: dict[str, Lane] = {}
        self._names: dict[str, str] = {}

    def home(self, folder: Path) -> None:
        """Name the folder of everything that is kept."""
        self.say(f"results, ledger and spool: {folder}")

    def say(self, text: str) -> None:
        """Print a message."""
        output.say(text)

    def planned(self, plan: Plan, trials: int, finished: int) -> None:
        """Print the plan."""
        from fleet.report.plan_text import plan_lines

        self._names = {each.machine.machine_id: each.machine.name for each in plan.machines}
        for line in plan_lines(plan):
            self.say(line)
        if finished:
            are = "1 trial is" if finished == 1 else f"{finished} trials are"
            self.say(f"{are} finished already, {trials} to go")

    def confirm(self, redo: Sequence[Redo]) -> bool:
        """Decline: nobody can be asked, so --yes is needed to measure again after an upgrade."""
        return False

    def began(self, plan: Plan, queues: dict[str, int]) -> None:
        """Begin the progress of each machine with its number of trials."""
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
        """Update the progress, and print the event."""
        lane = self.lanes.get(event.machine_id)
        if lane is not None:
            lane.take(event)
        line = self._line(event, lane)
        if line:
            self.say(line)

    def not_needed(self, machine_id: str, trials: int, why: str) -> None:
        """Print that trials are dropped, and why."""
        lane = self.lanes[machine_id]
        lane.drop(trials)
        self.say(f"{lane.name}: {trials} trials not needed: {why}")

    def columns(self) -> int | None:
        """Return the width of the terminal; None for a file or a pipe."""
        return output.columns()

    def answer(self, lines: Sequence[str]) -> None:
        """Print data."""
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
