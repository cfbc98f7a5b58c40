"""Looks at a machine, as far as its gates go by them."""

from __future__ import annotations

from fleet.model.machine import Fact, FactValue, Fingerprint

READY: dict[str, FactValue] = {
    "power_source": "mains",
    "low_power_mode": False,
    "thermal_class": "nominal",
    "memory_pressure": "normal",
    "foreign_cpu_percent": 3.5,
    "foreign_gpu_percent": 0.0,
    "resident_models": "",
}


def found(**facts: FactValue) -> Fingerprint:
    told = tuple(Fact(name=name, value=value, source="test") for name, value in facts.items())
    return Fingerprint(facts=told, hardware_id="h", software_id="s", condition_id="c")


def ready(**changes: FactValue) -> Fingerprint:
    """All gates open, and all of them told."""
    return found(**{**READY, **changes})
