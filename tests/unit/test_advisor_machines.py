"""The catalogue of machines, read from words as people write them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fleet.advisor import machines, models
from fleet.advisor.advice import Answer, Upgrade, Wish, advise, boxes, distinct, judge_box
from fleet.advisor.amounts import Certainty
from fleet.advisor.evidence import Anchor
from fleet.advisor.machines_kind import SpeedClass
from fleet.advisor.setup import Setup
from fleet.errors import UnknownName, UserError
from fleet.fingerprint.bandwidth import look_up
from fleet.units import MIB


@pytest.mark.parametrize(
    ("words", "name", "bandwidth"),
    [
        ("M3 Ultra 96 GB", "M3 Ultra 60-core 96 GB", 819),
        ("Apple M4 Max 128GB", "M4 Max 40-core 128 GB", 546),
        ("M3 Max 96 GB", "M3 Max 30-core 96 GB", 300),
        ("M4 Max 36 GB", "M4 Max 32-core 36 GB", 410),
        ("Mac Studio M2 Ultra 76-core 192GB", "M2 Ultra 76-core 192 GB", 800),
        ("NVIDIA GeForce RTX 4090", "RTX 4090 24 GB", 1008),
        ("2x RTX 3090", "2x RTX 3090 24 GB", 936),
        ("rtx 4070ti", "RTX 4070 Ti 12 GB", 504),
        ("RTX5090", "RTX 5090 32 GB", 1792),
        ("DGX Spark", "GB10 128 GB", 273),
        ("Ryzen AI Max+ 395 128 GB", "Strix Halo 128 GB", 256),
        ("Radeon RX 7900 XTX", "RX 7900 XTX 24 GB", 960),
        ("A100", "A100 SXM 80 GB", 2039),
    ],
)
def test_machines_in_words(words: str, name: str, bandwidth: float) -> None:
    box = machines.read(words)
    assert (box.name, box.kind.bandwidth_gb_s) == (name, bandwidth)


def test_a_mac_has_a_limit_for_each_generation_of_its_system() -> None:
    limits = machines.read("M3 Ultra 96 GB").limits()
    assert [limit.bytes.value / MIB for limit in limits] == [73728, 79626]
    assert [limit.label for limit in limits] == ["macOS 15 and earlier", "macOS 26"]
    assert machines.read("RTX 4090").limits()[0].bytes.value < 24 * 1024 * MIB
    shared = machines.read("Strix Halo 128 GB").limits()[0].bytes
    assert shared.certainty is Certainty.MODELLED
    own_limits = replace(machines.read("M3 Ultra 96 GB"), limit_mib=81920).limits()
    assert [limit.bytes.value / MIB for limit in own_limits] == [81920]


def test_where_cores_are_not_named_the_smaller_are_taken_and_told() -> None:
    assert machines.read("M3 Ultra 96 GB").notes == (
        "taken to have the 60-core GPU; it is also sold as 80-core",
    )
    assert machines.read("M3 Ultra 80-core 96 GB").notes == ()


@pytest.mark.parametrize(
    ("words", "what"),
    [
        ("M3 Ultra 128 GB", "96, 256 or 512"),
        ("M4 Max", "how much memory"),
        ("M3 Ultra 70-core 96 GB", "60 or 80"),
        ("99x RTX 3090", "1 to 64"),
        ("0x RTX 3090", "1 to 64"),
    ],
)
def test_machines_that_were_never_sold(words: str, what: str) -> None:
    with pytest.raises(UserError, match=what):
        machines.read(words)


def test_an_unmachine_of_store_has_the_nearest_name() -> None:
    with pytest.raises(UnknownName, match="RTX 4090"):
        machines.read("RTX 4091")
    with pytest.raises(UnknownName, match="--limit-mib"):
        machines.read("abacus")


def test_machines_of_a_user() -> None:
    extra = machines.from_mapping(
        {"My Box": {"memory_gb": 64, "bandwidth_gb_s": 120, "class": "vulkan_uma"}}
    )
    box = machines.read("my box 64 GB", extra)
    assert (box.kind.speed_class, box.kind.confidence) == (SpeedClass.VULKAN_SHARED, "user")


@pytest.mark.parametrize(
    "fields",
    [
        {"memory_gb": 64}, {"memory_gb": 64, "bandwidth_gb_s": -1},
        {"memory_gb": "64", "bandwidth_gb_s": 1}, {"memory_gb": True, "bandwidth_gb_s": 1},
        {"memory_gb": 64, "bandwidth_gb_s": float("nan")},
        {"memory_gb": 64, "bandwidth_gb_s": 1, "class": "abacus"},
        {"memory_gb": 64, "bandwidth_gb_s": 1, "colour": "red"},
    ],
)  # fmt: skip
def test_machines_of_a_user_that_cannot_be(fields: dict[str, object]) -> None:
    with pytest.raises(UserError, match="My Box"):
        machines.from_mapping({"My Box": fields})


def test_every_kind_is_whole_and_agrees_with_the_facts_of_machines() -> None:
    assert len(machines.CATALOGUE) >= 80
    for kind in machines.CATALOGUE:
        assert kind.memory_gb == tuple(sorted(kind.memory_gb))
        assert kind.source
        assert 10 < kind.bandwidth_gb_s < 20_000
        assert 1 < kind.tflops < 10_000
        entry, _ = look_up(f"Apple {kind.name}" if kind.is_apple else kind.name, kind.gpu_cores)
        if entry is not None:
            assert kind.bandwidth_gb_s == pytest.approx(entry.gb_s, rel=0.03), kind.label


WISH = Wish(shape=models.look_up("gpt-oss:120b"), setup=Setup(context=32768), decode=40)


def test_which_machines_run_gpt_oss_120b_at_40_tokens_per_second() -> None:
    candidates = advise(WISH, machines.CATALOGUE)
    names = {candidate.box.name: candidate.answer for candidate in candidates}
    assert names["M3 Ultra 60-core 96 GB"] is Answer.YES
    assert names["M4 Max 40-core 128 GB"] in (Answer.YES, Answer.LIKELY)
    assert names["RTX PRO 6000 96 GB"] is Answer.YES
    assert "M4 Pro 20-core 64 GB" not in names
    assert "RTX 4090 24 GB" not in names
    order = [candidate.answer for candidate in candidates]
    assert order == sorted(order, key=list(Answer).index)


def test_prices_and_break_even() -> None:
    prices = {"M3 Ultra 60-core 96 GB": 4500.0}
    first = advise(WISH, machines.CATALOGUE, prices=prices, api_price=0.5)[0]
    assert first.box.name == "M3 Ultra 60-core 96 GB"
    assert first.break_even_tokens == 9e9
    assert first.rate is not None
    assert first.break_even_days == pytest.approx(9e9 / first.rate.value / 86400)


def test_upgrade_ratios_are_against_what_was_measured() -> None:
    box = machines.read("M4 Max 128 GB")
    measured = Upgrade(box=box, rate=50.0)
    candidates = {
        candidate.box.name: candidate
        for candidate in advise(WISH, machines.CATALOGUE, upgrade=measured)
    }
    same = candidates["M4 Max 40-core 128 GB"]
    assert same.rate is not None
    assert same.upgrade == pytest.approx(same.rate.value / 50)
    anchors = tuple(Anchor(measured=30, expected=60, mixture=mixture) for mixture in (True, False))
    slow = Upgrade(box=box, rate=None, anchors=anchors)
    halved = {
        candidate.box.name: candidate
        for candidate in advise(WISH, machines.CATALOGUE, upgrade=slow)
    }
    assert halved["M4 Max 40-core 128 GB"].upgrade == pytest.approx(2)


def test_a_tight_fit_is_never_a_plain_yes_of_a_slow_machine() -> None:
    slow = judge_box(WISH, machines.read("M2 Max 38-core 96 GB"))
    assert slow.answer in (Answer.LIKELY, Answer.MAYBE)
    assert slow.decides


def test_of_each_kind_the_smallest_is_shown() -> None:
    candidates = distinct(advise(WISH, machines.CATALOGUE))
    labels = [(candidate.box.kind.label, candidate.answer) for candidate in candidates]
    assert len(labels) == len(set(labels))
    assert sum(1 for _ in boxes(machines.CATALOGUE)) > len(machines.CATALOGUE)
