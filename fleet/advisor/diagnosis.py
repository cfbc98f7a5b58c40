"""Why a result is as it is: its ratio to what is expected, and the causes in their order."""

from __future__ import annotations

from dataclasses import dataclass, replace

from fleet.advisor import causes_memory, causes_speed
from fleet.advisor.causes import FAR_BELOW, SLOW, Cause, Facts, Judged, Rule, percent
from fleet.advisor.fit import Fit, judge
from fleet.advisor.limits import Limit, as_set
from fleet.advisor.need import need
from fleet.advisor.observation import Observation, Sign, signs
from fleet.advisor.speed import Rate

CAUSES: tuple[Rule, ...] = causes_memory.RULES + causes_speed.RULES


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What one run shows."""

    ratio: float | None
    """Measured over expected decode rate; None where one of the two is unknown."""
    share_of_ceiling: float | None
    bytes_per_s: float | None
    """What the rate means in weights and cache read per second."""
    expected: Rate | None
    signs: tuple[Sign, ...]
    causes: tuple[Cause, ...]
    """The likeliest first; empty where nothing is out of the ordinary."""
    ruled_out: tuple[Cause, ...]
    """What more speaks against than for."""
    sentence: str


def diagnose(seen: Observation) -> Diagnosis:
    """Return the diagnosis of one run; with little known it says little."""
    expected = seen.expected_decode()
    ratio = share = moved = None
    if seen.decode and expected is not None:
        ratio = seen.decode / expected.expected.value
        share = expected.share_of_ceiling(seen.decode)
        moved = seen.decode * expected.per_token_bytes
    facts = _facts(seen, ratio, share, moved)
    entries = [cause.judge(facts) for cause in CAUSES]
    ordinary = ratio is not None and ratio >= SLOW and share is not None and share <= 1
    quiet = ordinary and not facts.signs
    causes = () if quiet else _ranked(entries)
    return Diagnosis(
        ratio=ratio,
        share_of_ceiling=share,
        bytes_per_s=moved,
        expected=expected,
        signs=facts.signs,
        causes=causes,
        ruled_out=() if quiet else _ruled_out(entries),
        sentence=_sentence(ratio, share, causes, facts),
    )


def _facts(
    seen: Observation, ratio: float | None, share: float | None, moved: float | None
) -> Facts:
    limit = _limit(seen)
    return Facts(
        seen=seen,
        ratio=ratio,
        share_of_ceiling=share,
        bytes_per_s=moved,
        signs=signs(seen),
        limit=limit,
        fit=_fit(seen, limit, flash=True),
        fit_by_default=_fit(seen, _usual_limit(seen), flash=True),
        fit_without_flash=_fit(seen, limit, flash=False),
    )


def _limit(seen: Observation) -> Limit:
    """Return the limit that was set, else the lowest that the machine may have had."""
    return as_set(seen.wired_limit_mib) if seen.wired_limit_mib else _usual_limit(seen)


def _usual_limit(seen: Observation) -> Limit:
    return min(seen.box.limits(), key=lambda limit: limit.bytes.low)


def _fit(seen: Observation, limit: Limit, *, flash: bool) -> Fit:
    setup = replace(seen.setup(), flash_attention=flash)
    demand = need(seen.shape, setup, seen.box.kind.backend)
    return judge(demand, limit, seen.box.ram_bytes)


def _ranked(entries: list[Judged]) -> tuple[Cause, ...]:
    possible = [entry for entry in entries if entry.score > 0]
    possible.sort(key=lambda entry: -entry.score)
    return tuple(entry.cause for entry in possible)


def _ruled_out(entries: list[Judged]) -> tuple[Cause, ...]:
    against = [entry for entry in entries if entry.score < 0]
    against.sort(key=lambda entry: entry.score)
    return tuple(entry.cause for entry in against)


def _sentence(
    ratio: float | None, share: float | None, causes: tuple[Cause, ...], facts: Facts
) -> str:
    if ratio is None:
        if not causes:
            return "too little is known of this run to judge it"
        return f"the likeliest cause: {causes[0].title}"
    if share is not None and share > 1:
        return (
            f"{share:.1f} times what the memory can deliver: another model, another machine, "
            "or a count that is wrong"
        )
    if not causes:
        return f"as expected: {percent(ratio)} of the expected rate"
    word = "far below" if ratio < FAR_BELOW else "below"
    return f"{word} expectation ({ratio:.2f} of it); the likeliest cause: {causes[0].title}"
