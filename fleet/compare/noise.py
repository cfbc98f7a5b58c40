"""Reads the A/A runs in a store, and the noise floor of each machine that follows from them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime

from fleet.compare.designs import FloorKey
from fleet.query.open_store import Connection, add_views, has, rows
from fleet.query.typed import decode
from fleet.query.views import question
from fleet.stats.noise_floor import NoiseFloor, NoiseTrial, noise_floor

NOISE_METRICS = ("prefill", "decode")


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseCell:
    """One cell and point of one session, as the rows of `noise.sql` name it."""

    experiment: str | None
    session: int | None
    machine_id: str
    machine: str
    model: str
    job: str
    point: str
    settings: str | None
    digest: str | None
    engine_version: str | None
    control: bool
    """Beside the cells of an experiment, not a run by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measured:
    """One trial of a cell, as the rows of `noise.sql` tell it."""

    block: int
    position: int
    side: str
    submission: str
    started_at: datetime | None
    prefill_tokens_per_s: float | None
    decode_tokens_per_s: float | None


@dataclass(slots=True, kw_only=True)
class NoiseRun:
    """The A/A trials of one metric of one cell."""

    cell: NoiseCell
    metric: str
    last_at: datetime | None = None
    trials: list[NoiseTrial] = field(default_factory=list)

    def floor(self) -> NoiseFloor | None:
        """Return the noise floor; None below LEAST_TRIALS, or below two whole blocks."""
        floor = noise_floor(self.trials)
        return None if floor is None else replace(floor, settings=self.cell.settings or "")

    @property
    def key(self) -> FloorKey:
        """As `designs.floor_key` looks for it."""
        cell = self.cell
        if not cell.control:
            return cell.machine_id, self.metric
        work = (str(cell.experiment), str(cell.session), cell.model, cell.job, cell.point)
        return (cell.machine_id, self.metric, *work)


def noise_floors(con: Connection) -> dict[FloorKey, NoiseFloor]:
    """Read the latest long enough run of each machine, and each control for its own experiment."""
    floors = ((run.key, run.floor()) for run in noise_runs(con))
    return {key: floor for key, floor in floors if floor is not None}


def noise_runs(
    con: Connection, experiment: str | None = None, session: int | None = None
) -> list[NoiseRun]:
    """Read all of them, or those of one experiment and session; the latest last."""
    if not has(con, "role", "noise"):
        return []
    add_views(con, "noise_trials")
    runs: dict[tuple[NoiseCell, str], NoiseRun] = {}
    for row in rows(con, question("noise")):
        cell = decode(NoiseCell, row)
        if experiment in (None, cell.experiment) and session in (None, cell.session):
            measured = decode(_Measured, row)
            for metric in NOISE_METRICS:
                run = runs.setdefault((cell, metric), NoiseRun(cell=cell, metric=metric))
                _add(run, measured)
    own = [run for run in runs.values() if run.trials]
    return sorted(own, key=lambda run: (str(run.last_at), run.cell.machine, run.metric))


def _add(run: NoiseRun, measured: _Measured) -> None:
    value = (
        measured.prefill_tokens_per_s if run.metric == "prefill" else measured.decode_tokens_per_s
    )
    if value is None:
        return
    run.last_at = measured.started_at
    run.trials.append(
        NoiseTrial(
            block=measured.block,
            position=measured.position,
            side=measured.side,
            value=value,
            submission=measured.submission,
        )
    )
