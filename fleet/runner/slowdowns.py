"""Whether a GPU slowed down while a trial's requests ran, by its driver's own report."""

from __future__ import annotations

import math

from fleet.model.measure import TrialResult

METRIC = "gpu_clock_event_bits"
"""NVML's `nvmlClocksEventReasons`: one bit for each reason that the clocks are not higher."""
SLOWDOWNS = {
    0x8: "hardware",
    0x20: "heat_by_software",
    0x40: "heat_by_hardware",
    0x80: "power_brake",
}
"""The reasons that are not normal. 0x4, the power cap, is normal at full load."""


def gpu_slowdowns(result: TrialResult) -> str | None:
    """Return the reasons since the first request, as in `heat_by_software power_brake`.

    Empty: there were none. None: nothing read them. Readings end soon after the last request.
    """
    sent_ns = min((record.reply.sent_ns for record in result.requests), default=None)
    if sent_ns is None:
        return None
    values = [
        reading.value
        for reading in result.readings
        if reading.metric == METRIC and reading.offset_ns >= sent_ns
    ]
    seen = [int(value) for value in values if value is not None and math.isfinite(value)]
    if not seen:
        return None
    return " ".join(name for bit, name in SLOWDOWNS.items() if any(bits & bit for bits in seen))
