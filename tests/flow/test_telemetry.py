"""A machine with a scripted power curve, measured through its worker: joules against the script."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.builders_energy import plug
from tests.builders_flow import Done, Fleet, experiment, machine, model

POWER = {"idle_w": 10, "prefill_w": 60, "decode_w": 80}
PREFILL_S, DECODE_S = 3.0, 3.2
"""Of 600 and of 257 tokens, at the speeds below: 256 steps follow the first token."""
JOB = {
    "name": "long",
    "api": "generate",
    "requests": 1,
    "warmup": 0,
    "points": [{"prompt_tokens": 600, "output_tokens": 257}],
}


@pytest.fixture(scope="module")
def metered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Fleet, Done]]:
    fleet = Fleet(tmp_path_factory.mktemp("metered"))
    speeds = {"tiny": model(prefill_tokens_per_s=200, decode_tokens_per_s=80)}
    plain = {"noise_percent": 0, "models": speeds}
    machines = {
        "counter": machine(power=POWER, **plain),
        "sensor": machine(power={**POWER, "counter": False}, **plain),
        "untold": machine(**plain),
    }
    (fleet.folder / "jobs" / "long.yaml").write_text(json.dumps(JOB))
    asked = experiment(machines, jobs=["long"], repeats=1, telemetry={"idle_s": 1})
    yield fleet, fleet("submit", fleet.write(asked), "--yes")
    fleet.clear()


def energy(fleet: Fleet, machine_name: str) -> list[dict[str, Any]]:
    query = f"select * from energy_of_requests where machine = '{machine_name}'"
    return fleet.rows(query)


@pytest.mark.parametrize(("name", "method"), [("counter", "counter"), ("sensor", "power")])
def test_energy_of_a_scripted_machine_is_what_the_script_says(
    metered: tuple[Fleet, Done], name: str, method: str
) -> None:
    """The span of each phase is the client's; it is longer than scripted where the host is busy."""
    [found] = [row for row in energy(metered[0], name) if row["output_tokens"] == 257]
    assert (found["scope"], found["method"], found["valid"]) == ("gpu_board", method, True)
    assert found["source"] == "machine script"
    assert found["idle_w"] == pytest.approx(10, rel=0.05)
    # 0.5 % of the energy, and what a loaded host may add: 0.1 s at the difference of two phases.
    assert found["prefill_joules"] == pytest.approx(60 * PREFILL_S, rel=0.005, abs=7)
    assert found["decode_joules"] == pytest.approx(80 * DECODE_S, rel=0.005, abs=7)
    assert found["prefill_valid"]
    assert found["decode_valid"]
    assert found["greatest_gap_ns"] < 2e9


def test_a_trial_on_a_server_of_its_own_is_metered_there(tmp_path: Path) -> None:
    """Its settings are of the engine's environment; the owner's server only rests."""
    fleet = Fleet(tmp_path)
    speeds = {"tiny": model(prefill_tokens_per_s=200, decode_tokens_per_s=80)}
    (fleet.folder / "jobs" / "long.yaml").write_text(json.dumps(JOB))
    own = machine(power=POWER, noise_percent=0, models=speeds)
    settings = {"num_ctx": 1024, "flash_attention": True}
    changes = {"jobs": ["long"], "repeats": 1, "telemetry": {"idle_s": 1}, "settings": settings}
    try:
        fleet("submit", fleet.write(experiment({"own": own}, **changes)), "--yes")
        assert fleet.rows("select engine_restarted as anew from trials") == [{"anew": True}]
        [found] = [row for row in energy(fleet, "own") if row["output_tokens"] == 257]
        assert found["decode_joules"] == pytest.approx(80 * DECODE_S, rel=0.005, abs=7)
        assert found["idle_w"] == pytest.approx(10, rel=0.05)
    finally:
        fleet.clear()


def test_a_machine_without_a_meter_has_no_energy(metered: tuple[Fleet, Done]) -> None:
    assert energy(metered[0], "untold") == []


def test_the_shown_trial_tells_readings_and_energy(metered: tuple[Fleet, Done]) -> None:
    fleet, _ = metered
    trial = _trial(fleet, "counter")
    shown = fleet("show", trial).out
    assert "gpu_board_energy_joules" in shown
    assert "J/token" in shown
    assert "by counter (machine script)" in shown
    whole = fleet("show", trial, "--json").json()
    assert {row["metric"] for row in whole["readings"]} == {
        *("gpu_board_energy_joules", "gpu_board_power_w", "idle_window_s", "sampler_cpu_s"),
    }
    [cost] = whole["energy"]
    assert cost["joules_per_token"] == pytest.approx((180 + 256) / 257, rel=0.05)
    assert "reading" not in fleet("show", _trial(fleet, "untold")).out


def test_energy_of_cells_is_shown(metered: tuple[Fleet, Done], measured: Fleet) -> None:
    fleet, _ = metered
    lines = fleet("energy", "show", "demo").out.splitlines()
    assert lines[0].split()[:5] == ["machine", "model", "test", "scope", "J/token"]
    assert sorted(line.split()[0] for line in lines[1:]) == ["counter", "sensor"]
    assert {row["scope"] for row in fleet("energy", "show", "--json").json()} == {"gpu_board"}
    assert "no energy: " in measured("energy", "show").out
    assert "did you mean demo?" in fleet("energy", "show", "demmo", code=2).err


def _trial(fleet: Fleet, name: str) -> str:
    [row] = fleet.rows(f"select trial_id from trials where machine = '{name}'")
    return str(row["trial_id"])


def test_a_wall_meters_log_becomes_energy_of_its_own_scope(
    metered: tuple[Fleet, Done], tmp_path: Path
) -> None:
    fleet = metered[0].copied_to(tmp_path)
    log = plug(fleet, "untold", 150.0)
    words = ("energy", "import", str(log), "--machine", "untold")
    assert " of wall_power_w for 1 trial of untold" in fleet(*words).out
    files = fleet.parquet()
    fleet(*words)
    assert fleet.parquet() == files
    [found] = [row for row in energy(fleet, "untold") if row["output_tokens"] == 257]
    assert (found["scope"], found["method"], found["valid"]) == ("wall", "power", True)
    assert found["mean_w"] == pytest.approx(150)
    assert found["source"].startswith("wall meter plug.csv")

    other = plug(fleet, "untold", 90.0, "other.csv")
    refused = fleet("energy", "import", str(other), "--machine", "untold", code=2).err
    assert "has readings of wall meter plug.csv" in refused


def test_a_log_that_does_not_fit_is_refused(metered: tuple[Fleet, Done], tmp_path: Path) -> None:
    fleet = metered[0].copied_to(tmp_path)
    log = plug(fleet, "untold", 150.0)
    words = ("energy", "import", str(log), "--machine")
    assert "did you mean untold?" in fleet(*words, "untod", code=2).err
    elsewhen = fleet(*words, "untold", "--shift", "-7200", code=2).err
    assert "no trial of untold lies in it" in elsewhen
    assert "--shift" in elsewhen
    text = log.read_text().splitlines()
    text[3], text[5] = text[3].split(",")[0] + ",hot", "yesterday,150"
    log.write_text("\n".join(text))
    wrong = fleet(*words, "untold", code=2).err
    assert "plug.csv:4:1: power_w: 'hot' is no number" in wrong
    assert "plug.csv:6:1: time: 'yesterday' is no time" in wrong
    assert "cannot be read" in fleet("energy", "import", "no.csv", "--machine", "a", code=2).err
