"""A battery of the machine, told from that of its mouse."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.commands import SystemCommands
from fleet.fingerprint.linux import linux_facts
from fleet.fingerprint.linux_condition import SUPPLIES
from fleet.model.machine import FactValue
from fleet.readers.power_supply import parse_has_battery
from tests.builders_commands import Recorded

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads Linux files")

LAPTOP = "AC/type:Mains\nBAT0/type:Battery\nucsi-source-psy-USBC000:001/type:USB\n"
MOUSE = "hidpp_battery_0/type:Battery\nhidpp_battery_0/scope:Device\n"
ALARM = "BAT1/type:Battery\nBAT1/scope:System\n"


@pytest.mark.parametrize(
    ("text", "there"),
    [(LAPTOP, True), (MOUSE, False), (LAPTOP + MOUSE, True), (ALARM, True), ("", False)],
)
def test_a_battery_of_the_machine_itself(text: str, there: bool) -> None:
    assert parse_has_battery(text) is there


def test_a_machine_that_lists_none_has_none_and_one_that_lists_nothing_does_not_say() -> None:
    def told(outputs: Mapping[str, str]) -> FactValue:
        facts = {fact.name: fact.value for fact in linux_facts(Recorded(outputs))}
        return facts["battery_present"]

    listed = " ".join(SUPPLIES)
    assert told({listed: LAPTOP}) is True
    assert told({listed: ""}) is False
    assert told({}) is None


@linux
def test_this_machine_is_asked_in_words_that_its_shell_knows() -> None:
    asked = SystemCommands().run(SUPPLIES)
    assert asked.ok == Path("/sys/class/power_supply").is_dir()
    batteries = list(Path("/sys/class/power_supply").glob("BAT*"))
    assert parse_has_battery(asked.stdout) == bool(batteries)


@given(st.text())
def test_no_text_breaks_it(text: str) -> None:
    assert parse_has_battery(text) in (True, False)
