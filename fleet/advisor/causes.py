"""What a cause of a slow result is: what speaks for it, what against, and what decides.

The weights are judgements, not measurements: three for a direct observation, two for arithmetic
that all but proves, one for a hint. A cause with more against it than for it is ruled out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from fleet.advisor.fit import Fit, Verdict
from fleet.advisor.limits import Limit
from fleet.advisor.observation import Observation, Sign

SLOW, FAR_BELOW, HALF_BUSY = 0.7, 0.4, 50.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that the rules look at."""

    seen: Observation
    ratio: float | None
    share_of_ceiling: float | None
    bytes_per_s: float | None
    signs: tuple[Sign, ...]
    limit: Limit
    fit: Fit
    """With flash attention, under the limit in force."""
    fit_by_default: Fit
    """The same under the limit that nobody set."""
    fit_without_flash: Fit

    @property
    def slow(self) -> bool:
        return self.ratio is not None and self.ratio < SLOW

    @property
    def far_below(self) -> bool:
        return self.ratio is not None and self.ratio < FAR_BELOW

    @property
    def mild(self) -> bool:
        """Slow, but not by the factor that memory costs."""
        return self.slow and not self.far_below

    @property
    def idle(self) -> bool:
        """The GPU was seen to have little to do."""
        busy = self.seen.gpu_percent
        return busy is not None and busy < HALF_BUSY

    @property
    def busy(self) -> bool:
        """The GPU was seen to have much to do."""
        busy = self.seen.gpu_percent
        return busy is not None and busy >= HALF_BUSY

    @property
    def gpu_load(self) -> str:
        busy = self.seen.gpu_percent
        return "" if busy is None else f"the GPU was {busy:.0f} % busy"

    @property
    def too_large(self) -> bool:
        return self.fit.verdict is Verdict.NO

    @property
    def pace(self) -> float | None:
        """The share of the bandwidth at which weights and cache were read."""
        if self.bytes_per_s is None:
            return None
        return self.bytes_per_s / (self.seen.box.kind.bandwidth_gb_s * 1e9)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """One cause with its evidence, the one command that decides, and what to do then."""

    key: str
    title: str
    evidence_for: tuple[str, ...]
    evidence_against: tuple[str, ...]
    command: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Judged:
    """A cause with the balance of its evidence."""

    cause: Cause
    score: float


@dataclass(slots=True)
class Weighing:
    """Collects the evidence of one cause; each entry has a weight."""

    pro: list[tuple[float, str]] = field(default_factory=list)
    con: list[tuple[float, str]] = field(default_factory=list)

    def speaks_for(self, holds: bool | None, weight: float, words: str) -> None:
        if holds:
            self.pro.append((weight, words))

    def speaks_against(self, holds: bool | None, weight: float, words: str) -> None:
        if holds:
            self.con.append((weight, words))


@dataclass(frozen=True, slots=True)
class Rule:
    """How one cause is judged."""

    key: str
    title: str
    command: Callable[[Facts], str]
    remedy: str
    weigh: Callable[[Facts, Weighing], None]

    def judge(self, facts: Facts) -> Judged:
        evidence = Weighing()
        self.weigh(facts, evidence)
        cause = Cause(
            key=self.key,
            title=self.title,
            evidence_for=tuple(words for _, words in sorted(evidence.pro, reverse=True)),
            evidence_against=tuple(words for _, words in sorted(evidence.con, reverse=True)),
            command=self.command(facts),
            remedy=self.remedy,
        )
        return Judged(cause, sum(w for w, _ in evidence.pro) - sum(w for w, _ in evidence.con))


def percent(share: float) -> str:
    return f"{100 * share:.0f} %"
