"""Which machines would do: a model, a context and a rate against the whole catalogue."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from fleet.advisor.amounts import Amount
from fleet.advisor.evidence import Anchor, Believed, Evidence, Origin, believe
from fleet.advisor.fit import Fit, Verdict, judge
from fleet.advisor.machines_kind import Box, MachineKind
from fleet.advisor.need import need
from fleet.advisor.setup import Runner, Setup
from fleet.advisor.shape import ModelShape
from fleet.advisor.speed import decode_rate
from fleet.advisor.work import muscle_of

SECONDS_PER_DAY = 86_400
CARDS_TRIED = (1, 2, 3, 4)


class Answer(StrEnum):
    """Whether a machine reaches the rate."""

    YES = "yes"
    """The slow end of the interval reaches it."""
    LIKELY = "likely"
    """What is expected reaches it."""
    MAYBE = "maybe"
    """Only the fast end reaches it, or it is not certain that the model fits."""
    NO = "no"


_ORDER = {answer: place for place, answer in enumerate(Answer)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is asked for."""

    shape: ModelShape
    setup: Setup
    decode: float
    """Tokens per second, at the end of a prompt that fills half of the context."""

    @property
    def depth(self) -> int:
        return self.setup.context // 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Upgrade:
    """A machine that was measured, to compare with."""

    box: Box
    rate: float | None
    """Measured decode rate of the model that is asked about, if there is one."""
    anchors: tuple[Anchor, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One machine with what it would do."""

    box: Box
    answer: Answer
    fit: Fit
    rate: Amount | None
    decides: str
    upgrade: float | None = None
    """Times as fast as the machine that was measured."""
    price: float | None = None
    break_even_tokens: float | None = None
    """Output tokens after which the machine has cost no more than the API."""
    break_even_days: float | None = None
    """The days of writing without a pause that this takes."""


def advise(
    wish: Wish,
    kinds: Iterable[MachineKind],
    *,
    prices: Mapping[str, float] | None = None,
    api_price: float | None = None,
    upgrade: Upgrade | None = None,
) -> list[Candidate]:
    """Every machine of the catalogue that may do, the surest and then the smallest first.

    `prices` are by the name of a box (`M3 Ultra 60-core 96 GB`) or of its kind; `api_price` is for
    a million output tokens.
    """
    candidates = []
    for box in boxes(kinds):
        candidate = judge_box(wish, box)
        if candidate.answer is not Answer.NO:
            candidates.append(_priced(candidate, prices or {}, api_price, _baseline(wish, upgrade)))
    candidates.sort(key=_place)
    return candidates


def _place(candidate: Candidate) -> tuple[bool, int, float, float]:
    """Machines with a price first, then the surest, the cheapest and the smallest."""
    size = candidate.box.memory_gb * candidate.box.devices
    price = candidate.price
    return price is None, _ORDER[candidate.answer], price or 0.0, size


def boxes(kinds: Iterable[MachineKind]) -> Iterator[Box]:
    """Every kind in every size that was sold; cards alone and several in one machine."""
    for kind in kinds:
        for memory in kind.memory_gb:
            if kind.shares_memory:
                yield Box(kind=kind, memory_gb=memory)
            else:
                yield from (
                    Box(kind=kind, memory_gb=memory, devices=count) for count in CARDS_TRIED
                )


def judge_box(wish: Wish, box: Box) -> Candidate:
    """Whether one machine would do, under the lowest limit that it may have."""
    setup = _setup_on(wish.setup, box)
    limit = min(box.limits(), key=lambda limit: limit.bytes.value)
    fit = judge(need(wish.shape, setup, box.kind.backend), limit, box.ram_bytes)
    if fit.verdict is Verdict.NO:
        return Candidate(box=box, answer=Answer.NO, fit=fit, rate=None, decides=fit.decides)
    rate = decode_rate(wish.shape, muscle_of(box), wish.depth, setup.cache_type)
    if rate is None:
        return Candidate(
            box=box, answer=Answer.MAYBE, fit=fit, rate=None, decides="the experts used per token"
        )
    answer = _answer(rate.expected, wish.decode, fit)
    return Candidate(
        box=box, answer=answer, fit=fit, rate=rate.expected, decides=_decides(answer, fit)
    )


def _setup_on(setup: Setup, box: Box) -> Setup:
    return replace(setup, devices=box.devices)


def _answer(rate: Amount, target: float, fit: Fit) -> Answer:
    if rate.high < target:
        return Answer.NO
    if rate.value < target or fit.verdict in (Verdict.MAYBE, Verdict.UNKNOWN):
        return Answer.MAYBE
    return Answer.YES if rate.low >= target and fit.runs else Answer.LIKELY


def _decides(answer: Answer, fit: Fit) -> str:
    if fit.verdict in (Verdict.MAYBE, Verdict.TIGHT):
        return fit.decides
    if answer is Answer.YES:
        return ""
    return "the rate: a run of a similar model on such a machine"


def _baseline(wish: Wish, upgrade: Upgrade | None) -> Believed | None:
    """Return the rate of the machine that was measured, for the model that is asked about."""
    if upgrade is None:
        return None
    rate = decode_rate(wish.shape, muscle_of(upgrade.box), wish.depth)
    if rate is None:
        return None
    evidence = Evidence(
        here=() if upgrade.rate is None else (upgrade.rate,), anchors=upgrade.anchors
    )
    return believe(rate.expected, evidence, mixture=wish.shape.experts is not None)


def _priced(
    candidate: Candidate,
    prices: Mapping[str, float],
    api_price: float | None,
    baseline: Believed | None,
) -> Candidate:
    names = (candidate.box.name, candidate.box.kind.label, candidate.box.kind.name)
    price = next((prices[name] for name in names if name in prices), None)
    rate = candidate.rate
    times = None
    if baseline is not None and rate is not None:
        times = rate.value / baseline.rate.value
    tokens = days = None
    if price is not None and api_price and rate is not None:
        tokens = price / api_price * 1e6
        days = tokens / rate.value / SECONDS_PER_DAY
    return replace(
        candidate, price=price, upgrade=times, break_even_tokens=tokens, break_even_days=days
    )


def origin_of(wish: Wish, upgrade: Upgrade | None) -> Origin | None:
    """Where the rate of the machine to compare with comes from."""
    baseline = _baseline(wish, upgrade)
    return None if baseline is None else baseline.origin


def distinct(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Of each kind the smallest memory, and of cards the fewest, that do as well."""
    best: dict[tuple[str, Answer], Candidate] = {}
    for candidate in candidates:
        key = candidate.box.kind.label, candidate.answer
        smallest = best.get(key)
        size = candidate.box.memory_gb * candidate.box.devices
        if smallest is None or size < smallest.box.memory_gb * smallest.box.devices:
            best[key] = candidate
    return [c for c in candidates if best[c.box.kind.label, c.answer] is c]


def runner_for(shape: ModelShape) -> Runner:
    """Return the runner that a model's format asks for."""
    return Runner.MLX if shape.format == "safetensors" else Runner.LLAMA_SERVER
