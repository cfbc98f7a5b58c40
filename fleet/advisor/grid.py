"""Many models on many machines at many contexts: what is common to cells is computed once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from fleet.advisor.fit import Fit, Verdict, judge
from fleet.advisor.machines_kind import Box
from fleet.advisor.need import Need, need
from fleet.advisor.setup import Runner, Setup
from fleet.advisor.shape import ModelShape
from fleet.advisor.speed import Rate, rate_of
from fleet.advisor.work import EngineAge, decode_work, muscle_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One model on one machine with one context."""

    shape: ModelShape
    box: Box
    context: int
    need: Need
    fit: Fit
    rate: Rate | None
    """At half of the context; None where it does not fit, or where too little is known."""


def grid(
    shapes: Sequence[ModelShape],
    boxes: Sequence[Box],
    contexts: Sequence[int],
    setup: Setup,
    age: EngineAge = EngineAge.CURRENT,
) -> Iterator[Cell]:
    """Every cell, model by model; each machine under the lowest limit that it may have."""
    limits = [min(box.limits(), key=lambda limit: limit.bytes.value) for box in boxes]
    muscles = [muscle_of(box, age) for box in boxes]
    for shape in shapes:
        runner = Runner.MLX if shape.format == "safetensors" else setup.runner
        needs: dict[tuple[str, int, int], Need] = {}
        for context in contexts:
            work = decode_work(shape, context // 2, setup.cache_type)
            for box, limit, muscle in zip(boxes, limits, muscles, strict=True):
                key = box.kind.backend, box.devices, context
                demand = needs.get(key)
                if demand is None:
                    own_setup = replace(setup, context=context, runner=runner, devices=box.devices)
                    demand = needs[key] = need(shape, own_setup, box.kind.backend)
                fit = judge(demand, limit, box.ram_bytes)
                runs = work is not None and fit.verdict is not Verdict.NO
                rate = rate_of(work, muscle) if work is not None and runs else None
                yield Cell(shape=shape, box=box, context=context, need=demand, fit=fit, rate=rate)
