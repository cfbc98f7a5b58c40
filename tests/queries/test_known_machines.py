"""Machines that an experiment may mean although they are not there: from store, queue, wishes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fleet.app.known_machines import MachineLook, absent_machines, known_machines
from fleet.app.options import Options
from fleet.model.experiment import Request, Selector
from fleet.query.open_store import open_store, rows
from fleet.query.views import question
from tests.builders_compare import GoldenStore
from tests.builders_flow import experiment as scripted
from tests.builders_flow import machine as script
from tests.builders_plan import machine, request


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """`mine` was measured in experiment x, `old` in another, `sim` by scripts, `box` imported."""
    store = GoldenStore()
    store.trial("1", experiment="x", machine_id="id-mine", machine="was-called")
    store.trial("2", experiment="x", machine_id="id-mine", machine="mine", session=1)
    store.trial("2b", experiment="x", machine_id="id-sold", machine="sold", session=0)
    store.trial("3", experiment="y", machine_id="id-old", machine="old")
    store.trial("4", experiment="x", machine_id="id-sim", machine="sim", engine="simulated")
    store.trial("5", experiment="x", machine_id="id-box", machine="box", imported=True)
    store.write(tmp_path / "results")
    return tmp_path


def test_every_machine_of_one_kind_of_engine_by_its_last_name(home: Path) -> None:
    con = open_store([home / "results"], ["trials"], ["trials"])
    found = rows(con, question("machines_before"), ["x", "ollama", 1])
    names = ("machine_id", "machine", "of_experiment", "of_session")
    assert [tuple(row[name] for name in names) for row in found] == [
        ("id-mine", "mine", True, True),
        ("id-old", "old", False, False),
        ("id-sold", "sold", True, False),
    ]
    assert all(row["last_seen"] for row in found)
    con.close()


def known(home: Path, wanted: Request, **changes: Any) -> dict[str, bool]:
    """Name to whether its trials count as asked for."""
    options = replace(
        Options(home=home, ray_address="10.0.0.1:6379", declared={"new": {"memory_gb": 96}}),
        **changes,
    )
    queued = [("queued", "id-queued", True), ("cancelled", "id-cancelled", False)]
    machines = known_machines(wanted, options, 1, queued)
    return {each.name: each.expected for each in machines}


def test_a_fleet_means_its_own_machines_and_names_those_of_other_experiments(home: Path) -> None:
    here = {"mine": True, "sold": False, "queued": True, "cancelled": False}
    assert known(home, request()) == {**here, "old": False, "new": True}


def test_without_a_head_only_this_experiments_machines_are_meant(home: Path) -> None:
    here = {"mine": True, "sold": False, "queued": True, "cancelled": False}
    assert known(home, request(), ray_address=None) == here


def test_a_machine_that_is_named_is_asked_for_wherever_it_is_known_from(home: Path) -> None:
    named = request(machines=("old", "new"))
    assert known(home, named)["old"]
    assert known(home, named, ray_address=None)["old"]


def test_a_simulated_experiment_means_its_script(home: Path) -> None:
    engine = scripted({"sim": script(), "lost": script(), "never": script()})["engine"]
    options = Options(home=home, ray_address="10.0.0.1:6379")
    machines = known_machines(
        request(engine=engine), options, 0, [("lost", "id-lost", True), ("gone", "id-gone", True)]
    )
    assert [(m.name, m.machine_id, m.expected) for m in machines] == [
        ("sim", "id-sim", True),
        ("lost", "id-lost", True),
        ("never", None, True),
    ]


def test_without_a_store_only_wishes_are_known(tmp_path: Path) -> None:
    wishes = {"queued": True, "cancelled": False, "new": True}
    assert known(tmp_path / "nowhere", request()) == wishes


def away(home: Path, look: MachineLook, **fields: Any) -> list[str]:
    wanted = request(**fields)
    options = Options(home=home, ray_address="10.0.0.1:6379")
    return [
        str(each)
        for each in absent_machines(wanted, options, known_machines(wanted, options, 1, ()), look)
    ]


def test_each_absent_machine_has_a_reason_and_what_to_type(home: Path) -> None:
    look = MachineLook(
        machines=[machine("here")],
        silent={"late": "it did not tell in time what it is, twice"},
        busy={"old": "old is measuring demo since 14:02"},
    )
    told = away(home, look)
    assert told[0].startswith("late: it did not tell in time what it is, twice; on late: fleet ")
    assert told[1].startswith("mine: it is not joined now, last measured 2026-")
    assert told[1].endswith("; on mine: fleet join 10.0.0.1")
    assert told[2] == "old is measuring demo since 14:02"
    assert told[3].startswith("sold: it is not joined now")


def test_of_a_joined_machine_that_tells_nothing_a_clause_cannot_be_judged(home: Path) -> None:
    """It is named, but nobody counts its trials as asked for."""
    look = MachineLook(machines=[machine("here")], silent={"late": "it did not answer"}, busy={})
    wanted = request(machines={"memory_gb": ">=96"})
    assert isinstance(wanted.experiment.machines, Selector)
    options = Options(home=home, ray_address="10.0.0.1:6379")
    [late] = absent_machines(wanted, options, known_machines(wanted, options, 1, ()), look)
    assert (late.name, late.known.expected) == ("late", False)


def test_of_several_names_only_those_meant_are_told(home: Path) -> None:
    assert (
        away(home, MachineLook(machines=[machine("here")], silent={}, busy={}), machines=("here",))
        == []
    )
