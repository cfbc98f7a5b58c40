"""Compare what was reported with what the servers logged. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from fleet.app.selftest_stages import FLAGS
from fleet.engines.simulated.ground_truth import TrueRequest
from fleet.errors import FleetError
from fleet.units import NS_PER_MS, NS_PER_S

Row = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Pair:
    """One request, as the views report it and as its server logged it."""

    row: Row
    written: TrueRequest

    def counts(self) -> bool:
        """Return whether the request enters figures; warm-ups do not."""
        return not self.row["warmup"]

    def flags(self) -> list[str]:
        """Return the flags of the request."""
        return str(self.row["flags"]).split()

    def reported(self, column: str) -> float | None:
        """Return a reported value; None if there is none."""
        value = self.row[column]
        return float(value) if isinstance(value, (int, float)) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """One metric at one speed, in medians over requests; None if it was not reported."""

    metric: str
    tokens_per_s: int
    runner: str = "llama.cpp"
    """By whose counts and clocks the engine tells: llama.cpp, MLX, MLX with drafts."""
    unit: str
    requests: int
    reported: float | None
    true: float
    error: float | None
    """Median over requests, as a share if `relative`, else in `unit`."""
    allowed: float
    relative: bool

    @property
    def ok(self) -> bool:
        """Whether the error is within what is allowed."""
        return self.error is not None and self.error <= self.allowed


@dataclass(frozen=True, slots=True, kw_only=True)
class FlagCount:
    """One fault: how many of the requests that met it raised its flag, and which others."""

    fault: str
    flag: str
    injected: int
    raised: int
    others: tuple[str, ...]
    """Other flags of these requests."""
    elsewhere: int
    """Requests that have the flag although none of its faults was injected."""

    @property
    def ok(self) -> bool:
        """Whether each of these requests raised this flag alone, and no other request did."""
        return 0 < self.injected == self.raised and not self.others and not self.elsewhere


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedMetric:
    """A column of the self-test's query, and how far it may be from the truth."""

    name: str
    column: str
    unit: str
    allowed: float
    relative: bool = False
    unit_ns: int = 1
    """Divisor that turns the column's value into the unit."""
    least_gaps: int = 0
    of_tokens: bool = False
    """It is of single tokens, which drafts do not show."""


METRICS = (
    TimedMetric(
        name="decode", column="decode_tokens_per_s", unit="tokens/s", allowed=0.001, relative=True
    ),
    TimedMetric(
        name="decode, client's clock",
        column="client_decode_tokens_per_s",
        unit="tokens/s",
        allowed=0.001,
        relative=True,
        of_tokens=True,
    ),
    TimedMetric(
        name="prefill", column="prefill_tokens_per_s", unit="tokens/s", allowed=0.005, relative=True
    ),
    TimedMetric(
        name="prefill, client's clock",
        column="client_prefill_tokens_per_s",
        unit="tokens/s",
        allowed=0.005,
        relative=True,
    ),
    TimedMetric(
        name="first token", column="first_token_ns", unit="ms", allowed=0.5, unit_ns=NS_PER_MS
    ),
    TimedMetric(
        name="gap, median",
        column="inter_token_p50_ns",
        unit="ms",
        allowed=0.1,
        unit_ns=NS_PER_MS,
        of_tokens=True,
    ),
    TimedMetric(
        name="gap, p90",
        column="inter_token_p90_ns",
        unit="ms",
        allowed=0.5,
        unit_ns=NS_PER_MS,
        least_gaps=100,
        of_tokens=True,
    ),
    TimedMetric(
        name="gap, p99",
        column="inter_token_p99_ns",
        unit="ms",
        allowed=0.5,
        unit_ns=NS_PER_MS,
        least_gaps=1_000,
        of_tokens=True,
    ),
)


def paired(machine: str, rows: Sequence[Row], written: Sequence[TrueRequest]) -> list[Pair]:
    """Pair each request of one machine with its server's record, in the order sent.

    Raises FleetError if one side has a request that the other lacks.
    """
    if len(rows) != len(written):
        raise FleetError(
            f"{machine}: the server was asked {len(written)} times, {len(rows)} requests are stored"
        )
    for row, record in zip(rows, written, strict=True):
        nonce = str(row["nonce"] or "").split()
        if record.opening.split()[: len(nonce)] != nonce:
            raise FleetError(f"{machine}: request {record.request} is stored as another one")
    return [Pair(row, record) for row, record in zip(rows, written, strict=True)]


def accuracies(
    speeds: Mapping[tuple[str, str], int], pairs: Mapping[str, Sequence[Pair]]
) -> list[Accuracy]:
    """Compare by metric, then by speed; a quantile only if enough gaps support it."""
    measured = {
        speed: [p for p in pairs[machine] if p.counts() and p.written.model == model]
        for (machine, model), speed in speeds.items()
    }
    return [
        _accuracy(metric, speed, group)
        for metric in METRICS
        for speed, group in measured.items()
        if all(_shows(metric, pair.written) for pair in group)
    ]


def _shows(metric: TimedMetric, written: TrueRequest) -> bool:
    drafts = written.tokens_per_round > 1
    return len(written.tokens_ns) > metric.least_gaps and not (drafts and metric.of_tokens)


def _accuracy(metric: TimedMetric, speed: int, pairs: Sequence[Pair]) -> Accuracy:
    true = [truths(pair)[metric.column] / metric.unit_ns for pair in pairs]
    values = [pair.reported(metric.column) for pair in pairs]
    reported = [value / metric.unit_ns for value in values if value is not None]
    errors = [
        abs(figure - truth) / (truth if metric.relative else 1)
        for figure, truth in zip(reported, true, strict=False)
    ]
    whole = len(reported) == len(true)
    return Accuracy(
        metric=metric.name,
        tokens_per_s=speed,
        runner=_runner(pairs[0].written) if pairs else "",
        unit=metric.unit,
        requests=len(pairs),
        reported=median(reported) if whole else None,
        true=median(true),
        error=median(errors) if whole else None,
        allowed=metric.allowed,
        relative=metric.relative,
    )


def _runner(written: TrueRequest) -> str:
    if not written.first_step_ns:
        return "llama.cpp"
    return "MLX" if written.tokens_per_round == 1 else "MLX with drafts"


def truths(pair: Pair) -> dict[str, float]:
    """Return the true value of each metric's column, from the moments of writing alone."""
    written = pair.written
    tokens = written.tokens_ns
    assert written.evaluated_from_ns is not None
    first_ns = tokens[0] - written.arrived_ns
    gaps_ns = sorted(after - before for before, after in pairwise(tokens))
    decode = (len(tokens) - 1) * NS_PER_S / (tokens[-1] - tokens[0])
    evaluated_ns = tokens[0] - written.first_step_ns
    if written.tokens_per_round > 1:  # the first round is written all at once
        decode = len(tokens) * NS_PER_S / (tokens[-1] - evaluated_ns)
    prefill_ns = evaluated_ns - written.evaluated_from_ns
    evaluated = written.prompt_tokens - written.cached_tokens - (written.first_step_ns > 0)
    load_ns = pair.reported("load_duration_ns") or 0
    return {
        "decode_tokens_per_s": decode,
        "client_decode_tokens_per_s": decode,
        "prefill_tokens_per_s": evaluated * NS_PER_S / prefill_ns,
        # A client also sees what the server does before it evaluates the prompt.
        "client_prefill_tokens_per_s": written.prompt_tokens * NS_PER_S / (first_ns - load_ns),
        "first_token_ns": first_ns,
        "inter_token_p50_ns": _quantile(gaps_ns, 0.5),
        "inter_token_p90_ns": _quantile(gaps_ns, 0.9),
        "inter_token_p99_ns": _quantile(gaps_ns, 0.99),
    }


def _quantile(ordered: Sequence[float], share: float) -> float:
    """Return the quantile by nearest rank, as the results have it."""
    return ordered[math.ceil(share * len(ordered)) - 1]


def raised(injected: Mapping[str, str], pairs: Mapping[str, Sequence[Pair]]) -> list[FlagCount]:
    """Count the flags of each fault of FLAGS; `injected`: faults of whole machines."""
    met = [(pair, _faults(pair, machine, injected)) for machine, pair in _each(pairs)]
    seen = Counter(flag for pair, _ in met for flag in set(pair.flags()))
    meant = Counter(
        flag
        for pair, faults in met
        for flag in set(pair.flags()) & {FLAGS[fault] for fault in faults}
    )
    counts = []
    for fault, flag in FLAGS.items():
        concerned = [(pair.flags(), faults) for pair, faults in met if fault in faults]
        others = {f for flags, faults in concerned for f in flags} - {flag}
        counts.append(
            FlagCount(
                fault=fault,
                flag=flag,
                injected=len(concerned),
                raised=sum(flag in flags for flags, _ in concerned),
                others=tuple(sorted(others)),
                elsewhere=seen[flag] - meant[flag],
            )
        )
    return counts


def clean(injected: Mapping[str, str], pairs: Mapping[str, Sequence[Pair]]) -> tuple[int, int]:
    """Count the requests that met no fault, and those of them that have a flag."""
    free = [pair for machine, pair in _each(pairs) if not _faults(pair, machine, injected)]
    return len(free), sum(bool(pair.flags()) for pair in free)


def _each(pairs: Mapping[str, Sequence[Pair]]) -> Iterator[tuple[str, Pair]]:
    """Yield the requests that count, with their machine."""
    return ((machine, p) for machine, group in pairs.items() for p in group if p.counts())


def _faults(pair: Pair, machine: str, injected: Mapping[str, str]) -> set[str]:
    of_machine: Iterable[str] = [injected[machine]] if machine in injected else []
    return {*pair.written.faults, *of_machine}
