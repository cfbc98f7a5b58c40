"""Which trials of a plan are still to be measured: the plan minus what is finished; pure."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from fleet.comparability import KeyColumn, measured_again
from fleet.identity import canonical_json
from fleet.model.machine import EngineFacts, FactValue, Machine
from fleet.model.trial import Attempt, Trial
from fleet.plan import canaries
from fleet.plan.digests import bare_digest, short_digest
from fleet.plan.plans import MachinePlan, Plan, Redo
from fleet.ports import PastAttempt

ENGINE_NAMES = {"ollama": "Ollama", "embedded": "llama.cpp", "simulated": "simulated engine"}

Past = Mapping[str, Sequence[PastAttempt]]
"""Earlier attempts by trial id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remaining:
    """What of a plan is still to be measured."""

    attempts: Mapping[str, tuple[Attempt, ...]]
    """By machine id; a machine with nothing left is not among them."""
    finished: int
    """The number of finished trials, without canaries."""
    redo: tuple[Redo, ...]
    """Among the attempts, unless `missing_only` counted them as finished."""

    def changes(self) -> Mapping[str, int]:
        """Count the trials that each change would measure again."""
        return Counter(redo.words for redo in self.redo)


def remaining(plan: Plan, past: Iterable[PastAttempt], *, missing_only: bool = False) -> Remaining:
    """Return the plan minus what is finished.

    A trial is finished if an attempt ended well or failed for good, on the same model, engine,
    hardware and GPU limit as now. A digest that the plan does not know is taken from the machine;
    if the machine has no such model, any digest will do. Canaries are no work: only those around
    the blocks that are left are measured.
    """
    earlier: dict[str, list[PastAttempt]] = defaultdict(list)
    for attempt in past:
        earlier[attempt.trial_id].append(attempt)
    redo = {each.machine.machine_id: _redo(each, earlier) for each in plan.machines}
    left = {
        each.machine.machine_id: _left_on(
            each, earlier, {r.trial.trial_id for r in redo[each.machine.machine_id]}, missing_only
        )
        for each in plan.machines
    }
    work = sum(len(_work(each)) for each in plan.machines)
    open_work = sum(a.trial.role != "canary" for queue in left.values() for a in queue)
    return Remaining(
        attempts={machine_id: queue for machine_id, queue in left.items() if queue},
        finished=work - open_work,
        redo=tuple(each for trials in redo.values() for each in trials),
    )


def of_submission(left: Remaining, submission_id: str) -> Remaining:
    """Return the same attempts, each with the id of the submit that requests it."""
    attempts = {
        machine_id: tuple(replace(attempt, submission_id=submission_id) for attempt in queue)
        for machine_id, queue in left.attempts.items()
    }
    return replace(left, attempts=attempts)


def _left_on(
    plan: MachinePlan, past: Past, redo: set[str], missing_only: bool
) -> tuple[Attempt, ...]:
    """Return the attempts that are left on one machine, in the order of its queue."""
    settled = redo if missing_only else set[str]()
    unfinished = [
        trial
        for trial in plan.trials
        if trial.trial_id not in settled
        and not _finished(trial, plan.machine, past.get(trial.trial_id, ()))
    ]
    work = [trial for trial in unfinished if trial.role != "canary"]
    if not work:
        return ()
    standing = [trial for trial in unfinished if trial.role == "canary"]
    work += canaries.around(standing, {trial.block for trial in work})
    return tuple(
        Attempt(trial=trial, fence=_next_fence(past.get(trial.trial_id, ())))
        for trial in sorted(work, key=lambda trial: trial.position)
    )


def _work(plan: MachinePlan) -> list[Trial]:
    return [trial for trial in plan.trials if trial.role != "canary"]


def _next_fence(past: Sequence[PastAttempt]) -> int:
    return 1 + max((attempt.fence for attempt in past), default=-1)


def _finished(trial: Trial, machine: Machine, past: Sequence[PastAttempt]) -> bool:
    return any(attempt.is_final and not _changes(trial, machine, attempt) for attempt in past)


def _redo(plan: MachinePlan, past: Past) -> list[Redo]:
    redo: list[Redo] = []
    for trial in _work(plan):
        attempts = past.get(trial.trial_id, ())
        well = [attempt for attempt in attempts if attempt.outcome == "ok"]
        if well and not _finished(trial, plan.machine, attempts):
            latest = max(well, key=lambda attempt: attempt.fence)
            words = ", ".join(_changes(trial, plan.machine, latest))
            redo.append(Redo(trial=trial, words=words))
    return redo


def _changes(trial: Trial, machine: Machine, then: PastAttempt) -> list[str]:
    """Return what has changed since an attempt, in words; empty: nothing."""
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
        elif column.name == "digest" and now in ("", bare_digest(str(before or ""))):
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
    program = machine.programs.get(str(trial.settings.get("engine_binary")))
    if column in ("engine_version", "engine_sha256") and program is not None:
        return program.version if column == "engine_version" else program.sha256
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
    facts = machine.model(trial.model)
    return bare_digest(trial.digest or (facts.digest if facts else ""))


def _shown(column: KeyColumn, value: FactValue) -> str:
    if column.name in ("digest", "engine_sha256"):
        return short_digest(str(value or ""))
    if column.of == "limit":
        return "not known" if value is None else f"{value} MiB"
    return str(value or "unknown")
