"""How every trial that a plan asks for stands before anything is dispatched; pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from fleet.model.trial import Attempt, Trial
from fleet.plan.plans import Plan
from fleet.ports import PastAttempt

EntryState = Literal["queued", "done", "failed", "left out", "absent"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One trial of the queue with its state and the reason for it."""

    trial: Trial
    state: EntryState
    reason: str = ""
    fence: int = 0


def entries(
    plan: Plan,
    past: Iterable[PastAttempt],
    queues: Mapping[str, Sequence[Attempt]],
    left_out: Mapping[str, str],
) -> Iterator[Entry]:
    """Every trial of the plan once, canaries only where one is queued.

    `queues`: what is to be measured, by machine id; `left_out`: by trial id, why the user's own
    words leave it out. Whatever else the plan holds was measured before, or its machine is absent.
    """
    queued = {attempt.trial.trial_id: attempt for queue in queues.values() for attempt in queue}
    earlier: dict[str, list[PastAttempt]] = defaultdict(list)
    for old in past:
        earlier[old.trial_id].append(old)
    for trial in plan.trials():
        if attempt := queued.get(trial.trial_id):
            yield Entry(trial=trial, state="queued", fence=attempt.fence)
        elif trial.role != "canary":
            chosen = left_out.get(trial.trial_id)
            if chosen is not None:
                yield Entry(trial=trial, state="left out", reason=chosen)
            else:
                yield _settled(trial, earlier[trial.trial_id])
    for absent in plan.absent:
        for trial in absent.trials:
            if trial.role != "canary":
                yield _settled(trial, earlier[trial.trial_id], absent.machine.reason)


def _settled(trial: Trial, past: Sequence[PastAttempt], absent: str = "") -> Entry:
    """By its attempts so far; `absent`: why its machine cannot try it now."""
    if any(attempt.outcome == "ok" for attempt in past):
        return Entry(trial=trial, state="done")
    failed = [attempt for attempt in past if attempt.outcome == "failed" and attempt.is_final]
    if absent and not failed:
        return Entry(trial=trial, state="absent", reason=absent)
    reason = failed[-1].reason if failed else "no attempt of it is stored"
    return Entry(trial=trial, state="failed", reason=reason)
