"""What the A/A run of an experiment says of each machine. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from fleet.compare.noise import NOISE_METRICS, NoiseRun
from fleet.stats.noise_floor import NoiseFloor, untrusted


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseLine:
    """One metric of one machine; `floor` is None below the least number of trials."""

    machine: str
    machine_id: str
    metric: str
    trials: int
    floor: NoiseFloor | None
    trusted: bool | None = None
    """Whether the two sides are equal as they should be; None without a floor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseReport:
    """The noise floors of one run."""

    experiment: str
    model: str
    job: str
    lines: tuple[NoiseLine, ...]

    @property
    def trusted(self) -> bool:
        """Whether every machine has a floor and equal sides."""
        return all(line.trusted for line in self.lines)


def noise_report(
    experiment: str, model: str, job: str, machines: Mapping[str, str], runs: Sequence[NoiseRun]
) -> NoiseReport:
    """Judge the runs of one cell; `machines`: names by machine id."""
    own = [run for run in runs if (run.cell.model, run.cell.job) == (model, job)]
    lines = [
        _line(name, machine_id, metric, own)
        for machine_id, name in machines.items()
        for metric in NOISE_METRICS
    ]
    floors = {(e.machine_id, e.metric): e.floor for e in lines if e.floor is not None}
    doubted = untrusted(floors)
    return NoiseReport(
        experiment=experiment,
        model=model,
        job=job,
        lines=tuple(
            replace(line, trusted=(line.machine_id, line.metric) not in doubted)
            if line.floor is not None
            else line
            for line in lines
        ),
    )


def _line(machine: str, machine_id: str, metric: str, runs: Sequence[NoiseRun]) -> NoiseLine:
    """Take the latest run that has a floor, else the latest run."""
    own = [run for run in runs if (run.cell.machine_id, run.metric) == (machine_id, metric)]
    latest = ([run for run in own if run.floor() is not None] or own)[-1:]
    return NoiseLine(
        machine=machine,
        machine_id=machine_id,
        metric=metric,
        trials=sum(len(run.trials) for run in latest),
        floor=latest[0].floor() if latest else None,
    )
