"""What was measured on a machine, as the base of a proposal to upgrade it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fleet.advisor import models
from fleet.advisor.advice import Upgrade
from fleet.advisor.evidence import Anchor
from fleet.advisor.speed import decode_rate
from fleet.advisor.work import muscle_of
from fleet.app.fit import StoreMachine, machine_of_store
from fleet.model.machine import full_model_name


def upgrade_from(
    homes: Sequence[Path], name: str | None, model: str
) -> tuple[Upgrade | None, tuple[str, ...]]:
    """Return the measured machine that candidates are compared with, and notes on its rates."""
    if name is None:
        return None, ()
    machine = machine_of_store(homes, name)
    anchors, notes = anchors_of(machine)
    name_in_full = full_model_name(model)
    rates = [rate for key, rate in machine.rates.items() if full_model_name(key) == name_in_full]
    usable = {anchor.measured for anchor in anchors}
    rate = next((rate for rate in rates if rate in usable), None)
    return Upgrade(box=machine.box, rate=rate, anchors=anchors), notes


def anchors_of(machine: StoreMachine) -> tuple[tuple[Anchor, ...], tuple[str, ...]]:
    """Return what was measured with what was expected, and why some of it was not used."""
    anchors, notes = [], []
    for model, rate in machine.rates.items():
        shape = models.find(model)
        expected = None if shape is None else decode_rate(shape, muscle_of(machine.box), 256)
        if shape is None or expected is None:
            continue
        if rate > expected.ceiling:
            notes.append(
                f"{model} at {rate:.0f} tokens/s is above what the memory of that machine can "
                "deliver: not used (practice machines run twenty times faster than real ones)"
            )
            continue
        mixture = shape.experts is not None
        anchors.append(Anchor(measured=rate, expected=expected.expected.value, mixture=mixture))
    return tuple(anchors), tuple(notes)
