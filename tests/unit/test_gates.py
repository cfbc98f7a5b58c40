"""Gates from the facts of one look: which are closed and why, and which nobody can tell."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fleet.model.experiment import Experiment
from fleet.model.gates import (
    BUSY_PERCENT,
    GATES,
    MOST_OTHERS_MB,
    MOST_STEP_NS,
    Gates,
    Resident,
    clocks_moved,
    closed,
    others_gpu_mb,
    unverified,
    with_resident,
)
from fleet.model.machine import Fact, FactValue, Fingerprint
from fleet.query.views import views_sql
from fleet.units import NS_PER_S
from tests import builders
from tests.builders_gates import READY, found, ready

FACTS = (
    *(*READY, "battery_present", "power_modes_present", "virtual", "gpu_slowed", "gpu"),
    *("foreign_gpu_memory_mb", "foreign_gpu_programs", "gpu_memory_in_use_mb"),
    *("wanted_model_mb", "gpu_limit_mb", "gpu_usable_mb", "gpu_memory_mb"),
)


def why(**changes: FactValue) -> list[str]:
    return list(closed(ready(**changes)).values())


def test_a_machine_that_is_ready_has_open_gates_and_tells_all() -> None:
    assert closed(ready()) == {}
    assert unverified(ready()) == ()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"power_source": "battery"}, "on battery"),
        ({"low_power_mode": True}, "low-power mode"),
        ({"thermal_class": "heavy"}, "thermal pressure heavy"),
        ({"gpu_slowed": True}, "the GPU is slowed down by heat or power"),
        ({"memory_pressure": "warning"}, "memory pressure warning"),
        ({"foreign_cpu_percent": 36.6}, "37 % of the CPU is busy with other programs"),
        ({"foreign_gpu_percent": 80}, "80 % of the GPU is busy with other programs"),
        ({"resident_models": "llama3:8b"}, "another model is in memory: llama3:8b"),
        (
            {"foreign_gpu_memory_mb": 70656, "foreign_gpu_programs": "python 70656 MiB"},
            "others hold 69.0 GiB of the GPU's memory: python 70656 MiB",
        ),
        ({"gpu_memory_in_use_mb": 5120}, "others hold 5.0 GiB of the GPU's memory"),
        (
            {"foreign_gpu_memory_mb": 900, "gpu_memory_mb": 24564, "wanted_model_mb": 24000},
            "others hold 0.9 GiB of the GPU's memory; the model does not fit beside them",
        ),
    ],
)
def test_each_gate_says_why_it_is_closed(changes: dict[str, FactValue], words: str) -> None:
    assert why(**changes) == [words]


def test_several_are_told_together() -> None:
    assert why(power_source="battery", memory_pressure="critical") == [
        "on battery",
        "memory pressure critical",
    ]


def test_a_gate_that_is_not_asked_is_neither_closed_nor_unverified() -> None:
    assert closed(ready(resident_models="x"), {"other models in memory"}) == {}
    assert unverified(ready(resident_models=None), {"other models in memory"}) == ()


@pytest.mark.parametrize(
    ("facts", "untold"),
    [
        ({"power_source": None}, ["power source"]),
        ({"low_power_mode": None}, ["low-power mode"]),
        ({"thermal_class": None}, ["thermal level"]),
        ({"thermal_class": None, "gpu_slowed": False}, []),
        ({"memory_pressure": None}, ["memory pressure"]),
        ({"foreign_cpu_percent": None}, ["load of others"]),
        ({"foreign_gpu_percent": None}, []),
        ({"resident_models": None}, ["other models in memory"]),
    ],
)
def test_what_a_machine_does_not_tell_is_unverified(
    facts: dict[str, FactValue], untold: list[str]
) -> None:
    assert list(unverified(ready(**facts))) == untold
    assert closed(ready(**facts)) == {}


def test_a_desktop_without_a_battery_is_on_mains_and_a_guest_may_be_on_a_laptop() -> None:
    desktop = {"power_source": None, "battery_present": False}
    assert unverified(ready(**desktop)) == ()
    assert unverified(ready(**desktop, virtual=True)) == ("power source",)
    assert unverified(ready(power_source=None, battery_present=True)) == ("power source",)


def test_a_mac_without_power_modes_is_in_no_low_one() -> None:
    assert unverified(ready(low_power_mode=None, power_modes_present=False)) == ()
    assert unverified(ready(low_power_mode=None, power_modes_present=None)) == ("low-power mode",)


def test_a_look_that_tells_nothing_closes_nothing() -> None:
    assert closed(found()) == {}
    assert len(unverified(found())) == len(GATES) - 2, "of a GPU nothing need be told"


def looked_for(name: str, *, absent: bool = False, gpu: bool = True) -> Fingerprint:
    """A look at a machine, with or without a GPU, of which this fact could not be had."""
    fact = Fact(name=name, value=None, source="tool: no answer", absent=absent)
    bare = ready(**({"gpu": "NVIDIA X"} if gpu else {}))
    kept = tuple(each for each in bare.facts if each.name != name)
    return replace(bare, facts=(*kept, fact))


@pytest.mark.parametrize(
    ("name", "gate"),
    [
        ("foreign_gpu_percent", "GPU load of others"),
        ("foreign_gpu_memory_mb", "GPU memory of others"),
    ],
)
def test_what_a_gpu_does_not_tell_is_unverified_and_a_machine_without_one_lacks_nothing(
    name: str, gate: str
) -> None:
    assert unverified(looked_for(name)) == (gate,)
    assert unverified(looked_for(name, absent=True)) == ()
    assert unverified(looked_for(name, gpu=False)) == ()


@pytest.mark.parametrize(
    ("facts", "others_mb"),
    [
        ({"foreign_gpu_memory_mb": 0}, 0),
        ({"foreign_gpu_memory_mb": 5, "gpu_memory_in_use_mb": 9000}, 5),
        ({"gpu_memory_in_use_mb": 9000}, 9000),
        ({"gpu_memory_in_use_mb": 9000, "resident_models": "llama3:8b"}, None),
        ({"gpu_memory_in_use_mb": 9000, "resident_models": None}, None),
        ({"gpu_memory_in_use_mb": 1024, "resident_models": None}, 1024),
        ({"gpu_memory_in_use_mb": 3000}, None),  # a desktop's own windows, or somebody's program
        ({"gpu_memory_in_use_mb": 4097}, 4097),
        ({"foreign_gpu_memory_mb": float("inf")}, None),
        ({"foreign_gpu_memory_mb": -1}, None),
        ({"foreign_gpu_memory_mb": True}, None),
        ({}, None),
    ],
)
def test_memory_of_others_by_the_list_else_by_all_that_is_in_use_while_the_engine_rests(
    facts: dict[str, FactValue], others_mb: int | None
) -> None:
    assert others_gpu_mb(ready(**facts)) == others_mb


@pytest.mark.parametrize(
    ("sizes", "is_open"),
    [
        ({"gpu_limit_mb": 20000, "gpu_memory_mb": 90000}, False),
        ({"gpu_usable_mb": 20000, "gpu_memory_mb": 90000}, False),
        ({"gpu_limit_expected_mb": 20000}, True),  # merely usual
        ({"gpu_memory_mb": 20001}, True),
        ({"gpu_memory_mb": 18999}, True),  # too large with or without them
    ],
)
def test_whether_the_model_fits_beside_others_goes_by_what_the_gpu_may_use(
    sizes: dict[str, FactValue], is_open: bool
) -> None:
    beside = {"foreign_gpu_memory_mb": 1001, "wanted_model_mb": 19000}
    assert (closed(ready(**beside, **sizes)) == {}) is is_open
    assert closed(ready(**{**beside, "wanted_model_mb": None}, **sizes)) == {}


def test_the_windows_of_a_desktop_close_no_gate_but_where_the_model_no_longer_fits() -> None:
    desktop = {"gpu_memory_in_use_mb": 3000, "gpu_limit_mb": 12000}
    look = ready(**desktop)
    assert (closed(look), unverified(look)) == ({}, ("GPU memory of others",))
    full = ready(**desktop, wanted_model_mb=11000)
    assert "does not fit beside them" in closed(full)["GPU memory of others"]


VALUES = st.one_of(
    st.none(),
    st.text(max_size=8),
    st.sampled_from(["battery", "nominal", "heavy", "normal", "warning"]),
    st.booleans(),
    st.integers(),
    st.floats(),
)


@given(st.dictionaries(st.sampled_from(FACTS), VALUES))
def test_no_value_of_a_fact_breaks_a_gate(facts: dict[str, FactValue]) -> None:
    look = found(**facts)
    shut, untold = closed(look), unverified(look)
    assert all(shut.values())
    assert not set(shut) & set(untold)


@given(st.floats(0, 100))
def test_a_little_load_of_others_is_no_reason(percent: float) -> None:
    assert bool(why(foreign_cpu_percent=percent)) == (percent > BUSY_PERCENT)


def test_the_views_have_the_same_bounds() -> None:
    text = views_sql()
    load = re.search(r"foreign_gpu_percent\) > (\d+)", text)
    step = re.search(r"abs\(clock_step_ns\) > ([\d_]+)", text)
    held = re.search(r"foreign_gpu_memory_after_mb\) > (\d+)", text)
    assert load
    assert step
    assert held
    assert (float(load[1]), int(step[1])) == (BUSY_PERCENT, MOST_STEP_NS)
    assert int(held[1]) == MOST_OTHERS_MB


def test_the_models_in_memory_are_a_fact_outside_the_hashes() -> None:
    look = with_resident(found(), [Resident(name="b"), Resident(name="a")], "engine")
    assert look.get("resident_models") == "a, b"
    assert look.condition_id == found().condition_id
    assert with_resident(found(), None, "engine: gone").get("resident_models") is None


def test_the_clocks_over_a_trial() -> None:
    assert clocks_moved(0, 0) == {}
    assert clocks_moved(-MOST_STEP_NS, NS_PER_S // 10) == {}
    assert list(clocks_moved(-2 * NS_PER_S, 0).values()) == ["the clock stepped back by 2 s"]
    assert list(clocks_moved(3 * NS_PER_S, 60 * NS_PER_S).values()) == [
        "the clock stepped forward by 3 s",
        "the machine slept for 60 s",
    ]


def test_an_experiment_names_the_policy_or_spells_it_out() -> None:
    def asked(gates: object) -> Gates:
        return builders.experiment(gates=gates).gate_rule()

    assert Experiment.model_fields["gates"].default == "wait"
    assert asked("wait") == Gates() == Gates(policy="wait", at_most="10m")
    assert asked("strict").policy == "strict"
    assert asked({"at_most": "90s"}).at_most_s == 90
    assert [str(asked(word)) for word in ("strict", "record")] == ["strict, at most 10m", "record"]
    assert (
        str(asked({"residents_are_mine": True}))
        == "wait, at most 10m, models in memory are taken out"
    )


@pytest.mark.parametrize("wrong", ["never", {"at_most": "0s"}, {"policy": "no"}, {"most": "1m"}])
def test_a_policy_that_cannot_be(wrong: object) -> None:
    with pytest.raises(ValidationError):
        builders.experiment(gates=wrong)
