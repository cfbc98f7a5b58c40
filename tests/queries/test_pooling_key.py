"""A column that joins the pooling key is in every reader of it, from the views to a resume."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from fleet import comparability
from fleet.comparability import KeyColumn
from fleet.plan.expand import expand
from fleet.plan.resume import remaining
from fleet.query.open_store import WITH_READINGS, open_store, rows
from fleet.query.results import results
from fleet.query.views import views_sql
from fleet.store.parquet import ParquetStore
from tests import builders_plan, builders_store
from tests.builders_compare import GoldenStore, compare
from tests.builders_energy import Curve, asked, counter, every

CHIPS = ("chip A", "chip B")


@pytest.fixture
def chip_is_in_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    column = KeyColumn("chip", "chip", "hardware", short="chip", measured_again=True)
    monkeypatch.setattr(comparability, "POOLING_KEY", (*comparability.POOLING_KEY, column))


def measured_on_two_chips(tmp_path: Path) -> Path:
    """One trial of each of two cells, measured again after the chip has changed."""
    store = GoldenStore()
    readings = counter(Curve([0, 4, 6.5, 17.25], [10, 60, 80, 10]), every(0.2, 20, 0.07))
    for fence, chip in enumerate(CHIPS):
        for batch in (8, 512):
            for block in (0, 1):
                store.trial(
                    f"{batch}-{block}",
                    requests=[asked(4, 6.5, 17.25)],
                    readings=readings,
                    fence=fence,
                    chip=chip,
                    num_batch=batch,
                    block=block,
                    submission_id="submission",
                )
    return store.write(tmp_path / "results")


def cells(folder: Path) -> list[tuple[Any, ...]]:
    with closing(open_store([folder], WITH_READINGS)) as con:
        return [
            (row.state, row.trials, sorted(row.joules_per_token)) for row in results(con, "golden")
        ]


def test_without_it_the_second_measurement_is_a_copy_of_the_first(tmp_path: Path) -> None:
    folder = measured_on_two_chips(tmp_path)
    assert cells(folder) == [("", 2, ["gpu_board"])] * 2
    with closing(open_store([folder])) as con:
        assert compare(con, axis="num_batch").kept_apart == {}


@pytest.mark.usefixtures("chip_is_in_the_key")
def test_views_results_energy_and_comparison_keep_its_values_apart(tmp_path: Path) -> None:
    folder = measured_on_two_chips(tmp_path)
    assert cells(folder) == [(f"chip {chip}", 2, ["gpu_board"]) for chip in CHIPS] * 2
    with closing(open_store([folder])) as con:
        assert len(rows(con, "from attempts")) == 8
        assert compare(con, axis="num_batch").kept_apart == {
            f"{batch} (in another state: chip chip A)": 2 for batch in ("512", "8")
        }


@pytest.mark.usefixtures("chip_is_in_the_key")
def test_the_text_of_the_views_for_others_has_it() -> None:
    text = views_sql()
    assert "gpu_driver, measured_over, chip, flags,\n  any_value(model_format)" in text, (
        "the view cells"
    )
    assert "hardware_id, chip,\n    coalesce(submission_id" in text, "the view attempts"
    assert not {"{pooling_key}", "{measured_again}"} & set(re.findall(r"{\w+}", text))


@pytest.mark.usefixtures("chip_is_in_the_key")
def test_a_trial_that_was_measured_on_another_value_is_measured_again(tmp_path: Path) -> None:
    here = builders_plan.machine(models=[builders_plan.model("tiny")], chip="chip B")
    plan = expand(builders_plan.request(repeats=1), [here])
    [trial] = plan.trials()
    same = remaining(plan, [builders_plan.past(trial, here, chip="chip B")])
    other = remaining(plan, [builders_plan.past(trial, here, chip="chip A")])
    assert (same.attempts, other.changes()) == ({}, {"chip chip A -> chip B": 1})


@pytest.mark.usefixtures("chip_is_in_the_key")
def test_the_store_tells_its_value_of_past_attempts(tmp_path: Path) -> None:
    store = ParquetStore(tmp_path / "results")
    store.write(builders_store.result(1))
    [attempt] = store.attempts("e")
    assert attempt.state["chip"] == "Apple M3 Ultra"
