"""Whether a need fits under a limit, and what decides where that is not certain.

Of 111 loads with a known end a margin of 512 MiB for each device gave no false "fits": loads have
failed with up to 371 MiB to spare. The engine itself wants 1024 MiB free and moves parts of a
model to the CPU for less, so a fit between the two is called tight.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from fleet.advisor.amounts import Amount, modelled
from fleet.advisor.limits import KEEP_FREE_MIB, Limit
from fleet.advisor.need import Need, Part
from fleet.advisor.setup import Runner
from fleet.units import MIB

MARGIN_MIB = 512
ENGINE_MARGIN_MIB = 1024


class Verdict(StrEnum):
    FITS = "fits"
    TIGHT = "tight"
    MAYBE = "maybe"
    NO = "does not"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """The verdict on one need under one limit."""

    verdict: Verdict
    spare: Amount | None
    """Limit minus need; negative where it does not fit."""
    decides: str = ""
    """What would settle a `maybe`, or what makes it tight."""

    @property
    def runs(self) -> bool:
        """Whether it runs on the GPU alone, by the best that is known."""
        return self.verdict in (Verdict.FITS, Verdict.TIGHT)


def judge(need: Need, limit: Limit | None, ram_bytes: float | None = None) -> Fit:
    """Return the verdict; `ram_bytes` is the memory of a machine whose GPU shares it."""
    if limit is None:
        return Fit(verdict=Verdict.UNKNOWN, spare=None, decides="the GPU's memory is not known")
    demand, allowance = need.gpu, limit.bytes
    spare = modelled(
        allowance.value - demand.value, allowance.low - demand.high, allowance.high - demand.low
    )
    margin, comfort = _margins(need)
    if ram_bytes is not None and not _leaves_room(need, ram_bytes):
        return Fit(verdict=Verdict.NO, spare=spare, decides=WHOLE_MEMORY)
    if spare.low >= comfort:
        grown = need.later.value
        if grown and spare.low - grown < margin:
            return Fit(verdict=Verdict.TIGHT, spare=spare, decides=PREFIX_CACHE_DECIDES)
        return Fit(verdict=Verdict.FITS, spare=spare)
    if spare.low >= margin:
        return Fit(verdict=Verdict.TIGHT, spare=spare, decides="the margin that the engine wants")
    if spare.high >= margin:
        return Fit(verdict=Verdict.MAYBE, spare=spare, decides=_what_decides(need, limit))
    return Fit(verdict=Verdict.NO, spare=spare, decides=_largest(need))


WHOLE_MEMORY = "the memory of the whole machine"
PREFIX_CACHE_DECIDES = "the prefix cache, which grows to 8 GiB while the model is used"


def _margins(need: Need) -> tuple[float, float]:
    """(margin below which a load fails, margin that the engine wants), all devices together."""
    devices = need.setup.devices
    if need.setup.runner is Runner.MLX:
        return MARGIN_MIB * MIB, MARGIN_MIB * MIB
    return MARGIN_MIB * MIB * devices, ENGINE_MARGIN_MIB * MIB * devices


def _leaves_room(need: Need, ram_bytes: float) -> bool:
    """Whether the system keeps its 8 GiB beside the model; 1/4 of a small machine's memory."""
    system = min(KEEP_FREE_MIB * MIB, ram_bytes / 4)
    return need.gpu.low + need.host.low + system <= ram_bytes


def _what_decides(need: Need, limit: Limit) -> str:
    """Return the part with the widest interval, in words."""
    setup = need.setup
    reasons = []
    if setup.flash_attention is None:
        reasons.append("whether flash attention is on")
    if setup.current is None:
        reasons.append("the version of the engine")
    if limit.bytes.high > limit.bytes.low:
        reasons.append("the limit of this machine")
    if reasons:
        return ", ".join(reasons)
    widest = max(need.parts, key=lambda part: part.bytes.high - part.bytes.low)
    return f"how large the {widest.name} is"


def _largest(need: Need) -> str:
    largest: Part = max(need.parts, key=lambda part: part.bytes.value)
    return f"the {largest.name}"


def smallest_limit_mib(need: Need) -> int:
    """Return the smallest wired limit under which the engine moves nothing to the CPU."""
    driver = need.part("driver's memory").value
    return -(-int(need.gpu.value - driver) // MIB) + ENGINE_MARGIN_MIB
