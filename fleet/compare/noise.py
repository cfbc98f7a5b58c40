"""The A/A runs in a store, and the noise floor of each machine that follows from them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime

from fleet.compare.designs import FloorKey
from fleet.query.open_store import Connection, Row, add_views, has, rows
from fleet.query.views import question
from fleet.stats.noise_floor import NoiseFloor, NoiseTrial, noise_floor

METRICS = {"prefill": "prefill_tokens_per_s", "decode": "decode_tokens_per_s"}


@dataclass(slots=True, kw_only=True)
class NoiseRun:
    """The A/A trials of one metric of one machine, all of one cell, point and session."""

    experiment: str
    session: int
    machine_id: str
    machine: str
    model: str
    job: str
    point: str
    settings: str
    digest: str
    engine_version: str
    metric: str
    control: bool
    """Beside the cells of an experiment, not a run by itself."""
    last_at: datetime | None = None
    trials: list[NoiseTrial] = field(default_factory=list)

    def floor(self) -> NoiseFloor | None:
        """None below LEAST_TRIALS, or below two whole blocks."""
        found = noise_floor(self.trials)
        return None if found is None else replace(found, settings=self.settings)

    @property
    def key(self) -> FloorKey:
        """As `designs.floor_key` looks for it."""
        if not self.control:
            return self.machine_id, self.metric
        work = (self.experiment, str(self.session), self.model, self.job, self.point)
        return (self.machine_id, self.metric, *work)


def noise_floors(con: Connection) -> dict[FloorKey, NoiseFloor]:
    """The latest long enough run of each machine, and each control for its own experiment."""
    floors = ((run.key, run.floor()) for run in noise_runs(con))
    return {key: floor for key, floor in floors if floor is not None}


def noise_runs(
    con: Connection, experiment: str | None = None, session: int | None = None
) -> list[NoiseRun]:
    """All of them, or those of one experiment and session; the latest last."""
    if not has(con, "role", "noise"):
        return []
    add_views(con, "noise_trials")
    runs: dict[tuple[object, ...], NoiseRun] = {}
    for row in rows(con, question("noise")):
        if experiment in (None, row["experiment"]) and session in (None, row["session"]):
            for metric, column in METRICS.items():
                if row[column] is not None:
                    _add(runs, row, metric, column)
    return sorted(runs.values(), key=lambda run: (str(run.last_at), run.machine, run.metric))


def _add(runs: dict[tuple[object, ...], NoiseRun], row: Row, metric: str, column: str) -> None:
    names = ("experiment", "session", "machine_id", "machine", "model", "job", "point")
    told = {name: row[name] for name in (*names, "settings", "digest", "engine_version", "control")}
    key = (*told.values(), metric)
    run = runs.setdefault(key, NoiseRun(**told, metric=metric))  # type: ignore[arg-type]
    at = row["started_at"]
    run.last_at = at if isinstance(at, datetime) else None
    run.trials.append(
        NoiseTrial(
            block=int(str(row["block"])),
            position=int(str(row["position"])),
            side=str(row["side"]),
            value=float(str(row[column])),
            submission=str(row["submission"]),
        )
    )
