"""The A/A control beside an experiment: its floor holds for its cells, and it is told."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import pytest

from fleet.compare.noise import noise_floors
from fleet.compare.result import Comparison
from fleet.query.open_store import open_store
from fleet.query.results import results
from fleet.report.comparison_text import comparison_lines, comparison_markdown, to_json
from tests.builders_compare import START, GoldenStore, compare, request

CALM = (1.0, 1.001, 0.999, 1.0005, 0.9995)
NOISY = (1.0, 1.04, 0.96, 1.03, 0.97)


def cells(store: GoldenStore, factors: Sequence[float] = CALM, **columns: Any) -> GoldenStore:
    """81920 is as fast as the default."""
    for block, factor in enumerate(factors):
        for limit in ("default", "81920"):
            add(store, f"{limit}-{block}", 100 * factor, block, wired_limit_mb=limit, **columns)
    return store


def control(
    store: GoldenStore,
    of_a: Sequence[float],
    of_b: Sequence[float],
    name: str = "",
    **columns: Any,
) -> GoldenStore:
    for side, factors in (("a", of_a), ("b", of_b)):
        for block, factor in enumerate(factors):
            own = {"role": "noise", "side": side, "wired_limit_mb": "default", **columns}
            add(store, f"{name}{side}-{block}", 100 * factor, block, **own)
    return store


def add(store: GoldenStore, name: str, rate: float, block: int, **columns: Any) -> None:
    started = START + datetime.timedelta(minutes=block)
    store.trial(
        f"{name}-{len(store.trials)}", decode=rate, block=block, started_at=started, **columns
    )


def compared(con: duckdb.DuckDBPyConnection) -> Comparison:
    where = "experiment=golden"
    return compare(con, axis="wired_limit_mb", metrics=["decode"], where=where, floors=noise_floors)


def opened(store: GoldenStore, folder: Path) -> duckdb.DuckDBPyConnection:
    return open_store([store.write(folder / "results")])


def test_the_verdict_stands_on_the_noise_of_the_control(tmp_path: Path) -> None:
    store = control(cells(GoldenStore()), NOISY, tuple(reversed(NOISY)))
    [group] = compared(opened(store, tmp_path)).groups
    line = group.lines[1]
    assert line.noise_floor == pytest.approx(0.034, abs=0.003)
    assert line.estimate is not None
    assert line.estimate.floored
    assert line.verdict == "not resolved", "without the control these calm trials would be same"
    alone = compared(opened(cells(GoldenStore()), tmp_path / "alone"))
    assert alone.groups[0].lines[1].verdict == "same"
    assert alone.groups[0].controls == ()


def test_what_the_control_gave_is_told(tmp_path: Path) -> None:
    store = control(cells(GoldenStore()), CALM, (1.002, 1.003, 0.999, 1.002, 0.999))
    found = compared(opened(store, tmp_path))
    [told] = found.groups[0].controls
    assert (told.machine, told.cell, told.trials, told.gave) == ("studio", "default", 10, "same")
    text = "\n".join(comparison_lines(found))
    assert "  control on studio (default against default): 1.001 x, 1.000 to 1.002, n 10: same" in (
        text
    )
    assert "control, the same cell measured twice more in the same blocks: 1 of 1 same" in text
    assert "default against default" in "\n".join(comparison_markdown(found))
    data: Any = to_json(found)
    assert data["groups"][0]["controls"][0]["gave"] == "same"


def test_a_machine_that_differs_from_itself_is_not_trusted(tmp_path: Path) -> None:
    store = control(cells(GoldenStore()), CALM, [factor * 1.1 for factor in CALM])
    found = compared(opened(store, tmp_path))
    assert found.groups[0].controls[0].gave == "not itself"
    assert found.footer[-1] == (
        "studio differed from itself by 10.0 %: trust no difference there that is not much larger"
    )


def test_a_control_holds_for_its_own_experiment_model_and_session_alone(tmp_path: Path) -> None:
    store = control(cells(GoldenStore()), CALM, CALM)
    for other in ({"experiment": "other"}, {"model": "b"}, {"session": 3}):
        cells(store, **other)
        control(store, NOISY, NOISY, name=str(other), **other)
    floors = noise_floors(opened(store, tmp_path))
    assert len(floors) == 4 * 2
    assert all(len(key) > 2 for key in floors), "none of them is a floor of the machine at large"


def test_a_run_that_is_all_aa_is_the_floor_of_the_machine(tmp_path: Path) -> None:
    store = control(cells(GoldenStore()), NOISY, NOISY, name="n", experiment="noise-golden")
    con = opened(store, tmp_path)
    assert ("machine-studio", "decode") in noise_floors(con)
    [group] = compared(con).groups
    assert group.lines[1].noise_floor == pytest.approx(0.034, abs=0.003)
    assert group.controls == ()


def test_machines_have_each_their_own_control(tmp_path: Path) -> None:
    big = {"machine_id": "machine-big", "machine": "big", "hardware_id": "hardware-2"}
    store = control(cells(GoldenStore()), CALM, CALM)
    cells(store, **big)
    control(store, CALM, CALM, name="big-", **big)
    found = compare(
        opened(store, tmp_path), axis="machine", metrics=["decode"], floors=noise_floors,
        where="wired_limit_mb=default",
    )  # fmt: skip
    [group] = found.groups
    assert [(each.machine, each.cell) for each in group.controls] == [("big", ""), ("studio", "")]
    assert "control on big (the same cell twice)" in "\n".join(comparison_lines(found))


def test_what_is_left_out_of_a_control_is_no_result(tmp_path: Path) -> None:
    """Nor of a canary, whose cell nobody asked for."""
    store = cells(GoldenStore())
    cut = [{**request(), "error": "gone"}]
    add(store, "a", 100, 0, role="noise", side="a", wired_limit_mb="default", requests=cut)
    add(store, "c", 100, 0, role="canary", settings="num_ctx=1024", requests=cut)
    found = results(opened(store, tmp_path), "golden")
    assert [(row.trials, dict(row.left_out)) for row in found] == [(5, {}), (5, {})]
