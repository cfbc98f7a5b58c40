"""Canary trials: the same small trial at the start, between blocks and at the end; pure.

A machine whose canaries change over the run has changed under all that it measured meanwhile.
They are no work of their own: no contrast holds them and no stop rule looks at them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from fleet.model.experiment import LEAST_FOR_CANARIES, Experiment, Repeats
from fleet.model.job import Job, Point
from fleet.model.settings import Settings, settings_of
from fleet.model.trial import Trial
from fleet.plan.refusals.unfit import Shape

JOB = Job(
    name="canary",
    why="one prompt and one answer, just long enough for both rates",
    api="generate",
    points=(Point(label="pp512+tg128", prompt_tokens=512, output_tokens=128),),
    requests=3,
)
CANARY_SETTINGS = Settings(num_ctx=1024).combinations()[0]
KEPT_SETTINGS = tuple(each.name for each in settings_of("load option") if each.default is None)
"""Taken from the experiment: without them the canary may load another part of the machine."""


def wanted(experiment: Experiment, repeats: Repeats) -> bool:
    if experiment.canary is not None:
        return experiment.canary == "on"
    return repeats.least >= LEAST_FOR_CANARIES


def shape(shapes: Sequence[Shape]) -> Shape:
    """The canary of a machine: the first model that it measures."""
    first = shapes[0]
    kept = {name: first.settings[name] for name in KEPT_SETTINGS if name in first.settings}
    return Shape(model=first.model, job=JOB, settings=CANARY_SETTINGS | kept)


def around(canaries: Iterable[Trial], blocks: Iterable[int]) -> list[Trial]:
    """Those that stand right before or right after one of these blocks."""
    left = set(blocks)
    return [canary for canary in canaries if {canary.block, canary.block - 1} & left]


def past_the_end(
    canaries: Iterable[Trial], waiting: Iterable[Trial], begun: Mapping[str, int]
) -> frozenset[str]:
    """Ids of the canaries behind all work; the one right after the last block stays.

    `waiting`: trials still to be measured. `begun`: by machine id, the last block in which
    anything was measured.
    """
    last = dict(begun)
    for trial in waiting:
        last[trial.machine_id] = max(trial.block, last.get(trial.machine_id, -1))
    return frozenset(
        canary.trial_id
        for canary in canaries
        if canary.machine_id not in last or canary.block > last[canary.machine_id] + 1
    )
