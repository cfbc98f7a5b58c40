"""Whether a GPU slowed itself down while a trial's requests ran, as its driver said."""

from __future__ import annotations

import math

from fleet.model.measure import TrialResult

METRIC = "gpu_clock_event_bits"
"""Why the clocks are not higher, NVML's `nvmlClocksEventReasons`: one bit for each reason."""
SLOWDOWNS = {
    0x8: "hardware",
    0x20: "heat_by_software",
    0x40: "heat_by_hardware",
    0x80: "power_brake",
}
"""All other bits are normal: 0x4, the power cap, at full load."""


def gpu_slowdowns(result: TrialResult) -> str | None:
    """The reasons seen, `heat_by_software power_brake`; empty: none; None: nobody read them.

    From the first request on; readings end with the last one, but for one right after it.
    """
    sent_ns = min((record.reply.sent_ns for record in result.requests), default=None)
    if sent_ns is None:
        return None
    told = [
        reading.value
        for reading in result.readings
        if reading.metric == METRIC and reading.offset_ns >= sent_ns
    ]
    seen = [int(value) for value in told if value is not None and math.isfinite(value)]
    if not seen:
        return None
    return " ".join(name for bit, name in SLOWDOWNS.items() if any(bits & bit for bits in seen))
