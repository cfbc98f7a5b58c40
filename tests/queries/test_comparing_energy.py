"""Verdicts about energy, on trials whose joules are known exactly."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from fleet.compare.result import Comparison, Line
from fleet.errors import UnknownName, UserError
from fleet.query.open_store import WITH_READINGS, open_store, rows
from fleet.query.results import results
from fleet.query.variants import read_variants
from fleet.report.comparison_text import (
    comparison_lines,
    comparison_markdown,
    results_lines,
    to_json,
)
from tests.builders_compare import START, GoldenStore, Row, compare
from tests.builders_energy import Curve, asked, counter, every, power, reading

Opened = Callable[[GoldenStore], duckdb.DuckDBPyConnection]

BIG = {
    "machine_id": "machine-big",
    "machine": "studio-256",
    "hardware_id": "hardware-2",
    "memory_gb": 256,
}
OTHER_CHIP = {**BIG, "chip": "Apple M4 Max", "gpu": "Apple M4 Max"}
CHAT = asked(4, 6.5, 17.25)
TIMES = every(0.2, 20, 0.07)
IDLE = reading("idle_window_s", 0.5, 3.0, "fleet")
WOBBLE = (1.0, 1.01, 0.99, 1.005, 0.995)


@pytest.fixture
def opened(tmp_path: Path) -> Opened:
    return lambda store: open_store([store.write(tmp_path / "results")], WITH_READINGS)


def curve(factor: float = 1.0) -> Curve:
    """Idle, a prompt of 2.5 s, an answer of 10.75 s, idle: 1010 J asked for at factor 1."""
    return Curve([0, 4, 6.5, 17.25], [10, 60 * factor, 80 * factor, 10])


Read = Callable[[Curve], Iterable[Row]]


def of(scope: str, read: Any = counter, times: list[float] = TIMES, source: str = "meter") -> Read:
    def readings(drawn: Curve) -> list[Row]:
        return [{**row, "source": source} for row in read(drawn, times, scope)]

    return readings


BOARD, CHIP, WALL = of("gpu_board"), of("chip_package"), of("wall")
GAP = of("gpu_board", times=[t for t in TIMES if not 8 < t < 11])
SHORT = of("gpu_board", times=every(2.0, 20))


def blocks(
    store: GoldenStore, name: str, factor: float, *reads: Read, count: int = 5, **columns: Any
) -> GoldenStore:
    """Trials around the factor, one a block."""
    for block, wobble in enumerate(WOBBLE[:count]):
        drawn = curve(factor * wobble)
        told = [IDLE, *(row for read in reads for row in read(drawn))]
        started = START + datetime.timedelta(minutes=block)
        own = {"block": block, "started_at": started, "requests": [CHAT], **columns}
        store.trial(f"{name}-{block}", readings=told, **own)
    return store


def two(
    *reads: Read, of_other: Iterable[Read] | None = None, factor: float = 1.2, **other: Any
) -> GoldenStore:
    store = blocks(GoldenStore(), "a", 1.0, *reads)
    return blocks(store, "b", factor, *(reads if of_other is None else of_other), **other or BIG)


def by_machine(con: duckdb.DuckDBPyConnection, *metrics: str, **asked: Any) -> Comparison:
    return compare(con, axis="machine", metrics=metrics or ("energy",), **asked)


def only_line(found: Comparison) -> Line:
    [group] = found.groups
    assert len(group.lines) == 2
    return group.lines[1]


@pytest.mark.parametrize(
    ("metric", "joules", "tokens"),
    [
        ("energy", 1010, 200),
        ("energy_prefill", 150, 1000),
        ("energy_decode", 860, 199),
        ("energy_net", 877.5, 200),
    ],
)
def test_each_energy_is_compared_per_token_and_more_is_more(
    opened: Opened, metric: str, joules: float, tokens: int
) -> None:
    found = by_machine(opened(two(BOARD)), metric)
    [group] = found.groups
    assert (group.metric, group.unit, group.scope) == (metric, "J/token", "gpu_board")
    assert group.baseline.value == pytest.approx(joules / tokens, rel=0.005)
    line = only_line(found)
    assert (line.verdict, line.trials, line.design) == ("more", 5, "these machines")
    idle = 132.5 if metric == "energy_net" else 0
    ratio = (1.2 * (joules + idle) - idle) / joules
    assert line.ratio == pytest.approx(ratio, rel=0.005)


def test_less_is_less_and_equal_is_the_same(opened: Opened) -> None:
    store = two(BOARD, factor=0.8)
    blocks(store, "c", 1.0, BOARD, **{**BIG, "machine": "twin", "machine_id": "machine-twin"})
    [group] = by_machine(opened(store)).groups
    assert {line.side: line.verdict for line in group.lines} == {
        "studio": None,
        "studio-256": "less",
        "twin": "same",
    }
    assert group.lines[1].cause == ""


def test_settings_of_one_machine_are_paired_by_block(opened: Opened) -> None:
    store = blocks(GoldenStore(), "a", 1.0, BOARD, num_batch=8)
    blocks(store, "b", 1.02, BOARD, num_batch=512)
    line = only_line(compare(opened(store), axis="num_batch", metrics=["energy_net"]))
    assert (line.side, line.design, line.verdict) == ("512", "paired", "more")


def test_scope_and_source_are_said_in_every_form(opened: Opened) -> None:
    board = of("gpu_board", source="nvml")
    found = by_machine(opened(two(board, of_other=[of("gpu_board", power, source="nvml")])))
    head, line = comparison_lines(found)[:2]
    assert head == (
        "gpt-oss:20b, chat, energy of gpu_board, against studio "
        "(5.05 J/token, n 5, by counter (nvml))"
    )
    assert line.split("  ")[1:3] == ["studio-256", "6.06 J/token"]
    assert "energy sources power (nvml) / counter (nvml)" in line
    table = "\n".join(comparison_markdown(found))
    assert "energy of gpu\\_board" in table
    assert "| read by |" in table
    assert "| power (nvml) |" in table
    [group] = to_json(found)["groups"]  # type: ignore[index]
    assert group["scope"] == "gpu_board"
    assert [each["source"] for each in group["lines"]] == ["counter (nvml)", "power (nvml)"]
    assert {each["scope"] for each in group["lines"]} == {"gpu_board"}


def test_each_scope_that_both_have_is_compared_by_itself(opened: Opened) -> None:
    def wall(drawn: Curve) -> Iterable[Row]:
        return WALL(Curve(drawn.times_s, [watts + 40 for watts in drawn.watts]))

    con = opened(two(BOARD, wall))
    found = by_machine(con)
    assert [group.scope for group in found.groups] == ["gpu_board", "wall"]
    values = [group.baseline.value for group in found.groups]
    assert values == pytest.approx([1010 / 200, (1010 + 530) / 200], rel=0.005)
    assert {line.trials for group in found.groups for line in group.lines} == {5}
    assert found.kept_apart == {}
    [only] = by_machine(con, where="energy_scope=wall").groups
    assert only.baseline == found.groups[1].baseline


def test_unlike_scopes_are_refused(opened: Opened) -> None:
    con = opened(two(BOARD, of_other=[CHIP, WALL]))
    found = by_machine(con)
    line = only_line(found)
    assert line.verdict == "not comparable"
    assert line.reasons[0] == "measured parts of the machine differ: chip_package against gpu_board"
    assert (found.refused, found.groups[0].scope) == (("energy_scope",), "")
    assert found.kept_apart == {}
    allowed = only_line(by_machine(con, allow_diff=["energy_scope"]))
    assert (allowed.verdict, allowed.trials) == ("more", 5)
    assert any(
        "measured parts of the machine chip_package / gpu_board" in r for r in allowed.reasons
    )


def test_a_side_that_shares_no_scope_with_others_that_do_is_refused_once(opened: Opened) -> None:
    store = two(BOARD, WALL)
    blocks(store, "c", 1.0, CHIP, **{**BIG, "machine": "odd", "machine_id": "machine-odd"})
    found = by_machine(opened(store), baseline="studio")
    assert [
        (group.scope, [(line.side, line.verdict) for line in group.lines[1:]])
        for group in found.groups
    ] == [
        ("gpu_board", [("odd", "not comparable"), ("studio-256", "more")]),
        ("wall", [("studio-256", "more")]),
    ]
    assert [line.scope for line in found.groups[0].lines] == [
        *("gpu_board", "chip_package", "gpu_board"),
    ]


def test_a_chips_own_estimate_is_compared_within_one_chip_only(opened: Opened) -> None:
    store = two(CHIP, **OTHER_CHIP)
    twin = {"machine": "twin", "machine_id": "machine-twin"}
    con = opened(blocks(store, "c", 1.2, CHIP, **twin))
    found = by_machine(con, baseline="studio")
    assert [(line.side, line.verdict) for line in found.groups[0].lines[1:]] == [
        ("studio-256", "not comparable"),
        ("twin", "more"),
    ]
    assert found.groups[0].lines[1].reasons[0] == (
        "chips that estimate their own energy differ: Apple M4 Max against Apple M3 Ultra"
    )
    allowed = by_machine(con, baseline="studio", allow_diff=["energy_estimate"])
    assert {line.verdict for line in allowed.sides()} == {"more"}


def test_boards_and_meters_of_unlike_chips_are_compared(opened: Opened) -> None:
    found = by_machine(opened(two(BOARD, WALL, **OTHER_CHIP)))
    assert {line.verdict for line in found.sides()} == {"more"}


def test_what_is_not_valid_is_no_value_and_says_why(opened: Opened) -> None:
    store = two(BOARD, of_other=[GAP])
    line = only_line(by_machine(opened(store)))
    assert (line.value, line.trials, line.verdict) == (None, 0, "not comparable")
    assert line.reasons == ("energy not valid: gap (5 of 5 trials)",)


def test_some_trials_that_are_not_valid_are_left_out_and_told(opened: Opened) -> None:
    store = two(BOARD)
    blocks(store, "c", 30, GAP, count=1, **BIG)
    blocks(store, "d", 30, count=1, **BIG)
    con = opened(store)
    found = by_machine(con)
    line = only_line(found)
    assert (line.trials, line.verdict) == (5, "more")
    assert line.ratio == pytest.approx(1.2, rel=0.01)
    assert "energy not valid: gap (1 of 6 trials)" in line.reasons
    assert found.kept_apart == {"studio-256 (no energy was read)": 1}
    both = by_machine(con, "decode", "energy")
    assert both.kept_apart == {"studio-256 (no energy was read)": 1}


def test_a_phase_too_short_for_its_readings_says_so(opened: Opened) -> None:
    quick = {"requests": [asked(4, 5, 17.25)]}
    store = blocks(GoldenStore(), "a", 1.0, BOARD, **quick)
    blocks(store, "b", 1.2, BOARD, **{**quick, **BIG})
    found = by_machine(opened(store), "energy_prefill", "energy_decode")
    prefill, decode = found.groups
    assert prefill.lines[1].verdict == "not comparable"
    [why] = prefill.lines[1].reasons
    assert why == "prefill energy not valid: few_readings (5 of 5 trials)"
    assert decode.lines[1].verdict == "more"


def test_a_side_without_energy_is_told_so(opened: Opened) -> None:
    line = only_line(by_machine(opened(two(BOARD, of_other=[]))))
    assert (line.value, line.verdict) == (None, "not comparable")
    assert line.reasons == ("no energy was read (5 of 5 trials)",)


def test_sides_without_energy_stand_beside_those_that_have_it_and_make_no_bout(
    opened: Opened,
) -> None:
    store = two(BOARD)
    for name in ("mute", "dumb"):
        blocks(store, name, 1.0, **{**BIG, "machine": name, "machine_id": f"machine-{name}"})
    [group] = by_machine(opened(store), baseline="studio").groups
    assert group.scope == "gpu_board"
    assert {line.side: line.verdict for line in group.lines[1:]} == {
        "dumb": "not comparable",
        "mute": "not comparable",
        "studio-256": "more",
    }


def test_without_any_energy_there_is_nothing_to_compare(opened: Opened) -> None:
    con = opened(two())
    with pytest.raises(UserError, match="no machine told its power while it was measured"):
        by_machine(con)
    assert by_machine(con, "decode").groups


def test_a_trial_without_an_idle_window_has_no_net_energy(opened: Opened) -> None:
    store = two(BOARD)
    store.readings = [row for row in store.readings if row["metric"] != "idle_window_s"]
    found = by_machine(opened(store), "energy", "energy_net")
    assert found.groups[0].lines[1].verdict == "more"
    assert found.groups[1].lines[1].reasons == ("no idle power was read (5 of 5 trials)",)


def test_lengths_must_be_alike_where_they_count(opened: Opened) -> None:
    longer = {**CHAT, "output_tokens": 400, "output_tokens_asked": None}
    store = two(BOARD, **{**BIG, "requests": [longer]})
    found = by_machine(opened(store), "energy", "energy_decode")
    assert found.groups[0].lines[1].reasons[0] == "output tokens differ: 400 against 200"
    assert found.groups[1].lines[1].verdict == "less"


def test_speeds_and_energies_are_one_family_and_each_request_is_counted_once(
    opened: Opened,
) -> None:
    store = two(BOARD, WALL, requests=[CHAT, {**CHAT, "error": "x"}], **BIG)
    blocks(store, "c", 1.2, BOARD, WALL, count=1, power_source="battery", **BIG)
    found = by_machine(opened(store), "decode", "energy")
    assert [(g.metric, g.scope) for g in found.groups] == [
        ("decode", ""),
        ("energy", "gpu_board"),
        ("energy", "wall"),
    ]
    assert found.family == 3
    assert found.requests_left_out == 5
    assert found.kept_apart == {"studio-256 (on_battery)": 1}


def test_a_question_without_energy_reads_no_readings(opened: Opened) -> None:
    con = opened(two(BOARD))
    con.execute("drop view energy")
    con.execute("drop view energy_of_requests")
    con.execute("drop view energy_steps")
    con.execute("drop view raw_readings")
    variants = read_variants(con, "machine", (), "", None)
    assert len(variants) == 2
    assert not any(name.startswith("energy") for variant in variants for name in variant.facts)
    assert only_line(by_machine(con, "decode")).verdict == "same"


def test_results_of_one_experiment_tell_its_energy_and_no_others(opened: Opened) -> None:
    store = two(BOARD, of_other=[GAP])
    blocks(store, "else", 9.0, BOARD, WALL, experiment="else")
    blocks(store, "hot", 9.0, WALL, experiment="else", power_source="battery")
    con = opened(store)
    studio, other = results(con, "golden")
    assert studio.joules_per_token == {"gpu_board": pytest.approx(1010 / 200, rel=0.005)}
    assert other.joules_per_token == {}
    lines = results_lines([studio, other])
    assert "J/token" in lines[0]
    assert lines[3].startswith("rates in tokens/s, J/token of gpu_board, medians")
    assert len(rows(con, "select distinct attempt_id from readings")) == 10
    [elsewhere, hot] = results(con, "else")
    assert (hot.flags, hot.joules_per_token.keys()) == ("on_battery", {"wall"})
    assert elsewhere.joules_per_token.keys() == {"gpu_board", "wall"}
    assert " gpu_board, " in results_lines([elsewhere])[1]
    assert "J/token" not in results_lines(results(con))[0]


def test_the_scope_is_no_column_where_no_energy_is_asked(opened: Opened) -> None:
    with pytest.raises(UnknownName, match="energy_scope: unknown column"):
        by_machine(opened(two(BOARD)), "decode", where="energy_scope=wall")
