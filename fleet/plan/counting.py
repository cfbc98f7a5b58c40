"""How many trials an experiment requests, and how many of them no plan holds; pure.

For every experiment and every set of machines: requested = planned + left out as whole cells.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from fleet.model.machine import Machine
from fleet.plan.plans import AbsentPlan, LeftTrials, MachinePlan
from fleet.plan.refusals.unfit import Exclusions, Fitting, silent_machine, spill_of
from fleet.plan.selection import Selection


@dataclass(frozen=True, slots=True)
class Counting:
    """Counts the trials of a selection."""

    selection: Selection
    role: Literal["measure", "noise"]
    blocks: int
    """The cap of repeats."""

    @property
    def per_cell(self) -> int:
        """Trials of one cell: one in each block, or two in a noise run."""
        return self.blocks * (2 if self.role == "noise" else 1)

    @property
    def per_machine(self) -> int:
        """Trials of all cells on one machine."""
        cells = (
            len(self.selection.models) * len(self.selection.jobs) * len(self.selection.combinations)
        )
        return cells * self.per_cell

    def trials_asked(self, plans: Iterable[MachinePlan], away: Sequence[AbsentPlan]) -> int:
        """Count from the words of the experiment; only its controls follow from the plan."""
        machines = len(self.selection.machines) + sum(each.machine.known.expected for each in away)
        planned = [plan.trials for plan in plans] + [absent.trials for absent in away]
        noise = sum(trial.role == "noise" for trials in planned for trial in trials)
        controls = noise if self.role == "measure" else 0
        return machines * self.per_machine + controls

    def left(self, exclusions: Exclusions) -> Iterator[LeftTrials]:
        """Yield the trials left out on the machines that are there."""
        for machine in self.selection.machines:
            if machine.engine is None:
                clause = silent_machine(machine).clause
                yield LeftTrials(machine=machine.name, reason=clause, trials=self.per_machine)
            else:
                yield from self._dropped(machine.name, exclusions.fitting)
                yield from self._unmeasurable(machine, exclusions)
                yield from self._skipped(machine, exclusions)

    def _unmeasurable(self, machine: Machine, exclusions: Exclusions) -> Iterator[LeftTrials]:
        models = Counter(shape.model for shape in exclusions.fitting.shapes)
        for (machine_id, model), left in exclusions.unmeasurable.items():
            trials = models[model] * self.per_cell
            if machine_id == machine.machine_id and trials:
                reason = str(replace(left, machine=""))
                yield LeftTrials(machine=machine.name, reason=reason, trials=trials)

    def _skipped(self, machine: Machine, exclusions: Exclusions) -> Iterator[LeftTrials]:
        spilled = Counter(
            spill_of(machine, shape)
            for shape in exclusions.fitting.shapes
            if (machine.machine_id, shape.model) not in exclusions.unmeasurable
        )
        for spill, warning in exclusions.skipped.items():
            if trials := spilled[spill] * self.per_cell:
                yield LeftTrials(
                    machine=machine.name, reason=str(warning), trials=trials, by_choice=True
                )

    def left_absent(
        self, exclusions: Exclusions, away: Sequence[AbsentPlan]
    ) -> Iterator[LeftTrials]:
        """Yield those left out on absent machines; one never seen has only a number of trials."""
        for absent in (each.machine for each in away if each.machine.known.expected):
            yield from self._dropped(absent.name, exclusions.fitting)
            if absent.known.machine_id is None:
                trials = len(exclusions.fitting.shapes) * self.per_cell
                yield LeftTrials(machine=absent.name, reason=absent.reason, trials=trials)

    def _dropped(self, machine: str, fitting: Fitting) -> Iterator[LeftTrials]:
        for left, cells in fitting.dropped.items():
            yield LeftTrials(machine=machine, reason=str(left), trials=cells * self.per_cell)
