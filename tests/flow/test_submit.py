"""fleet submit on simulated machines: to a verdict, again, in part, within a time."""

from __future__ import annotations

import re
from pathlib import Path

from tests.builders_flow import Done, Fleet, experiment, machine, names


def test_a_first_submit_goes_to_a_verdict(first: tuple[Fleet, Done]) -> None:
    fleet, done = first
    told = done.err.splitlines()
    assert told[0] == f"results, ledger and spool: {fleet.store}"
    assert told[1].startswith("demo   1 model x 1 job on 2 machines, 2 repeats in random blocks")
    for name in ("alpha", "beta"):
        for block in (1, 2):
            assert sum(line.startswith(f"{name}: block {block}  tiny") for line in told) == 1
    assert done.out.splitlines()[0].split()[:3] == ["machine", "model", "test"]
    assert "against alpha" in done.out
    assert "slower" in done.out
    assert "fleet compare demo --by machine" in done.out
    assert "block 1" not in done.out, "events are no data"
    assert len([name for name in fleet.parquet() if name.startswith("trials/")]) == 4
    assert fleet.spooled() == [], "what is stored is forgotten on the node"


def test_a_second_submit_measures_nothing(measured: Fleet, tmp_path: Path) -> None:
    fleet = measured.copied_to(tmp_path)
    before = fleet.parquet()
    done = fleet("submit", "configs/demo.yaml")
    assert "4 trials are finished already, 0 to go" in done.err
    assert "nothing to do: every trial is finished (--again measures all of them again)" in done.err
    assert "slower" in done.out
    assert fleet.parquet() == before


def test_again_and_only(measured: Fleet, tmp_path: Path) -> None:
    fleet = measured.copied_to(tmp_path)
    again = fleet("submit", "configs/demo.yaml", "--again", "--only", "machine=alpha")
    table = again.out.partition("rates in")[0]
    assert ("session" in table, "beta" in table) == (False, False), "only what it has measured"
    assert "session" in fleet("results").out
    trials = "select machine, session, count(*) as n from trials group by all order by all"
    assert [tuple(row.values()) for row in fleet.rows(trials)] == [
        ("alpha", 0, 2),
        ("alpha", 1, 2),
        ("beta", 0, 2),
    ]
    rest = fleet("submit", "configs/demo.yaml")
    assert "2 trials are finished already, 2 to go" in rest.err
    assert "alpha: block" not in rest.err
    assert [tuple(row.values()) for row in fleet.rows(trials)][-1] == ("beta", 1, 2)
    status = fleet("status", "demo", "--json").json()
    assert [(s["machine"], s["state"], s["trials"]) for s in status[0]["states"]] == [
        ("alpha", "done", 2),
        ("beta", "done", 2),
    ], "the trials of the session before are no part of this one"


def test_repeats_add_what_is_missing_to_them(measured: Fleet, tmp_path: Path) -> None:
    fleet = measured.copied_to(tmp_path)
    words = ("submit", "configs/demo.yaml", "--only", "machine=alpha", "--repeats", "3")
    done = fleet(*words)
    assert "2 trials are finished already, 1 to go" in done.err
    assert "alpha: block 3" in done.err
    assert fleet.rows("select count(*) as n from trials") == [{"n": 5}]


def test_a_budget_too_short_is_refused(measured: Fleet, tmp_path: Path) -> None:
    fleet = measured.copied_to(tmp_path)
    before = fleet.parquet()
    done = fleet("submit", "configs/demo.yaml", "--again", "--budget", "0.01s", code=2)
    assert "no block would end within" in done.err
    assert "the shortest takes about" in done.err
    assert fleet.parquet() == before
    assert fleet("status", "--json").json()[0]["session"] == 0


def test_what_is_known_closely_enough_is_not_measured_further(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path)
    fleet.write(
        experiment(
            {"alpha": machine()},
            settings={"num_ctx": 1024, "num_batch": [128, 512]},
            repeats={"least": 2, "most": 20, "half_width_percent": 50},
        )
    )
    done = fleet("submit", "configs/demo.yaml")
    assert "trials not needed: known closely enough" in done.err
    states = {row["state"]: row for row in fleet("status", "--json").json()[0]["states"]}
    assert set(states) == {"done", "not needed"}
    assert 4 <= states["done"]["trials"] < 20
    assert states["done"]["trials"] + states["not needed"]["trials"] == 40
    assert states["not needed"]["reason"] == "known closely enough"
    assert fleet.rows("select count(*) as n from trials") == [{"n": states["done"]["trials"]}]
    assert "not needed" in fleet("status").out
    again = fleet("submit", "configs/demo.yaml")
    assert "nothing to do: all is known closely enough" in again.err
    assert fleet.rows("select count(*) as n from trials") == [{"n": states["done"]["trials"]}]


def test_one_cell_goes_on_until_it_is_known_and_what_was_not_reached_is_said(
    tmp_path: Path,
) -> None:
    """Eight more trials would not do at such a noise; a wide target is reached at the least."""
    repeats = {"least": 2, "most": 4, "half_width_percent": 1}
    fleet = Fleet(tmp_path)
    fleet.write(experiment({"alpha": machine(noise_percent=30)}, repeats=repeats))
    done = fleet("submit", "configs/demo.yaml")
    assert "known closely enough" not in done.err
    assert "4 trials asked for: 4 measured" in done.err
    assert "not known within 1 % as asked (half of the 95 % interval):" in done.out
    assert re.search(r"^  tiny exact on alpha: known within \d+ % \(\w+\)$", done.out, re.M)
    wide = experiment({"alpha": machine()}, repeats={**repeats, "half_width_percent": 500})
    done = fleet("submit", fleet.write({**wide, "name": "wide"}, "wide"))
    [line] = [line for line in done.err.splitlines() if "trials asked for" in line]
    asked, *counts = (int(number) for number in re.findall(r"\d+", line))
    assert asked == sum(counts) == 4
    assert "not known within" not in done.out


def test_a_plan_touches_nothing(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path)
    fleet.write(experiment({"alpha": machine()}, models=["tiny", "absent"]))
    told = fleet("plan", "configs/demo.yaml").out
    assert told.startswith("demo   2 models x 1 job on 1 machine, 2 repeats in random blocks")
    assert "pulls absent" in told
    assert "pp512, tg128" in told
    plan = fleet("plan", "configs/demo.yaml", "--json").json()
    assert len(plan["machines"][0]["trials"]) == 4
    assert names(plan["machines"][0]["trials"], "block") == {0, 1}
    assert not fleet.store.exists()
    assert list((tmp_path / "home").iterdir()) == []
