"""Machines known from before are planned, or named as absent: none is subtracted in silence."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.errors import FleetUnreachable, UnknownName
from fleet.model.experiment import Selector
from fleet.plan.absent import (
    AbsentMachine,
    KnownMachine,
    names_written,
    narrowed,
    not_there,
    wanted_names,
)
from fleet.plan.selection import select
from tests.builders_plan import machine

NAMES = st.lists(st.sampled_from("abcd"), unique=True)
SELECTORS = st.one_of(
    st.just("all"),
    st.lists(st.sampled_from("abcd"), min_size=1, unique=True).map(tuple),
    st.builds(Selector, name=st.sampled_from(["*", "a", "[ab]"])),
    st.builds(Selector, memory_gb=st.sampled_from([">=96", 64])),
)


def known(name: str, **changes: Any) -> KnownMachine:
    facts = {"memory_gb": 96 if name in "ab" else 64}
    return KnownMachine(**{"name": name, "machine_id": f"id-{name}", "facts": facts, **changes})


def there(name: str) -> Any:
    return machine(name, memory_gb=96 if name in "ab" else 64)


@given(SELECTORS, NAMES, NAMES)
def test_machines_of_earlier_sessions_are_planned_or_named(
    selector: Any, before: list[str], joined: list[str]
) -> None:
    """The two together are all that the experiment means of them, and never one twice."""
    earlier = [known(name) for name in before]
    everybody = [there(name) for name in "abcd"]
    meant = {each.name for each in select(selector, everybody)} & {*before, *joined}
    names = [name for name in joined if name in meant]
    missing = [each.name for each in not_there(selector, earlier, [there(n) for n in names])]
    assert set(missing) | (set(names) & set(before)) == meant & set(before)
    assert not set(missing) & set(names)
    assert missing == sorted(set(missing))


@given(SELECTORS, NAMES, NAMES)
def test_only_what_may_be_meant_is_looked_at(
    selector: Any, before: list[str], joined: list[str]
) -> None:
    earlier = [known(name) for name in before]
    try:
        names = wanted_names(selector, {}, joined, earlier)
    except UnknownName:
        assert not set(selector) <= {*joined, *before}
        return
    meant = {each.name for each in select(selector, [there(name) for name in "abcd"])}
    assert set(names) <= set(joined)
    assert set(names) >= meant & set(joined), "what is meant is looked at"
    strangers = {name for name in joined if name not in before}
    assert set(names) - meant <= (strangers if isinstance(selector, Selector) else set())


def test_the_machines_that_an_experiment_names_are_known_before_any_look() -> None:
    unseen = f"machine-{'0a' * 10}"
    assert names_written(("a", unseen), (), {}) == ["a"]
    assert names_written("all", ("a", "b"), {}) == ["a", "b"]
    assert names_written("all", ("a", "b"), {"machine": "b"}) == ["b"]
    assert names_written("all", (), {}) == names_written(Selector(name="*"), ("a",), {}) == []


def test_a_machine_is_the_same_by_its_name_or_its_id() -> None:
    moved = known("old-name", machine_id="id-a")
    assert not_there("all", [moved], [there("a")]) == []
    anew = known("a", machine_id="id-before-it-was-installed-anew")
    assert not_there("all", [anew], [there("a")]) == []


def test_a_name_that_nobody_ever_had_is_refused_before_anybody_is_waited_for() -> None:
    with pytest.raises(UnknownName) as caught:
        wanted_names(("studio-69",), {}, ["studio-96"], [known("b")])
    assert str(caught.value) == (
        "machines: no machine is named studio-69 (did you mean studio-96?)\n"
        "  there are b, studio-96"
    )
    assert wanted_names(("a", "b"), {}, ["b"], [known("a")]) == ["b"], "a is known, and absent"


def test_an_id_that_nobody_knows_may_be_that_of_a_machine_never_looked_at() -> None:
    unseen = f"machine-{'0a' * 10}"
    assert wanted_names((unseen,), {}, ["x"], []) == ["x"]
    assert wanted_names((unseen,), {}, ["a", "x"], [known("a")]) == ["x"]
    with pytest.raises(UnknownName):
        wanted_names((unseen,), {}, ["a"], [known("a")])


def test_only_narrows_what_is_looked_at() -> None:
    assert wanted_names("all", {"machine": "b"}, ["a", "b"], []) == ["b"]
    assert wanted_names("all", {"machine": "id-b"}, ["a", "b"], [known("a"), known("b")]) == ["b"]
    with pytest.raises(UnknownName, match=r"no such machine \(did you mean studio-96\?\)"):
        wanted_names("all", {"machine": "studio-95"}, ["studio-96"], [])


def test_only_an_absent_machine_is_refused_with_what_to_type() -> None:
    away = AbsentMachine(
        known=known("b"), state="absent", reason="it is not joined now", hint="fleet join HEAD"
    )
    assert narrowed([away], {}) == [away]
    assert narrowed([away], {"machine": "a"}) == []
    for name in ("b", "id-b"):
        with pytest.raises(FleetUnreachable, match="it is not joined now") as caught:
            narrowed([away], {"machine": name})
        assert caught.value.hint == "fleet join HEAD"


def test_what_is_said_of_a_machine_names_it_once() -> None:
    busy = AbsentMachine(known=known("b"), state="busy", reason="b is measuring demo since 14:02")
    assert str(busy) == "b is measuring demo since 14:02"
    away = AbsentMachine(known=known("b"), state="absent", reason="it is off", hint="type this")
    assert str(away) == "b: it is off; type this"
