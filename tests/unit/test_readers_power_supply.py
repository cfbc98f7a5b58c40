"""A battery of the machine, told from that of its mouse."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.readers.power_supply import parse_has_battery

LAPTOP = "AC/type:Mains\nBAT0/type:Battery\nucsi-source-psy-USBC000:001/type:USB\n"
MOUSE = "hidpp_battery_0/type:Battery\nhidpp_battery_0/scope:Device\n"
ALARM = "BAT1/type:Battery\nBAT1/scope:System\n"


@pytest.mark.parametrize(
    ("text", "there"),
    [(LAPTOP, True), (MOUSE, False), (LAPTOP + MOUSE, True), (ALARM, True), ("", False)],
)
def test_a_battery_of_the_machine_itself(text: str, there: bool) -> None:
    assert parse_has_battery(text) is there


@given(st.text())
def test_no_text_breaks_it(text: str) -> None:
    assert parse_has_battery(text) in (True, False)
