"""The table of energy metrics: what each number of the view `energy` means.

`energy.sql` computes them and nothing else does; the tests hold this page against its columns.
"""

from __future__ import annotations

from fleet.metrics.metric import Metric
from fleet.metrics.thresholds import COVERED_SHARE, LEAST_READINGS, MOST_GAP_S, MOST_GAP_SHARE

VERSION = 1
"""As `energy_version` in the views; its history stands at the top of `energy.sql`."""

ENERGY = (
    Metric(
        column="joules",
        unit="J",
        meaning="energy of one request, from sent to its end",
        formula="difference of an energy counter, else the integral of power (trapezoid); where "
        "readings end a little short, their mean stands for the rest",
        needs="one valid request",
    ),
    Metric(
        column="prefill_joules",
        unit="J",
        meaning="energy of the prompt",
        formula="as above, from sent to the first chunk; a step of the counter that holds the "
        "first chunk is shared by the rates before and after it",
        needs=f"a phase of {LEAST_READINGS} readings; no other request at the same time",
    ),
    Metric(
        column="decode_joules",
        unit="J",
        meaning="energy of the answer after its first token",
        formula="as above, from the first chunk to the end",
        needs=f"a phase of {LEAST_READINGS} readings; no other request at the same time",
    ),
    Metric(
        column="joules_per_token",
        unit="J/token",
        meaning="energy per output token",
        formula="joules / output tokens: all that the request used, its prompt's part too",
        name="energy",
        higher="more",
        note="energy_note",
        prompt_bound=True,
        output_bound=True,
        of_energy=True,
    ),
    Metric(
        column="tokens_per_joule",
        unit="tokens/J",
        meaning="output tokens per joule",
        formula="output tokens / joules",
    ),
    Metric(
        column="prefill_joules_per_token",
        unit="J/token",
        meaning="energy per prompt token read",
        formula="prefill_joules / prompt tokens that no cache held",
        needs=f"a phase of {LEAST_READINGS} readings; no other request at the same time",
        name="energy_prefill",
        higher="more",
        note="prefill_energy_note",
        prompt_bound=True,
        of_energy=True,
    ),
    Metric(
        column="decode_joules_per_token",
        unit="J/token",
        meaning="energy per token written",
        formula="decode_joules / (output tokens - 1)",
        needs=f"a phase of {LEAST_READINGS} readings; no other request at the same time",
        name="energy_decode",
        higher="more",
        note="decode_energy_note",
        of_energy=True,
    ),
    Metric(
        column="net_joules_per_token",
        unit="J/token",
        meaning="energy per output token beyond idling",
        formula="(joules - idle_w * duration) / output tokens",
        needs="idle_w",
        name="energy_net",
        higher="more",
        note="net_energy_note",
        prompt_bound=True,
        output_bound=True,
        of_energy=True,
    ),
    Metric(
        column="mean_w",
        unit="W",
        meaning="power while asked",
        formula="joules / duration",
    ),
    Metric(
        column="idle_w",
        unit="W",
        meaning="power at rest, before the model is loaded",
        formula="energy of the trial's idle window / its length",
        needs="`telemetry: {idle_s: ...}` above 0, three readings in it",
    ),
)
"""Medians over the requests of one trial and point whose energy is valid, for each scope."""

FAULTS = {
    "uncovered": f"the readings cover less than {100 * COVERED_SHARE:g} % of the time",
    "gap": f"two readings are more than {MOST_GAP_S:g} s apart, or "
    f"{100 * MOST_GAP_SHARE:g} % of the time if that is more",
    "few_readings": f"fewer than {LEAST_READINGS} readings",
    "counter_reset": "the counter fell",
    "zero": "no energy at all was told: a value missing",
    "no_phase": "of a phase: other requests ran at the same time",
}
"""Why an energy is not valid. It is kept, but no comparison takes it."""

SCOPES = {
    "gpu_board": "the graphics cards with their memory, as they tell it",
    "chip_package": "CPU, GPU and Neural Engine, as the chip estimates it: one kind of chip only",
    "cpu_package": "the processor, as it estimates it (RAPL): one kind of chip only",
    "system": "the whole machine, behind its power supply",
    "wall": "the whole machine at the plug: an imported log of a meter",
}
"""What was measured. Joules of unlike scopes are never to be compared."""
