"""The noise floor: an A/A run of one cell on each machine, and what it says of them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from fleet.app.interrupts import interruptible
from fleet.compare.noise import NOISE_METRICS, NoiseRun
from fleet.compare.noise import noise_runs as stored_runs
from fleet.config.from_models import ModelWords, from_models
from fleet.config.overrides import narrowed
from fleet.errors import UserError
from fleet.folders import results_folder
from fleet.metrics.thresholds import LEAST_OUTPUT_TOKENS, LEAST_PROMPT_TOKENS
from fleet.model.experiment import Repeats, Request
from fleet.model.settings import Settings
from fleet.plan.expand import Plan
from fleet.query.open_store import open_store
from fleet.report.tables import aligned
from fleet.stats.noise_floor import LEAST_BLOCKS, LEAST_TRIALS, NoiseFloor, untrusted
from fleet.units import show_count

JOB = "noise"
USUAL_REPEATS = 5
"""Of an experiment: what the floor means for one is said for so many."""

DISTRUST = "its two sides differ although nothing does: this machine cannot be trusted yet"
NO_REASON = (
    "the trials show no order and no drift: another program may have worked meanwhile; "
    "measure again with more --repeats"
)

NOT_TOLD = ("n", "why", "settings")
"""Of a floor, since the line says it already."""

BY_CHANCE = "its interval misses 1, as one in 20 does by chance; among all of this run, no alarm"


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseLine:
    """One metric of one machine; `floor` None: too few trials."""

    machine: str
    machine_id: str
    metric: str
    trials: int
    floor: NoiseFloor | None
    trusted: bool | None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseReport:
    experiment: str
    model: str
    job: str
    lines: tuple[NoiseLine, ...]

    @property
    def trusted(self) -> bool:
        return all(line.trusted for line in self.lines)

    def data(self) -> dict[str, object]:
        """For --json: shares, not per cent."""
        told = asdict(self)
        for line in told["lines"]:
            floor = line.pop("floor") or {}
            line |= {name: value for name, value in floor.items() if name not in NOT_TOLD}
        return told


def request_of(
    base: Request | None,
    model: str | None,
    *,
    jobs: Sequence[str] = (),
    machines: Sequence[str] = (),
    engine: str = "ollama",
    repeats: int,
    settings: Sequence[str] = (),
) -> Request:
    """Every machine measures one cell twice in each block.

    `base`: an experiment whose engine, machines and first settings are taken. Raises UserError.
    """
    named = model or (base.experiment.models[0] if base else None)
    if named is None:
        raise UserError("no model is named", "fleet noise gpt-oss:20b, or --config FILE")
    if repeats < LEAST_BLOCKS:
        raise UserError(
            f"--repeats {repeats}: a noise floor needs at least {LEAST_BLOCKS} blocks of two "
            f"trials",
            f"fleet noise {named} --repeats {LEAST_BLOCKS}, better 20",
        )
    words = ModelWords(
        models=[named],
        jobs=jobs or (JOB,),
        machines=machines,
        engine=engine,
        repeats=repeats,
        settings=settings,
    )
    request = from_models(words)
    experiment = request.experiment
    if experiment.settings.axes():
        several = experiment.settings.axes()[0]
        raise UserError(
            f"a noise run measures one cell, and --set {several} has several values",
            f"give {several} one value",
        )
    if base is not None:
        plain = base.experiment
        experiment = plain.model_copy(
            update={
                "models": (named,),
                "jobs": experiment.jobs,
                "machines": experiment.machines if machines else plain.machines,
                "settings": _first_settings(base, settings),
                "repeats": repeats,
                "compare_by": None,
                "baseline": None,
            }
        )
    name = f"noise-{experiment.name.removesuffix(f'-{JOB}')}"
    even = experiment.model_copy(
        update={"name": name, "repeats": Repeats(least=repeats, most=repeats), "canary": "off"}
    )
    return Request(experiment=even, jobs=request.jobs, role="noise")


def _first_settings(base: Request, given: Sequence[str]) -> Settings:
    """The first combination of an experiment's settings, of those with the values given."""
    plain = narrowed(base, given).experiment.settings
    return Settings.model_validate(plain.combinations()[0])


@interruptible()
def read_report(home: Path, plan: Plan) -> NoiseReport:
    """What the stored trials of this run say of each machine."""
    experiment = plan.request.experiment
    with closing(open_store([results_folder(home)])) as con:
        runs = [
            run
            for run in stored_runs(con, experiment.name, plan.session)
            if (run.cell.model, run.cell.job) == (experiment.models[0], experiment.jobs[0])
        ]
    lines = [
        _line(machine.machine.name, machine.machine.machine_id, metric, runs)
        for machine in plan.machines
        for metric in NOISE_METRICS
    ]
    floors = {(e.machine_id, e.metric): e.floor for e in lines if e.floor is not None}
    doubted = untrusted(floors)
    return NoiseReport(
        experiment=experiment.name,
        model=experiment.models[0],
        job=experiment.jobs[0],
        lines=tuple(_judged(line, (line.machine_id, line.metric) in doubted) for line in lines),
    )


def report_lines(report: NoiseReport) -> list[str]:
    titles = ("machine", "metric", "noise", "95 % interval", "b against a", "95 % interval", "n")
    lines = [
        f"{report.model}  {report.job}: run to run, and side b against side a of the same cell",
        *aligned(titles, [_cells(line) for line in report.lines], right=("noise", "n")),
    ]
    for line in report.lines:
        if line.note:
            lines.append(f"{line.machine}, {line.metric}: {line.note}")
    return [*lines, *_meaning(report)]


def _line(machine: str, machine_id: str, metric: str, runs: Sequence[NoiseRun]) -> NoiseLine:
    mine = [run for run in runs if (run.cell.machine_id, run.metric) == (machine_id, metric)]
    measured = [run for run in mine if run.floor() is not None] or mine
    trials = len(measured[-1].trials) if measured else 0
    floor = measured[-1].floor() if measured else None
    note = "" if floor is not None else _missing(metric, trials)
    return NoiseLine(
        machine=machine,
        machine_id=machine_id,
        metric=metric,
        trials=trials,
        floor=floor,
        trusted=None,
        note=note,
    )


def _missing(metric: str, trials: int) -> str:
    if not trials:
        tokens = (
            f"{LEAST_PROMPT_TOKENS} prompt"
            if metric == "prefill"
            else f"{LEAST_OUTPUT_TOKENS} output"
        )
        return f"no trial has a rate: it takes a job with {tokens} tokens, and valid requests"
    return f"{show_count(trials, 'trial')}, {LEAST_TRIALS} are needed: submit the same again"


def _judged(line: NoiseLine, doubted: bool) -> NoiseLine:
    if line.floor is None:
        return line
    if doubted:
        note = f"{DISTRUST}; {line.floor.why or NO_REASON}"
    else:
        holds = line.floor.ratio_low <= 1 <= line.floor.ratio_high
        note = "" if holds else BY_CHANCE
    return replace(line, trusted=not doubted, note=note)


def _cells(line: NoiseLine) -> tuple[str, ...]:
    floor = line.floor
    if floor is None:
        return line.machine, line.metric, "-", "", "", "", str(line.trials)
    return (
        line.machine,
        line.metric,
        f"{100 * floor.sd_log:.2f} %",
        f"{100 * floor.low:.2f} to {100 * floor.high:.2f} %",
        f"{floor.ratio:.4f} x",
        f"{floor.ratio_low:.4f} to {floor.ratio_high:.4f}",
        str(floor.n),
    )


def _meaning(report: NoiseReport) -> list[str]:
    words = [
        f"{line.machine} {100 * line.floor.could_see(USUAL_REPEATS):.1f} %"
        for line in report.lines
        if line.metric == "decode" and line.floor is not None
    ]
    if not words:
        return []
    return [
        f"with {USUAL_REPEATS} repeats a side, a difference in decode is seen in 80 % of cases "
        f"from: {', '.join(words)}"
    ]
