"""Machines with scripted power curves, measured and compared: the verdict against the script."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from fleet.model.machine import EnergyScope
from tests.builders_energy import plug
from tests.builders_flow import Fleet, experiment, machine, model

PREFILL_S, DECODE_S = 1.5, 1.6
"""Of 600 and of 257 tokens, at the speeds below: 256 steps follow the first token."""
TOKENS = 257
JOB = {
    "name": "long",
    "api": "generate",
    "requests": 1,
    "warmup": 0,
    "points": [{"prompt_tokens": 600, "output_tokens": TOKENS}],
}
FRUGAL = {"idle_w": 10, "prefill_w": 60, "decode_w": 80}
HUNGRY = {"idle_w": 10, "prefill_w": 60, "decode_w": 140}
RATIO = (60 * PREFILL_S + 140 * DECODE_S) / (60 * PREFILL_S + 80 * DECODE_S)

SCOPES = get_args(EnergyScope)


@pytest.fixture(scope="module")
def metered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Two boards, a chip that estimates itself, and a machine that nobody reads."""
    fleet = Fleet(tmp_path_factory.mktemp("metered"))
    speeds = {"tiny": model(prefill_tokens_per_s=400, decode_tokens_per_s=160)}
    # Machines that vary by nothing would be told apart by a thousandth.
    plain = {"noise_percent": 1, "models": speeds}
    machines = {
        "frugal": machine(power=FRUGAL, **plain),
        "hungry": machine(power=HUNGRY, **plain),
        "chip": machine(power={**FRUGAL, "scope": "chip_package"}, **plain),
        "untold": machine(**plain),
    }
    (fleet.folder / "jobs" / "long.yaml").write_text(json.dumps(JOB))
    telemetry = {"power_s": 0.1, "idle_s": 0.5}
    asked = experiment(machines, jobs=["long"], repeats=3, telemetry=telemetry)
    done = fleet("submit", fleet.write(asked), "--yes")
    assert "fleet energy show demo" in done.out
    yield fleet
    fleet.clear()


def compare(fleet: Fleet, *words: str, code: int = 0) -> dict[str, Any]:
    found = fleet("compare", "--by", "machine", *words, "--json", code=code).json()
    assert isinstance(found, dict)
    return found


def only_line(found: dict[str, Any]) -> dict[str, Any]:
    [group] = found["groups"]
    [_, line] = group["lines"]
    return dict(line)


def test_the_verdict_of_energy_is_the_scripts(metered: Fleet) -> None:
    words = ("frugal", "hungry", "--metric", "energy")
    found = compare(metered, *words, code=1)
    line = only_line(found)
    assert (line["verdict"], line["trials"]) == ("more", 3)
    # What a busy host adds to a phase, it adds on both sides.
    assert line["ratio"] == pytest.approx(RATIO, rel=0.05)
    assert (line["scope"], line["source"]) == ("gpu_board", "counter (machine script)")
    baseline = found["groups"][0]["lines"][0]
    assert baseline["value"] == pytest.approx((60 * PREFILL_S + 80 * DECODE_S) / TOKENS, rel=0.05)
    printed = metered("compare", "--by", "machine", *words, code=1).out
    assert "energy of gpu_board, against frugal (" in printed
    assert "  more" in printed


def test_the_split_is_the_scripts_too(metered: Fleet) -> None:
    words = ("frugal", "hungry", "--same-within", "10", "--metric")
    decode = only_line(compare(metered, *words, "energy_decode", code=1))
    assert (decode["verdict"], decode["ratio"]) == ("more", pytest.approx(140 / 80, rel=0.05))
    prefill = only_line(compare(metered, *words, "energy_prefill"))
    assert prefill["ratio"] == pytest.approx(1, rel=0.05)
    assert prefill["verdict"] in ("same", "not resolved")


def test_exit_codes_know_less_and_more(metered: Fleet) -> None:
    words = ("frugal", "hungry", "--metric", "energy")
    compare(metered, *words, "--fail-if", "slower")
    compare(metered, *words, "--fail-if", "more", code=1)
    less = only_line(compare(metered, *words, "--baseline", "hungry"))
    assert less["verdict"] == "less"
    compare(metered, *words, "--baseline", "hungry", "--fail-if", "different", code=1)


def test_unlike_parts_of_two_machines_are_refused(metered: Fleet) -> None:
    words = ("compare", "--by", "machine", "frugal", "chip", "--metric", "energy")
    refused = metered(*words, code=2)
    assert (
        "not comparable  measured parts of the machine differ: chip_package against gpu_board"
        in refused.out
    )
    assert "nothing is comparable: energy_scope differ" in refused.err
    metered(*words[:-1], "decode")


def test_a_machine_that_nobody_read_has_no_energy(metered: Fleet) -> None:
    words = ("compare", "--by", "machine", "frugal", "untold", "--metric", "energy")
    told = metered(*words, code=2)
    assert "not comparable  no energy was read (3 of 3 trials)" in told.out
    assert "--allow-diff" not in told.err


def test_the_logs_of_two_wall_meters_are_compared(metered: Fleet, tmp_path: Path) -> None:
    fleet = metered.copied_to(tmp_path)
    for name, watts in (("frugal", 150.0), ("untold", 300.0)):
        log = plug(fleet, name, watts, f"{name}.csv")
        fleet("energy", "import", str(log), "--machine", name)
    found = compare(fleet, "frugal", "untold", "--metric", "energy", code=1)
    line = only_line(found)
    assert (found["groups"][0]["scope"], line["verdict"]) == ("wall", "more")
    assert line["ratio"] == pytest.approx(2, rel=0.05)
    assert line["source"].startswith("power (wall meter untold.csv ")


def test_results_tell_the_energy_of_each_cell(metered: Fleet) -> None:
    lines = metered("results", "demo").out.splitlines()
    assert "J/token" in lines[0]
    scopes = {line.split()[0]: [s for s in SCOPES if f" {s} " in line] for line in lines[1:5]}
    assert scopes == {
        "frugal": ["gpu_board"],
        "hungry": ["gpu_board"],
        "chip": ["chip_package"],
        "untold": [],
    }
    cells = {
        row["machine"]: row["joules_per_token"]
        for row in metered("results", "demo", "--json").json()
    }
    assert cells["untold"] == {}
    truth = (60 * PREFILL_S + 140 * DECODE_S) / TOKENS
    assert cells["hungry"] == {"gpu_board": pytest.approx(truth, rel=0.05)}
