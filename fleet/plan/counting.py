"""How many trials an experiment asks for, and how many of them no plan holds; pure.

The law: asked = planned + left out as whole cells, for every experiment and every set of machines.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from fleet.plan.plans import AbsentPlan, LeftTrials, MachinePlan
from fleet.plan.refusals.unfit import Fitting, LeftOut, PlanWarning, Spill, silent_machine, spill_of
from fleet.plan.selection import Asked


@dataclass(frozen=True, slots=True)
class Counting:
    """`blocks`: the cap of repeats."""

    wanted: Asked
    role: Literal["measure", "noise"]
    blocks: int

    @property
    def per_cell(self) -> int:
        """Trials of one cell: one in each block, in an A/A run two."""
        return self.blocks * (2 if self.role == "noise" else 1)

    @property
    def per_machine(self) -> int:
        cells = len(self.wanted.models) * len(self.wanted.jobs) * len(self.wanted.combinations)
        return cells * self.per_cell

    def trials_asked(self, plans: Iterable[MachinePlan], away: Sequence[AbsentPlan]) -> int:
        """Counted from the words of the experiment; only its controls follow from the plan."""
        machines = len(self.wanted.machines) + sum(each.machine.known.expected for each in away)
        planned = [plan.trials for plan in plans] + [absent.trials for absent in away]
        noise = sum(trial.role == "noise" for trials in planned for trial in trials)
        controls = noise if self.role == "measure" else 0
        return machines * self.per_machine + controls

    def left(
        self,
        fitting: Fitting,
        skipped: Mapping[Spill, PlanWarning],
        unmeasurable: Mapping[tuple[str, str], LeftOut],
    ) -> Iterator[LeftTrials]:
        """Of the machines that are there."""
        for machine in self.wanted.machines:
            if machine.engine is None:
                clause = silent_machine(machine).clause
                yield LeftTrials(machine=machine.name, reason=clause, trials=self.per_machine)
                continue
            yield from self._dropped(machine.name, fitting)
            models = Counter(shape.model for shape in fitting.shapes)
            refused = {
                model: left
                for (key, model), left in unmeasurable.items()
                if key == machine.machine_id
            }
            for model, left in refused.items():
                if trials := models[model] * self.per_cell:
                    reason = str(replace(left, machine=""))
                    yield LeftTrials(machine=machine.name, reason=reason, trials=trials)
            spilled = Counter(
                spill_of(machine, shape) for shape in fitting.shapes if shape.model not in refused
            )
            for spill, warning in skipped.items():
                if trials := spilled[spill] * self.per_cell:
                    yield LeftTrials(
                        machine=machine.name, reason=str(warning), trials=trials, by_choice=True
                    )

    def left_absent(self, fitting: Fitting, away: Sequence[AbsentPlan]) -> Iterator[LeftTrials]:
        """A machine that was never looked at has no trials of its own, only their number."""
        for absent in (each.machine for each in away if each.machine.known.expected):
            yield from self._dropped(absent.name, fitting)
            if absent.known.machine_id is None:
                trials = len(fitting.shapes) * self.per_cell
                yield LeftTrials(machine=absent.name, reason=absent.reason, trials=trials)

    def _dropped(self, machine: str, fitting: Fitting) -> Iterator[LeftTrials]:
        for left, cells in fitting.dropped.items():
            yield LeftTrials(machine=machine, reason=str(left), trials=cells * self.per_cell)
