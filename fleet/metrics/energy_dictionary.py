"""The dictionary of energy: what each number of the view `energy` means.

`energy.sql` computes them and nothing else does; the tests hold this page against its columns.
"""

from __future__ import annotations

from fleet.metrics.dictionary import Entry

VERSION = 1
"""As `energy_version` in the views; its history stands at the top of `energy.sql`."""

ENERGY = (
    Entry(
        name="joules",
        unit="J",
        meaning="energy of one request, from sent to its end",
        formula="difference of an energy counter, else the integral of power (trapezoid); where "
        "readings end a little short, their mean stands for the rest",
        needs="one valid request",
    ),
    Entry(
        name="prefill_joules",
        unit="J",
        meaning="energy of the prompt",
        formula="as above, from sent to the first chunk; a step of the counter that holds the "
        "first chunk is shared by the rates before and after it",
        needs="a phase of 10 readings; no other request at the same time",
    ),
    Entry(
        name="decode_joules",
        unit="J",
        meaning="energy of the answer after its first token",
        formula="as above, from the first chunk to the end",
        needs="a phase of 10 readings; no other request at the same time",
    ),
    Entry(
        name="joules_per_token",
        unit="J/token",
        meaning="energy per output token",
        formula="joules / output tokens: all that the request used, its prompt's part too",
    ),
    Entry(
        name="tokens_per_joule",
        unit="tokens/J",
        meaning="output tokens per joule",
        formula="output tokens / joules",
    ),
    Entry(
        name="prefill_joules_per_token",
        unit="J/token",
        meaning="energy per prompt token read",
        formula="prefill_joules / prompt tokens that no cache held",
        needs="a phase of 10 readings; no other request at the same time",
    ),
    Entry(
        name="decode_joules_per_token",
        unit="J/token",
        meaning="energy per token written",
        formula="decode_joules / (output tokens - 1)",
        needs="a phase of 10 readings; no other request at the same time",
    ),
    Entry(
        name="net_joules_per_token",
        unit="J/token",
        meaning="energy per output token beyond idling",
        formula="(joules - idle_w * duration) / output tokens",
        needs="idle_w",
    ),
    Entry(
        name="mean_w",
        unit="W",
        meaning="power while asked",
        formula="joules / duration",
    ),
    Entry(
        name="idle_w",
        unit="W",
        meaning="power at rest, before the model is loaded",
        formula="energy of the trial's idle window / its length",
        needs="`telemetry: {idle_s: ...}` above 0, three readings in it",
    ),
)
"""Medians over the requests of one trial and point whose energy is valid, for each scope."""

FAULTS = {
    "uncovered": "the readings cover less than 98 % of the time",
    "gap": "two readings are more than 2 s apart, or 5 % of the time if that is more",
    "few_readings": "fewer than 10 readings",
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
