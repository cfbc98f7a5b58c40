"""Who stands against whom, on variants made by hand and at random; no store is asked."""

from __future__ import annotations

import itertools
import random
from collections import Counter, defaultdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.comparability import AXES, FACTS, AxisRules, standing, state_facts
from fleet.compare.left_out import counted
from fleet.compare.matching import SideCell, match, only
from fleet.compare.matchups import Matched, Matchup, matchups
from fleet.compare.sides import Side
from fleet.errors import FleetError
from fleet.query.variant import Variant, variant_of

NOTHING: frozenset[str] = frozenset()


def variant(**changes: Any) -> Variant:
    row: dict[str, Any] = {
        **dict.fromkeys((*state_facts(), *FACTS), None),
        "engine_environment": "{}",
        "model": "m",
        "job": "chat",
        "point": "chat",
        "machine_id": "m1",
        "machine": "one",
        "settings": "num_ctx=8192 num_batch=512",
        "experiment": "e",
        "session": 0,
        "flags": "",
        "imported": False,
        "trials": 5,
        "requests_left_out": 0,
        "first_at": "2026-11-01 00:00:00",
        "last_at": "2026-11-01 00:05:00",
        "blocks": [],
        **changes,
    }
    for name in ("num_ctx", "num_batch", "prompt_tokens", "output_tokens", "energy_scope"):
        row.pop(name, None)
    return variant_of({name: value for name, value in row.items() if name not in NOT_COLUMNS})


NOT_COLUMNS = {name for name in FACTS if name in AXES} - {
    *state_facts(),
    *("chip", "gpu", "gpu_cores", "memory_gb", "gpu_memory_mb", "memory_bandwidth_gb_s", "os"),
    *("power_source", "power_mode", "thermal_class", "model", "think"),
} | {"kv_cache_type", "flash_attention"}


def by_model(*variants: Variant, allow_diff: frozenset[str] = NOTHING) -> Matched:
    rules = AxisRules("model", allow_diff)
    return matchups(variants, rules, lambda v: str(v.text("model")), across=False)


def names(matchup: Matchup) -> list[str]:
    return [side.name for side in matchup.sides]


def reasons(matched: Matched) -> dict[str, int]:
    return dict(Counter(left.reason for left in matched.left_out))


def settings(ctx: int, batch: int) -> str:
    return f"num_ctx={ctx} num_batch={batch}"


def test_models_that_think_unlike_are_matched_at_each_value_of_the_other_settings() -> None:
    found = by_model(
        *(
            variant(model=model, think=think, settings=settings(8192, batch))
            for model, think in (("a", None), ("b", "low"))
            for batch in (64, 512)
        )
    )
    assert [(m.settings, names(m)) for m in found.matchups] == [
        ("num_ctx=8192 num_batch=64", ["a", "b"]),
        ("num_ctx=8192 num_batch=512", ["a", "b"]),
    ]
    assert found.left_out == ()


def test_a_value_that_one_side_alone_has_is_named_and_set_against_no_other() -> None:
    found = by_model(
        variant(model="a", settings=settings(8192, 64)),
        variant(model="a", settings=settings(8192, 512)),
        variant(model="b", settings=settings(8192, 512)),
        variant(model="c", settings=settings(4096, 128)),
        variant(model="d", job="long", point="long"),
    )
    [matchup] = found.matchups
    assert (matchup.settings, names(matchup)) == ("num_ctx=8192 num_batch=512", ["a", "b"])
    assert reasons(found) == {
        "only a has num_batch=64": 1,
        "only c has num_batch=128": 1,
        "only d did this work": 1,
    }


def test_where_no_side_varies_a_setting_the_sides_are_set_against_each_other() -> None:
    """For the comparison to say that it differs."""
    found = by_model(
        *(variant(model="a", settings=settings(8192, batch)) for batch in (64, 512)),
        *(variant(model="b", settings=settings(4096, batch)) for batch in (64, 512)),
    )
    assert [(m.settings, names(m)) for m in found.matchups] == [
        ("num_batch=64", ["a", "b"]),
        ("num_batch=512", ["a", "b"]),
    ]


def test_a_session_that_sent_thinking_otherwise_hides_no_other_value() -> None:
    """Once, at one batch, model a was asked to think as b does: the other batch is a pair too."""
    found = by_model(
        variant(model="a", settings=settings(8192, 64)),
        variant(model="a", settings=settings(8192, 512)),
        variant(model="a", settings=settings(8192, 64), think="low", session=1),
        variant(model="b", settings=settings(8192, 64), think="low"),
        variant(model="b", settings=settings(8192, 512), think="low"),
    )
    assert [m.settings for m in found.matchups] == [
        "num_ctx=8192 num_batch=64 think=low",
        "num_ctx=8192 num_batch=512",
    ]
    assert reasons(found) == {"only a has no think": 1}


def test_what_the_user_frees_is_compared_and_never_pooled() -> None:
    variants = [
        variant(model="a", settings=settings(8192, 512), last_at="2026-11-02 00:00:00"),
        variant(model="a", settings=settings(2048, 512)),
        variant(model="b", settings=settings(4096, 512)),
    ]
    assert by_model(*variants).matchups == ()
    found = by_model(*variants, allow_diff=frozenset({"num_ctx"}))
    [matchup] = found.matchups
    assert [len(side.variants) for side in matchup.sides] == [1, 1]
    assert matchup.sides[0].variants[0].facts["settings"] == settings(8192, 512), "the newest"
    assert reasons(found) == {"only a has num_ctx=2048": 1}


def only_side(found: Matched, name: str) -> Side:
    [matchup] = found.matchups
    [side] = [side for side in matchup.sides if side.name == name]
    return side


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"session": -1, "last_at": "2026-10-30 10:00:00"}, "an earlier session (2026-10-30)"),
        (
            {"session": 1, "last_at": "2026-11-03 10:00:00"},
            "a later session (2026-11-03) that not every side has",
        ),
        (
            {"experiment": "old", "last_at": "2026-10-30 10:00:00"},
            "an earlier session (old, 2026-10-30)",
        ),
        ({"flags": "on_battery hot"}, "on_battery hot"),
        (
            {"engine_version": "0.31", "last_at": "2026-10-30 10:00:00"},
            "in another state: engine version 0.31",
        ),
        (
            {"hardware_id": "h2", "os_build": "b", "last_at": "2026-10-30 10:00:00"},
            "in another state: hardware h2, OS build b",
        ),
    ],
)
def test_what_is_kept_apart_tells_its_true_reason(changes: dict[str, Any], reason: str) -> None:
    found = by_model(variant(model="a"), variant(model="b"), variant(model="b", **changes))
    side = only_side(found, "b")
    assert side.apart == {reason: 5}
    assert [(left.reason, left.apart) for left in found.left_out] == [(reason, True)]


def test_a_state_that_all_sides_have_is_preferred_to_a_newer_one_of_one_side() -> None:
    """Only a was measured again after an update of the engine: no reason to refuse."""
    found = by_model(
        variant(model="a", engine_version="0.32"),
        variant(model="a", engine_version="0.33", last_at="2026-11-09 00:00:00"),
        variant(model="b", engine_version="0.32"),
    )
    assert only_side(found, "a").facts("engine_version") == {"0.32"}
    assert reasons(found) == {"in another state: engine version 0.33": 1}


def test_all_sides_come_from_one_session_where_there_is_one() -> None:
    """The older session was resumed for b alone: it is the last for b, but not for both."""
    found = by_model(
        variant(model="a", session=0, last_at="2026-11-01 00:00:00"),
        variant(model="a", session=1, last_at="2026-11-02 00:00:00"),
        variant(model="b", session=1, last_at="2026-11-02 00:00:00"),
        variant(model="b", session=0, last_at="2026-11-03 00:00:00"),
    )
    [matchup] = found.matchups
    assert {side.variants[0].facts["session"] for side in matchup.sides} == {"1"}


MODELS = ("a", "b", "c")
variants = st.builds(
    variant,
    model=st.sampled_from(MODELS),
    job=st.sampled_from(("chat", "long")),
    machine_id=st.sampled_from(("m1", "m2")),
    settings=st.builds(settings, st.sampled_from((4096, 8192)), st.sampled_from((8, 64, 512))),
    think=st.sampled_from((None, "low")),
    session=st.integers(0, 1),
    experiment=st.sampled_from(("e", "f")),
    engine_version=st.sampled_from(("0.32", "0.33")),
    digest=st.sampled_from(("d", "e")),
    kernel=st.sampled_from((None, "6.8")),
    flags=st.sampled_from(("", "on_battery", "throttled", "hot throttled")),
    last_at=st.sampled_from([f"2026-11-0{day} 00:00:00" for day in range(1, 6)]),
    trials=st.integers(1, 7),
)


def key(each: Variant) -> tuple[object, ...]:
    return tuple(map(str, (*each.facts.values(), each.first_at, each.last_at, each.trials)))


@given(
    st.lists(variants, min_size=1, max_size=14, unique_by=key),
    st.sampled_from(("model", "num_batch", "machine")),
    st.sampled_from((NOTHING, frozenset({"num_ctx"}))),
    st.randoms(use_true_random=False),
)
def test_every_pair_of_cells_is_matched_once_and_every_variant_is_accounted_for(
    some: list[Variant], axis: str, allow_diff: frozenset[str], chance: random.Random
) -> None:
    def name(each: Variant) -> str:
        column = {"machine": "machine_id"}.get(axis, axis)
        return str(each.asked_for(axis) if axis == "num_batch" else each.facts[column])

    across = axis == "machine"
    found = matchups(some, AxisRules(axis, allow_diff), name, across=across)
    compared = [each for matchup in found.matchups for each in matchup.variants()]
    counts = counted("speeds", some, compared, found.left_out)
    assert counts.read == counts.compared + counts.left_out

    work = [f for f in ("model", "job", "machine_id") if f not in (axis, across and "machine_id")]
    own = {"machine": "machine_id"}.get(axis, axis)
    held = [s for s in ("num_ctx", "num_batch", "think") if s != own]
    cells: dict[tuple[object, ...], set[str]] = defaultdict(set)
    for each in some:
        equal = (*(each.facts[f] for f in work), *(each.asked_for(s) for s in held))
        cells[equal].add(name(each))
    places: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for at, matchup in enumerate(found.matchups):
        assert len(names(matchup)) == len(set(names(matchup))) > 1
        for side in matchup.sides:
            equal = {
                (*(v.facts[f] for f in work), *(v.asked_for(s) for s in held))
                for v in side.variants
            }
            assert len(equal) == 1, "a side is one cell"
            places[(*equal.pop(), side.name)].append(at)
            assert len({v.label for v in side.variants}) == 1
            for _, mine in itertools.groupby(
                sorted(side.variants, key=lambda v: v.machine_id), lambda v: v.machine_id
            ):
                states = {
                    (v.session, *(v.text(f) for f in state_facts() if f != axis)) for v in mine
                }
                assert len(states) == 1, "one session and one state of a machine"
    assert all(len(at) == 1 for at in places.values()), "a cell is in one matchup at most"
    for equal, sides in cells.items():
        for one, other in itertools.combinations(sorted(sides), 2):
            assert places[(*equal, one)] == places[(*equal, other)] != []

    again = list(some)
    chance.shuffle(again)
    other_order = matchups(again, AxisRules(axis, allow_diff), name, across=across)
    assert [shown(m) for m in other_order.matchups] == [shown(m) for m in found.matchups]
    assert Counter((left.side, left.reason, key(left.variant)) for left in found.left_out) == (
        Counter((left.side, left.reason, key(left.variant)) for left in other_order.left_out)
    )


def shown(matchup: Matchup) -> tuple[object, ...]:
    sides = [(side.name, sorted(map(key, side.variants)), side.apart) for side in matchup.sides]
    return *matchup.work, sides


def test_something_lost_on_the_way_is_an_internal_error_that_is_said() -> None:
    one, two = variant(model="a"), variant(model="b")
    counted("speeds", [one, two], [one, two], [])
    for compared in ([one], [one, one, two]):
        with pytest.raises(FleetError, match="internal error: 2 cells of speeds were read"):
            counted("speeds", [one, two], compared, [])


def test_a_combination_that_is_rare_is_told_whole() -> None:
    """Each of its values stands on the other side too."""
    own, others = (
        SideCell("a", ("1", "2"), ()),
        [SideCell("b", ("1", "1"), ()), SideCell("b", ("2", "2"), ())],
    )
    assert only(own, [own, *others], ["x", "y"]) == "only a has x=1 y=2"
    assert only(SideCell("c", ("1", "3"), ()), [own, *others], ["x", "y"]) == "only c has y=3"


def test_no_setting_at_all_is_a_match_of_whole_sides() -> None:
    cells = [SideCell(side, (), (variant(model=side),)) for side in "ab"]
    matched, rest = match(cells, [], ())
    assert [[cell.side for cell in group] for group in matched] == [["a", "b"]]
    assert rest == []


def test_the_model_implies_nothing_of_thinking_but_lists_it() -> None:
    assert standing("think", "model") == "listed"
    assert standing("think", "machine") == "refused"
