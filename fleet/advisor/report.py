"""What `fleet fit` asks of the advisor: every model on every machine, and what would help."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from fleet.advisor import models
from fleet.advisor.fit import WHOLE_MEMORY, Fit, Verdict, judge
from fleet.advisor.limits import Limit
from fleet.advisor.machines_kind import Box
from fleet.advisor.need import Need, need
from fleet.advisor.offload import partly_on_cpu
from fleet.advisor.outcome import Outcome, outcome
from fleet.advisor.remedies import (
    Split,
    WiredLimit,
    largest_context,
    refused_by_mlx,
    smaller_that_fits,
    split,
    wired_limit,
)
from fleet.advisor.setup import Runner, Setup
from fleet.advisor.shape import ModelShape
from fleet.advisor.speed import Rate, decode_rate, prefill_rate
from fleet.advisor.work import EngineAge, Muscle, decode_work, muscle_of
from fleet.units import GIB

USUAL_CONTEXTS = (8192, 32768, 131072)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One context: the need, and the verdict under each limit."""

    context: int
    need: Need
    fits: tuple[Fit, ...]
    rate: Rate | None
    """At half of the context."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One model on one machine, or on none: then only what it needs is told."""

    shape: ModelShape
    setup: Setup
    box: Box | None
    limits: tuple[Limit, ...]
    lines: tuple[Line, ...]
    short: Rate | None
    """Decode rate with an empty context."""
    prefill: Rate | None
    largest: tuple[int | None, ...]
    """The largest context that fits, for each limit."""
    wired: WiredLimit | None
    smaller: ModelShape | None
    """A variant that fits, where this one does not."""
    split: Split | None
    partly: Rate | None
    """Decode rate with what does not fit on the CPU."""
    outcome: Outcome | None

    @property
    def fits_somewhere(self) -> bool:
        """Whether it may run on the GPU alone at one of the contexts at least."""
        return any(fit.verdict is not Verdict.NO for line in self.lines for fit in line.fits)

    @property
    def fits_everywhere(self) -> bool:
        return all(fit.runs for line in self.lines for fit in line.fits)


def report(
    shape: ModelShape,
    box: Box | None,
    setup: Setup,
    contexts: Sequence[int] = (),
    limits: Sequence[Limit] = (),
) -> Report:
    """Return the whole answer for one model on one machine.

    `limits` take the place of the machine's own.
    """
    if shape.format == "safetensors":
        setup = replace(setup, runner=Runner.MLX)
    chosen = contexts or usual_contexts(shape)
    bounds = tuple(limits) or (box.limits() if box else ())
    devices = 1 if box is None else box.devices
    setup = replace(setup, devices=devices)
    lines = tuple(_line(shape, box, replace(setup, context=n), bounds) for n in chosen)
    empty = Report(
        shape=shape,
        setup=setup,
        box=box,
        limits=bounds,
        lines=lines,
        short=None,
        prefill=None,
        largest=(),
        wired=None,
        smaller=None,
        split=None,
        partly=None,
        outcome=None,
    )
    return empty if box is None else _on_machine(empty, box)


def usual_contexts(shape: ModelShape) -> list[int]:
    """8K, 32K and 128K, as far as the model was trained, and its own end where that is sooner."""
    trained = shape.trained_context or USUAL_CONTEXTS[-1]
    kept = [context for context in USUAL_CONTEXTS if context <= trained]
    if trained < USUAL_CONTEXTS[-1] and trained not in kept:
        kept.append(trained)
    return kept


def _line(shape: ModelShape, box: Box | None, setup: Setup, limits: Sequence[Limit]) -> Line:
    backend = "metal" if box is None else box.kind.backend
    demand = need(shape, setup, backend)
    ram = None if box is None else box.ram_bytes
    fits = tuple(judge(demand, limit, ram) for limit in limits)
    rate = None
    if box is not None and speaks_of_speed(box):
        rate = decode_rate(shape, _muscle(box, setup), demand.setup.context // 2)
    return Line(context=demand.setup.context, need=demand, fits=fits, rate=rate)


def _muscle(box: Box, setup: Setup) -> Muscle:
    age = EngineAge.MIDDLE if setup.current is False else EngineAge.CURRENT
    return muscle_of(box, age)


def speaks_of_speed(box: Box) -> bool:
    """Whether the bandwidth of the machine is known."""
    return box.kind.bandwidth_gb_s > 1


def _on_machine(bare: Report, box: Box) -> Report:
    shape, setup, limits = bare.shape, bare.setup, bare.limits
    backend, ram = box.kind.backend, box.ram_bytes
    last = bare.lines[-1]
    lowest = min(limits, key=lambda limit: limit.bytes.value)
    worst = next((line for line in bare.lines if _fails(line, limits, lowest)), None)
    has_bandwidth = speaks_of_speed(box)
    whole = replace(
        bare,
        short=decode_rate(shape, _muscle(box, setup)) if has_bandwidth else None,
        prefill=_prefill(shape, box, setup) if has_bandwidth else None,
        largest=tuple(largest_context(shape, setup, limit, backend, ram) for limit in limits),
        wired=wired_limit(last.need, box.memory_gb) if box.kind.is_apple else None,
    )
    return whole if worst is None else _what_then(whole, box, worst, lowest)


def _prefill(shape: ModelShape, box: Box, setup: Setup) -> Rate | None:
    batch = replace(setup, context=8192).micro_batch()
    return prefill_rate(shape, _muscle(box, setup), 2048, 0, batch)


def _fails(line: Line, limits: Sequence[Limit], lowest: Limit) -> bool:
    return line.fits[list(limits).index(lowest)].verdict is Verdict.NO


def _what_then(bare: Report, box: Box, worst: Line, lowest: Limit) -> Report:
    """With what happens at the smallest context that does not fit, and what would fit there."""
    shape, setup = bare.shape, worst.need.setup
    fit = worst.fits[bare.limits.index(lowest)]
    tags = [variant for variant in models.variants(shape.name) if variant.format == shape.format]
    smaller = smaller_that_fits(shape, setup, lowest, box.kind.backend, tags)
    if setup.runner is Runner.MLX:
        refused = refused_by_mlx(shape, lowest)
        then = outcome(fit, setup, box.kind.backend)
        words = then if refused else Outcome(what="loads, then swaps as the cache grows")
        return replace(bare, smaller=smaller, outcome=words)
    if fit.decides == WHOLE_MEMORY:
        return replace(bare, smaller=smaller, outcome=outcome(fit, setup, box.kind.backend))
    parts = split(shape, setup, lowest, box.kind.backend)
    return replace(
        bare,
        smaller=smaller,
        split=parts,
        partly=_partly(shape, box, setup, parts),
        outcome=outcome(fit, setup, box.kind.backend, parts),
    )


def _partly(shape: ModelShape, box: Box, setup: Setup, parts: Split) -> Rate | None:
    work = decode_work(shape, 0)
    if work is None or not speaks_of_speed(box):
        return None
    muscle = _muscle(box, setup)
    expected = partly_on_cpu(work, muscle, parts.gpu_share)
    return Rate(expected=expected, ceiling=expected.high)


def raised_limit_mib(box: Box) -> int | None:
    """Return the limit that owners set: 16 GiB stay with the system, 8 GiB of small memories."""
    if not box.kind.is_apple:
        return None
    left = 16 if box.memory_gb >= 96 else 8
    return round((box.memory_gb - left) * GIB / 2**20)
