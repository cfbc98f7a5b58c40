"""Strict gates and a machine that cannot tell them: refused before anything runs."""

from __future__ import annotations

from dataclasses import replace

from fleet.model.machine import FactValue
from fleet.plan.expand import expand
from tests import builders
from tests.builders_gates import ready
from tests.builders_plan import machine


def refusals(policy: str, **facts: FactValue) -> tuple[str, ...]:
    one = replace(machine("studio-96"), fingerprint=ready(**facts))
    return expand(builders.request(gates=policy), [one]).refusals


def test_a_gate_that_a_machine_never_tells_can_never_open() -> None:
    assert refusals("strict", thermal_class=None, memory_pressure=None) == (
        "gates: strict cannot be kept on studio-96, which does not report: thermal level, memory "
        "pressure; gates: wait checks what it does report",
    )


def test_other_policies_and_machines_that_tell_all_are_not_refused() -> None:
    assert refusals("wait", thermal_class=None) == ()
    assert refusals("record", thermal_class=None) == ()
    assert refusals("strict") == ()
    assert refusals("strict", power_source="battery") == (), "closed, it may open yet"


def test_what_will_be_told_once_the_engine_rests_is_no_refusal() -> None:
    """A Mac tells how much of the GPU's memory is in use, and not by whom."""
    silent = {"gpu": "Apple M9", "foreign_gpu_memory_mb": None}
    busy = {"resident_models": "llama3:8b", "gpu_memory_in_use_mb": 40_000}
    assert refusals("strict", **silent, **busy) == ()
    [refusal] = refusals("strict", **silent, resident_models="llama3:8b")
    assert "which does not report: GPU memory of others;" in refusal


def test_the_policy_travels_with_each_trial_and_asks_no_other_question() -> None:
    one = machine("studio-96")
    plain, strict = (
        expand(builders.request(gates=gates), [one])
        for gates in ("wait", {"policy": "strict", "at_most": "1m"})
    )
    assert {trial.gates.policy for trial in strict.trials()} == {"strict"}
    assert [t.trial_id for t in strict.trials()] == [t.trial_id for t in plain.trials()]
