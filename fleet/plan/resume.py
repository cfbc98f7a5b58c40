"""What of a plan is still to be measured: resume is this one subtraction; pure."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from fleet.comparability import KeyColumn, measured_again
from fleet.errors import PlanRefused
from fleet.identity import canonical_json
from fleet.model.machine import EngineFacts, FactValue, Machine, ModelFacts, same_model
from fleet.model.trial import Attempt, Trial
from fleet.plan import canaries
from fleet.plan.expand import MachinePlan, Plan, Redo
from fleet.ports import PastAttempt
from fleet.units import show_span

ENGINE_NAMES = {"ollama": "Ollama", "embedded": "llama.cpp", "simulated": "simulated engine"}
SHOWN_DIGITS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Remaining:
    """Machines with nothing left are not among `attempts`."""

    attempts: Mapping[str, tuple[Attempt, ...]]
    finished: int
    """Canaries do not count."""
    redo: tuple[Redo, ...]
    """Among the attempts, unless `missing_only` counted them as finished."""

    def changes(self) -> Mapping[str, int]:
        """How many trials each change would redo, for the question to the user."""
        return Counter(redo.words for redo in self.redo)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftBlocks:
    """Blocks of one machine that the time does not hold."""

    machine_id: str
    machine: str
    blocks: tuple[int, ...]
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Within:
    kept: Mapping[str, tuple[Attempt, ...]]
    left_out: tuple[LeftBlocks, ...]


def digests(
    models: Mapping[str, Sequence[ModelFacts]], names: Mapping[str, str], wanted: Sequence[str]
) -> dict[str, str]:
    """Model -> the digest on which all machines agree; a model that nobody has is left out.

    `models` and `names` are by machine id. Raises PlanRefused with the line to type.
    """
    held = {model: _held(models, model) for model in wanted}
    unequal = [model for model in wanted if len(set(map(_bare, held[model].values()))) > 1]
    if unequal:
        raise PlanRefused(
            "\n".join(_unequal(model, held[model], names) for model in unequal),
            "\n  ".join(line for m in unequal for line in _hints(m, held[m], names)),
        )
    return {model: next(iter(held[model].values())) for model in wanted if held[model]}


def with_digests(plan: Plan, digests: Mapping[str, str]) -> Plan:
    """The same trials, each told which model it must find."""
    machines = tuple(
        replace(
            machine,
            trials=tuple(replace(t, digest=digests.get(t.model, "")) for t in machine.trials),
        )
        for machine in plan.machines
    )
    return replace(plan, machines=machines)


def without(plan: Plan, models: Collection[tuple[str, str]]) -> Plan:
    """The plan less the trials of some models, each given as (machine id, model)."""
    machines = (
        replace(
            each,
            trials=tuple(t for t in each.trials if (t.machine_id, t.model) not in models),
        )
        for each in plan.machines
    )
    return replace(plan, machines=tuple(each for each in machines if each.trials))


def remaining(plan: Plan, past: Iterable[PastAttempt], *, missing_only: bool = False) -> Remaining:
    """The plan minus what is finished.

    Finished: outcome ok or a terminal failure, on the same model, engine, hardware and GPU
    limit as now. A digest that the plan does not know is taken from the machine; where that
    has no such model, any digest will do. Canaries are no work: where nothing else is left, none
    is asked for, and else only those around the blocks that are left.
    """
    by_trial: dict[str, list[PastAttempt]] = defaultdict(list)
    for attempt in past:
        by_trial[attempt.trial_id].append(attempt)
    attempts: dict[str, tuple[Attempt, ...]] = {}
    redo: list[Redo] = []
    total = 0
    for machine in plan.machines:
        again_here = _redo(machine, by_trial)
        redo += again_here
        settled = {r.trial.trial_id for r in again_here} if missing_only else set()
        unfinished = [
            trial
            for trial in machine.trials
            if trial.trial_id not in settled
            and not _finished(trial, machine.machine, by_trial[trial.trial_id])
        ]
        left = [trial for trial in unfinished if trial.role != "canary"]
        total += len(_work(machine)) - len(left)
        if left:
            birds = [trial for trial in unfinished if trial.role == "canary"]
            left += canaries.around(birds, {trial.block for trial in left})
            attempts[machine.machine.machine_id] = tuple(
                Attempt(trial=trial, fence=_next_fence(by_trial[trial.trial_id]))
                for trial in sorted(left, key=lambda trial: trial.position)
            )
    return Remaining(attempts=attempts, finished=total, redo=tuple(redo))


def of_submission(left: Remaining, submission_id: str) -> Remaining:
    """The same attempts, each with the id of the submit that asks for it."""
    attempts = {
        machine_id: tuple(replace(attempt, submission_id=submission_id) for attempt in queue)
        for machine_id, queue in left.attempts.items()
    }
    return replace(left, attempts=attempts)


def within(
    attempts: Mapping[str, Sequence[Attempt]],
    *,
    seconds: float,
    machines: Mapping[str, Machine] = {},
) -> Within:
    """Start no block that the estimate cannot end: each machine keeps whole blocks only.

    `machines`, by id: those that have hours measure only within them.
    """
    kept: dict[str, tuple[Attempt, ...]] = {}
    left_out: list[LeftBlocks] = []
    for machine_id, queue in attempts.items():
        machine = machines.get(machine_id)
        mine = machine.within_s(seconds) if machine else seconds
        whole, left = _fitting(queue, mine)
        if whole:
            kept[machine_id] = tuple(whole)
        if left:
            left_out.append(_left_blocks(machine_id, left, mine - _seconds(whole)))
    return Within(kept=kept, left_out=tuple(left_out))


def _work(plan: MachinePlan) -> list[Trial]:
    return [trial for trial in plan.trials if trial.role != "canary"]


def _held(models: Mapping[str, Sequence[ModelFacts]], model: str) -> dict[str, str]:
    """Digest by machine id, of the machines that have the model."""
    return {
        machine_id: facts.digest
        for machine_id, held in models.items()
        for facts in held
        if same_model(facts.name, model)
    }


def _unequal(model: str, held: Mapping[str, str], names: Mapping[str, str]) -> str:
    each = ", ".join(f"{names[m]} has {_short(digest)}" for m, digest in held.items())
    return f"{model} is not the same model on every machine: {each}"


def _hints(model: str, held: Mapping[str, str], names: Mapping[str, str]) -> Iterable[str]:
    """The machines that differ from the majority; all of them where there is none."""
    (most, count), (_, second) = Counter(map(_bare, held.values())).most_common(2)
    for machine_id, digest in held.items():
        if _bare(digest) != most or count == second:
            yield f"on {names[machine_id]}: ollama pull {model}"


def _next_fence(past: Sequence[PastAttempt]) -> int:
    return 1 + max((attempt.fence for attempt in past), default=-1)


def _finished(trial: Trial, machine: Machine, past: Sequence[PastAttempt]) -> bool:
    return any(_final(attempt) and not _changes(trial, machine, attempt) for attempt in past)


def _final(attempt: PastAttempt) -> bool:
    return attempt.outcome == "ok" or (attempt.outcome == "failed" and not attempt.transient)


def _redo(plan: MachinePlan, past: Mapping[str, Sequence[PastAttempt]]) -> list[Redo]:
    redo: list[Redo] = []
    for trial in _work(plan):
        tried = past.get(trial.trial_id, ())
        well = [attempt for attempt in tried if attempt.outcome == "ok"]
        if well and not _finished(trial, plan.machine, tried):
            latest = max(well, key=lambda attempt: attempt.fence)
            words = ", ".join(_changes(trial, plan.machine, latest))
            redo.append(Redo(trial=trial, words=words))
    return redo


def _changes(trial: Trial, machine: Machine, then: PastAttempt) -> list[str]:
    """Say in words what is not as it was; empty: all the same."""
    engine = machine.engine
    if engine is None:
        return ["no engine answers now"]
    subjects = {
        "digest": trial.model,
        "engine_version": ENGINE_NAMES.get(engine.kind, engine.kind),
    }
    changes: list[str] = []
    for column in measured_again():
        before, now = then.state[column.name], _now(column.name, trial, machine)
        if column.name == "engine_environment":
            changes += _environment_changes(engine, str(before or "{}"))
        elif column.name == "digest" and now in ("", _bare(str(before or ""))):
            continue
        elif before != now:
            subject = subjects.get(column.name) or column.short or column.words
            changes.append(f"{subject} {_shown(column, before)} -> {_shown(column, now)}")
    return changes


def _now(column: str, trial: Trial, machine: Machine) -> FactValue:
    """Return what a measurement of this trial would store in a column of the pooling key."""
    if column == "digest":
        return _digest(trial, machine)
    if column == "hardware_id":
        return machine.fingerprint.hardware_id
    if column == "engine_version" and machine.engine is not None:
        return machine.engine.version
    value = machine.fingerprint.get(column)
    return int(value) if isinstance(value, float) else value


def _environment_changes(engine: EngineFacts, then: str) -> list[str]:
    if then == canonical_json(engine.environment):
        return []
    try:
        before = json.loads(then)
    except ValueError:
        before = None
    if not isinstance(before, dict):
        return ["engine environment unknown before"]
    now = dict(engine.environment)
    return [
        f"{name} {before.get(name, 'not set')} -> {now.get(name, 'not set')}"
        for name in sorted(before.keys() | now.keys())
        if before.get(name) != now.get(name)
    ]


def _digest(trial: Trial, machine: Machine) -> str:
    held = machine.model(trial.model)
    return _bare(trial.digest or (held.digest if held else ""))


def _bare(digest: str | None) -> str:
    return (digest or "").removeprefix("sha256:")


def _short(digest: str | None) -> str:
    return _bare(digest)[:SHOWN_DIGITS] or "unknown"


def _shown(column: KeyColumn, value: FactValue) -> str:
    if column.name == "digest":
        return _short(str(value or ""))
    if column.of == "limit":
        return "not known" if value is None else f"{value} MiB"
    return str(value or "unknown")


def _seconds(attempts: Iterable[Attempt]) -> float:
    return sum(attempt.trial.estimate_s for attempt in attempts)


def _fitting(queue: Sequence[Attempt], seconds: float) -> tuple[list[Attempt], list[list[Attempt]]]:
    """The first blocks that end in time; after the first that does not, none is started.

    A canary opens its block; that of the first block left out closes the last one kept.
    """
    kept: list[Attempt] = []
    left: list[list[Attempt]] = []
    for _, group in groupby(queue, key=lambda attempt: attempt.trial.block):
        block = list(group)
        if not left and _seconds(kept) + _seconds(block) <= seconds:
            kept += block
            continue
        first = block[0]
        if not left and kept and first.trial.role == "canary":
            kept += [first] if _seconds(kept) + first.trial.estimate_s <= seconds else []
        left.append([attempt for attempt in block if attempt.trial.role != "canary"])
    return kept, [block for block in left if block]


def _left_blocks(machine_id: str, left: Sequence[Sequence[Attempt]], spare_s: float) -> LeftBlocks:
    first = left[0][0].trial
    words = (
        f"block {first.block + 1} takes about {show_span(_seconds(left[0]))}, "
        f"{show_span(max(spare_s, 0))} are left"
    )
    blocks = tuple(block[0].trial.block for block in left)
    return LeftBlocks(machine_id=machine_id, machine=first.machine, blocks=blocks, reason=words)
