"""A damaged store: what is damaged is named, set aside, and measured again."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import pytest

from tests.builders_flow import Fleet, experiment, machine


@pytest.fixture
def measured(fleet: Fleet) -> Fleet:
    done = fleet("submit", fleet.write(experiment({"a": machine(), "b": machine()}, repeats=1)))
    assert "2 trials asked for: 2 measured" in done.err
    return fleet


def requests(fleet: Fleet) -> list[Path]:
    folder = fleet.store / "results" / "current" / "requests"
    return sorted(path for path in folder.iterdir() if path.name != "_schema.parquet")


def test_a_whole_store_is_said_to_be_whole(measured: Fleet) -> None:
    assert "nothing is damaged" in measured("store", "verify").out
    assert measured("store", "repair", "--json").json()["files"] == []


def test_what_is_damaged_is_set_aside_and_measured_again(measured: Fleet) -> None:
    path = requests(measured)[0]
    os.truncate(path, path.stat().st_size // 2)

    refused = measured("results", code=2)
    assert str(path.name) in refused.err
    hint = refused.err.split("set it aside, then ask again: fleet ")[1].splitlines()[0]

    verified = measured("store", "verify", code=1, env={"COLUMNS": "80"})
    assert f"requests/{path.name}" in verified.out.replace("\n", "")
    assert all(len(line) <= 80 for line in verified.out.splitlines())
    [named] = measured("store", "verify", "--json", code=1).json()["damaged"]
    assert named["path"] == f"requests/{path.name}"

    repaired = measured(*shlex.split(hint))
    assert "not counted any more: 1 trial" in repaired.out
    assert "fleet submit demo" in repaired.out
    assert "nothing is damaged" in measured("store", "verify").out
    assert len(measured.rows("from trials")) == 1

    again = measured("submit", "configs/demo.yaml")
    assert "1 measured" in again.err
    assert len(measured.rows("from trials")) == 2
    assert "nothing is damaged" in measured("store", "verify").out


def test_a_home_without_results_says_what_to_type(fleet: Fleet) -> None:
    for command in ("verify", "repair"):
        refused = fleet("store", command, code=2)
        assert "no results here" in refused.err
        assert "measure first: fleet submit" in refused.err
    assert not (fleet.store / "results").exists()
