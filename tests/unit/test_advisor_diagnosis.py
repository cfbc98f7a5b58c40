"""Why a result is as it is: the owner's runs, and each cause by its own evidence."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fleet.advisor import machines, models
from fleet.advisor.amounts import modelled
from fleet.advisor.diagnosis import Diagnosis, diagnose
from fleet.advisor.normal import Measured, is_normal
from fleet.advisor.observation import Observation, Sign, signs

MAC = machines.read("M3 Ultra 96 GB")
LARGE = Observation(
    shape=models.look_up("gpt-oss:120b"), box=MAC, prompt_tokens=84, prefill=1.21,
    output_tokens=3323, decode=4.47, gpu_percent=8, memory_used_bytes=95e9, process_bytes=65e9,
)  # fmt: skip
SMALL = Observation(
    shape=models.look_up("gpt-oss:20b"), box=MAC, prompt_tokens=4937, prefill=672.59,
    output_tokens=2183, decode=39.85,
)  # fmt: skip
GOOD = replace(LARGE, decode=68.0, prefill=900.0, gpu_percent=97.0)


def keys(outcome: Diagnosis) -> list[str]:
    return [cause.key for cause in outcome.causes]


def test_the_owners_large_model_did_fit() -> None:
    outcome = diagnose(LARGE)
    assert outcome.ratio == pytest.approx(0.063, abs=0.005)
    assert outcome.bytes_per_s == pytest.approx(22e9, rel=0.05)
    assert outcome.signs == (Sign.SLOW_AND_IDLE, Sign.PREFILL_BELOW_DECODE)
    assert keys(outcome)[:2] == ["planned-on-cpu", "paged-out"]
    assert "does-not-fit" not in keys(outcome)
    ruled_out = {cause.key: cause for cause in outcome.ruled_out}
    assert "to spare" in ruled_out["does-not-fit"].evidence_against[0]
    assert all(cause.command and cause.remedy for cause in outcome.causes)
    assert "planned onto the CPU" in outcome.sentence


def test_the_owners_small_model_is_only_below_par() -> None:
    outcome = diagnose(SMALL)
    assert outcome.ratio == pytest.approx(0.41, abs=0.02)
    assert outcome.signs == ()
    assert "does-not-fit" not in keys(outcome)
    assert {"low-power", "other-gpu-work"} <= set(keys(outcome))


def test_what_is_as_expected_has_no_cause() -> None:
    outcome = diagnose(GOOD)
    assert (outcome.causes, outcome.ruled_out, outcome.signs) == ((), (), ())
    assert "as expected" in outcome.sentence
    assert outcome.share_of_ceiling is not None
    assert 0.3 < outcome.share_of_ceiling < 1


def test_with_nothing_known_little_is_said() -> None:
    outcome = diagnose(Observation(shape=LARGE.shape, box=MAC))
    assert (outcome.ratio, outcome.share_of_ceiling) == (None, None)
    assert "too little" in outcome.sentence


def test_too_large_a_model_does_not_fit() -> None:
    card = Observation(
        shape=models.look_up("llama3.3:70b"), box=machines.read("RTX 4090"), prompt_tokens=500,
        output_tokens=100, decode=3.1, gpu_percent=20, context=8192, engine_version="0.32.1",
        size_bytes=46e9, gpu_bytes=22e9,
    )  # fmt: skip
    outcome = diagnose(card)
    assert keys(outcome)[0] == "does-not-fit"
    assert Sign.PARTLY_ON_CPU in outcome.signs


@pytest.mark.parametrize(
    ("change", "first"),
    [
        ({"swap_in_bytes_s": 2e8, "memory_pressure": "critical", "residents": ("qwen3:32b",)},
         "paged-out"),
        ({"engine_version": "0.12.3", "size_bytes": 66e9, "gpu_bytes": 30e9}, "planned-on-cpu"),
        ({"flash_attention": False, "gpu_percent": None, "memory_used_bytes": None},
         "flash-attention-off"),
        ({"wired_limit_mib": 32768}, "limit-lowered"),
    ],
)  # fmt: skip
def test_direct_observations_decide(change: dict[str, object], first: str) -> None:
    assert keys(diagnose(replace(LARGE, **change)))[0] == first  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "first"),
    [
        ({"low_power": True, "gpu_percent": 95.0}, "low-power"),
        ({"thermal_class": "heavy", "gpu_percent": 95.0}, "low-power"),
        ({"size_bytes": 66e9, "gpu_bytes": 63e9, "gpu_percent": 90.0}, "engine-margin"),
        ({"engine_version": "0.12.3", "gpu_percent": 90.0, "flash_attention": True}, "old-engine"),
    ],
)  # fmt: skip
def test_mild_slowness_has_mild_causes(change: dict[str, object], first: str) -> None:
    mild = replace(GOOD, decode=38.0, memory_used_bytes=70e9)
    assert keys(diagnose(replace(mild, **change)))[0] == first  # type: ignore[arg-type]


def test_faster_than_the_memory_is_no_result() -> None:
    outcome = diagnose(replace(GOOD, decode=400.0))
    assert keys(outcome)[0] == "not-this-model"
    assert "what the memory can deliver" in outcome.sentence


def test_signs_one_by_one() -> None:
    whole = replace(GOOD, size_bytes=66e9, gpu_bytes=66e9)
    assert signs(whole) == ()
    assert signs(replace(whole, gpu_bytes=60e9)) == (Sign.PARTLY_ON_CPU,)
    assert signs(replace(whole, swap_in_bytes_s=6e7)) == (Sign.SWAPS,)
    assert signs(replace(whole, prefill=20.0)) == (Sign.PREFILL_BELOW_DECODE,)
    assert signs(replace(whole, prefill=20.0, prompt_tokens=40)) == ()
    assert signs(replace(whole, prefill=20.0, cached_tokens=60)) == ()
    assert signs(replace(whole, decode=10.0, prefill=None)) == ()
    idle = replace(whole, decode=10.0, prefill=None, gpu_percent=20.0)
    assert signs(idle) == (Sign.SLOW_AND_IDLE,)


EXPECTED = modelled(100, 80, 120)


def measured(rate: float, *like: float) -> Measured:
    return Measured(what="gpt-oss:20b", rate=rate, expected=EXPECTED, like_rates=like)


@pytest.mark.parametrize(
    ("results", "verdict", "words"),
    [
        ([measured(97.0)], True, "is normal: 97 %"),
        ([measured(97.0, 95.0)], True, "102 % of its like"),
        ([measured(75.0, 74.0)], True, "is like its kind"),
        ([measured(40.0), measured(45.0)], False, "is not normal"),
        ([measured(83.0)], True, "usual spread"),
        ([], None, "nothing measured"),
        ([measured(0.0)], None, "nothing measured"),
    ],
)
def test_is_my_machine_normal(results: list[Measured], verdict: bool | None, words: str) -> None:
    answer = is_normal("studio-96", results)
    assert answer.is_normal is verdict
    assert words in answer.sentence
    assert answer.sentence.startswith("studio-96")
