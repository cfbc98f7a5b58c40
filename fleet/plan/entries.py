"""The state of every requested trial before anything is dispatched; pure."""

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
class QueueEntry:
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
) -> Iterator[QueueEntry]:
    """Yield every trial of the plan once; a canary only if it is queued.

    `queues`: what is to be measured, by machine id; `left_out`: by trial id, why the user leaves it
    out. Whatever else the plan holds was measured before, or its machine is absent.
    """
    queued = {attempt.trial.trial_id: attempt for queue in queues.values() for attempt in queue}
    earlier: dict[str, list[PastAttempt]] = defaultdict(list)
    for old in past:
        earlier[old.trial_id].append(old)
    for trial in plan.trials():
        if attempt := queued.get(trial.trial_id):
            yield QueueEntry(trial=trial, state="queued", fence=attempt.fence)
        elif trial.role != "canary":
            choice = left_out.get(trial.trial_id)
            if choice is not None:
                yield QueueEntry(trial=trial, state="left out", reason=choice)
            else:
                yield _settled(trial, earlier[trial.trial_id])
    for absent in plan.absent:
        for trial in absent.trials:
            if trial.role != "canary":
                yield _settled(trial, earlier[trial.trial_id], absent.machine.reason)


def _settled(trial: Trial, past: Sequence[PastAttempt], absent: str = "") -> QueueEntry:
    """Return the state after earlier attempts; `absent`: why its machine cannot try it now."""
    if any(attempt.outcome == "ok" for attempt in past):
        return QueueEntry(trial=trial, state="done")
    failed = [attempt for attempt in past if attempt.outcome == "failed" and attempt.is_final]
    if absent and not failed:
        return QueueEntry(trial=trial, state="absent", reason=absent)
    reason = failed[-1].reason if failed else "no attempt of it is stored"
    return QueueEntry(trial=trial, state="failed", reason=reason)
