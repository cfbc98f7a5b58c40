"""The metrics that can be compared: column, unit, direction, and what they depend on."""

from __future__ import annotations

from dataclasses import dataclass

from fleet.names import known
from fleet.stats.verdict import Higher


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One speed or time as a column of the view `speeds`, or one energy of the view `energy`."""

    name: str
    column: str
    unit: str
    scale: float = 1.0
    """Shown value = stored value times this."""
    higher: Higher
    prompt_bound: bool = False
    """Depends on the length of the prompt, so unlike prompts are not comparable."""
    output_bound: bool = False
    """The same of the answer."""
    naive: str | None = None
    note: str | None = None
    burst: str | None = None
    """The same speed before heat has set in, and after; where one trial throttles, all of them
    are compared by the sustained one."""
    sustained: str | None = None
    of_energy: bool = False

    def columns(self) -> set[str]:
        every = (self.column, self.naive, self.note, self.burst, self.sustained)
        return {column for column in every if column is not None}


METRICS = {
    metric.name: metric
    for metric in (
        Metric(
            name="prefill",
            column="prefill_tokens_per_s",
            unit="tokens/s",
            higher="faster",
            prompt_bound=True,
            naive="naive_prefill_tokens_per_s",
            note="prefill_note",
        ),
        Metric(
            name="decode",
            column="decode_tokens_per_s",
            unit="tokens/s",
            higher="faster",
            naive="naive_decode_tokens_per_s",
            note="decode_note",
            burst="burst_decode_tokens_per_s",
            sustained="sustained_decode_tokens_per_s",
        ),
        Metric(
            name="ttft",
            column="first_token_ns",
            unit="ms",
            scale=1e-6,
            higher="slower",
            prompt_bound=True,
        ),
        Metric(
            name="first_thinking",
            column="first_thinking_token_ns",
            unit="ms",
            scale=1e-6,
            higher="slower",
            prompt_bound=True,
        ),
        Metric(
            name="first_answer",
            column="first_answer_token_ns",
            unit="ms",
            scale=1e-6,
            higher="slower",
            prompt_bound=True,
        ),
        *(
            Metric(
                name=f"inter_token_{quantile}",
                column=f"inter_token_{quantile}_ns",
                unit="ms",
                scale=1e-6,
                higher="slower",
            )
            for quantile in ("p50", "p90", "p99")
        ),
        Metric(
            name="end_to_end",
            column="end_to_end_ns",
            unit="s",
            scale=1e-9,
            higher="slower",
            prompt_bound=True,
            output_bound=True,
        ),
        Metric(
            name="throughput",
            column="throughput_tokens_per_s",
            unit="tokens/s",
            higher="faster",
            prompt_bound=True,
            output_bound=True,
        ),
        Metric(
            name="goodput",
            column="goodput_tokens_per_s",
            unit="tokens/s",
            higher="faster",
            prompt_bound=True,
            output_bound=True,
        ),
        Metric(name="load", column="load_ns", unit="s", scale=1e-9, higher="slower"),
        *(
            Metric(
                name=name,
                column=f"{part}joules_per_token",
                unit="J/token",
                higher="more",
                prompt_bound=name != "energy_decode",
                output_bound=name in ("energy", "energy_net"),
                note=f"{part}energy_note",
                of_energy=True,
            )
            for name, part in (
                ("energy", ""),
                ("energy_net", "net_"),
                ("energy_prefill", "prefill_"),
                ("energy_decode", "decode_"),
            )
        ),
    )
}


def check_metric(name: str) -> Metric:
    return METRICS[known(name, METRICS, "metric", "what each number means: fleet metrics")]


def is_energy(name: str) -> bool:
    """A metric of energy, which needs the readings; false of a name that is none."""
    return name in METRICS and METRICS[name].of_energy
