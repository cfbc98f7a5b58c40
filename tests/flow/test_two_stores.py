"""One machine measured into two stores, and copies of them, read together from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.builders_flow import Done, Fleet, experiment, machine, model


def again_elsewhere(folder: Path) -> Fleet:
    """The experiment of `first`, asked in another home: the same ids, on a day of more speed."""
    fleet = Fleet(folder)
    quick = {"tiny": model(decode_tokens_per_s=2_400)}
    half = {"tiny": model(prefill_tokens_per_s=10_000, decode_tokens_per_s=1_200)}
    machines = {"alpha": machine(models=quick), "beta": machine(memory_gb=128, models=half)}
    fleet("submit", fleet.write(experiment(machines)))
    return fleet


def told(fleet: Fleet, *stores: Path) -> list[dict[str, Any]]:
    """Without the spread, whose last digit depends on the order in which a sum is made."""
    words = [word for store in stores for word in ("--store", str(store))]
    found: list[dict[str, Any]] = fleet("results", "--json", *words).json()
    return [{k: v for k, v in row.items() if k != "spread_percent"} for row in found]


def test_both_count_and_a_copy_does_not(first: tuple[Fleet, Done], tmp_path: Path) -> None:
    one, other = first[0], again_elsewhere(tmp_path / "other")
    copy = one.copied_to(tmp_path / "copy")
    ids = "select distinct submission_id as id from trials"
    submissions = [fleet.rows(ids) for fleet in (one, other, copy)]
    assert [len(rows) for rows in submissions] == [1, 1, 1]
    assert submissions[0] == submissions[2] != submissions[1]
    assert one.rows("select count(*) as n from requests where submission_id is null") == [{"n": 0}]
    alone = told(one, one.store)
    assert told(one, one.store, copy.store) == told(one, copy.store, one.store) == alone
    both = told(one, one.store, copy.store, other.store)
    assert both == told(one, other.store, one.store, copy.store)
    assert [row["trials"] for row in both] == [2 * row["trials"] for row in alone]
    medians = [
        {row["test"]: row["decode_tokens_per_s"] for row in rows if row["machine"] == "alpha"}
        for rows in (alone, told(one, other.store), both)
    ]
    low, high = sorted(rates["tg128"] for rates in medians[:2])
    assert low < medians[2]["tg128"] < high
    stores = ("--store", str(one.store), "--store", str(other.store))
    home_and_store = ("--home", str(one.store), "--store", str(other.store))
    assert one("results", *home_and_store).out == one("results", *stores).out
    shown = one("show", both[0]["id"], *stores).out
    assert "2 times under this id; the newest is shown" in shown
    compared = one("compare", "--by", "machine", *stores, code=1).out
    assert "n 4" in compared
