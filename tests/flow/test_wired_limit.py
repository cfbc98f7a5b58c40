"""A wired limit as an axis, end to end on scripted Macs whose limit outlives the worker."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.builders_flow import Fleet, experiment, machine, model, names, until

FITS_BOTH, FITS_HIGHER = 65_369_818_941, 80_000_000_000
"""Bytes: below 73728 MiB, and between that and 81920 MiB."""


def mac(**changes: Any) -> dict[str, Any]:
    plain = {
        "os": "darwin",
        "os_version": "15.6",
        "gpu": "Apple M3 Ultra",
        "wired_limit": True,
        "models": {"fits": model(size_bytes=FITS_BOTH), "big": model(size_bytes=FITS_HIGHER)},
    }
    return machine(**{**plain, **changes})


def limits(machines: dict[str, Any], **changes: Any) -> dict[str, Any]:
    plain = {
        "models": ["fits", "big"],
        "settings": {"num_ctx": 1024, "wired_limit_mb": ["default", 81_920]},
        "compare_by": "wired_limit_mb",
    }
    return experiment(machines, **{**plain, **changes})


def limit_file(fleet: Fleet) -> Path:
    [path] = (fleet.folder / "home").rglob("simulated/*/wired_limit_mb")
    return path


def limits_set(fleet: Fleet) -> list[str]:
    """None before the first was set."""
    return [
        path.read_text() for path in (fleet.folder / "home").rglob("simulated/*/wired_limit_mb")
    ]


def open_entries(fleet: Fleet) -> list[Path]:
    return [*(fleet.folder / "home").rglob("settings/*.open.json")]


def verdicts(out: str, model: str) -> list[str]:
    """Of each point of the model: 81920 against the default."""
    bouts = re.findall(rf"^{model}, .* against wired_limit_mb default .*\n  81920 (.*)$", out, re.M)
    assert len(bouts) == 2, out
    return [re.split(r"  +", bout.strip())[4] for bout in bouts]


def test_verdicts_are_the_scripted_truth(fleet: Fleet) -> None:
    fleet.write(limits({"alpha": mac()}, repeats=5))
    done = fleet("submit", "configs/demo.yaml")
    assert "alpha: wired_limit_mb=81920 adds 8.0 GiB to its default of 73728 MiB" in done.err
    assert set(verdicts(done.out, "big")) == {"faster"}
    assert set(verdicts(done.out, "fits")) <= {"same", "not resolved"}
    rows = fleet.rows("""
        select distinct model, wired_limit_mb as asked, wired_limit_applied_mb as applied,
          gpu_limit_effective_mb as effective, gpu_limit_mb as found, engine_restarted as anew,
          placement_gpu_bytes < placement_size_bytes as spilled from trials order by all""")
    assert [tuple(row.values()) for row in rows] == [
        ("big", "81920", 81_920, 81_920, 73_728, True, False),
        ("big", "default", 0, 73_728, 73_728, True, True),
        ("fits", "81920", 81_920, 81_920, 73_728, True, False),
        ("fits", "default", 0, 73_728, 73_728, True, False),
    ]
    assert limit_file(fleet).read_text() == "0\n"
    assert open_entries(fleet) == []


@pytest.mark.faults
def test_a_limit_changed_by_hand_makes_new_trials(fleet: Fleet) -> None:
    fleet.write(limits({"alpha": mac()}, models=["fits"], repeats=1))
    fleet("submit", "configs/demo.yaml")
    assert "2 trials are finished already, 0 to go" in fleet("submit", "configs/demo.yaml").err
    limit_file(fleet).write_text("77824\n")
    asked = fleet("submit", "configs/demo.yaml").err
    assert "2 trials were measured before this change: GPU limit 73728 MiB -> 77824 MiB" in asked
    fleet("submit", "configs/demo.yaml", "--yes")
    assert limit_file(fleet).read_text() == "77824\n", "put back to what it was before"
    rows = fleet.rows("select gpu_limit_mb, gpu_limit_effective_mb from trials where fence = 1")
    assert names(rows, "gpu_limit_mb") == {77_824}
    assert names(rows, "gpu_limit_effective_mb") == {73_728, 81_920}


def test_a_limit_changed_by_hand_is_compared(fleet: Fleet) -> None:
    """No experiment sets it: between two submits somebody does, and the two stand side by side."""
    fleet.write(
        experiment({"alpha": mac()}, models=["fits", "big"], settings={"num_ctx": 1024}, repeats=3)
    )
    fleet("submit", "configs/demo.yaml")
    [found] = fleet.rows("select distinct machine_id from trials")
    path = fleet.folder / "home/.local/state/fleet/simulated" / found["machine_id"]
    path.mkdir(parents=True, exist_ok=True)
    (path / "wired_limit_mb").write_text("81920\n")
    fleet("submit", "configs/demo.yaml", "--yes")
    groups = fleet("compare", "demo", "--by", "gpu_limit_mb", "--json").json()["groups"]
    told = {
        (group["model"], group["metric"], line["side"]): (line["verdict"], line["cause"])
        for group in groups
        for line in group["lines"][1:]
    }
    assert told.keys() == {
        (model, metric, "81920") for model in ("fits", "big") for metric in ("prefill", "decode")
    }
    cause = "3.4 % of the model ran on the CPU under 73728"
    assert {told["big", metric, "81920"] for metric in ("prefill", "decode")} == {("faster", cause)}
    assert {told["fits", metric, "81920"][0] for metric in ("prefill", "decode")} <= {
        "same",
        "not resolved",
    }
    assert {group["machine"] for group in groups} == {"alpha"}


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="workers are found in /proc")
def test_a_worker_killed_while_it_measures_is_put_right(fleet: Fleet) -> None:
    slow = {"fits": model(size_bytes=FITS_BOTH, decode_tokens_per_s=5)}
    only = {"num_ctx": 1024, "wired_limit_mb": 81_920}
    fleet.write(limits({"alpha": mac(models=slow)}, models=["fits"], settings=only, repeats=1))
    running = fleet.start("submit", "configs/demo.yaml")
    until(lambda: open_entries(fleet) and limits_set(fleet) == ["81920\n"])
    worker = min(fleet.processes("fleet.worker"))  # a child of it has its name until it runs
    busy = fleet("plan", "configs/demo.yaml", code=3).err
    assert "a trial is running here now, and has changed a setting of this machine" in busy
    os.kill(worker, signal.SIGKILL)
    running.end()
    assert limit_file(fleet).read_text() == "81920\n", "nobody was left to put it back"
    assert len(open_entries(fleet)) == 1
    until(lambda: fleet.processes() == [])
    plan = fleet("plan", "configs/demo.yaml", "--json").json()
    assert plan["limits"][0]["change_mb"] == 8192, "the machine is as it was found"
    assert limit_file(fleet).read_text() == "0\n"
    assert open_entries(fleet) == []


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        (90_113, "90113 on alpha (96 GB, default 73728 MiB) is above 90112: 8 GiB are left"),
        (65_536, "65536 on alpha (96 GB, default 73728 MiB) lowers its limit by 8192 MiB"),
    ],
)
def test_a_limit_out_of_bounds_is_refused_before_a_machine_is_touched(
    fleet: Fleet, limit: int, words: str
) -> None:
    settings = {"num_ctx": 1024, "wired_limit_mb": ["default", limit]}
    fleet.write(limits({"alpha": mac()}, settings=settings))
    assert words in fleet("plan", "configs/demo.yaml", code=2).out
    assert words in fleet("submit", "configs/demo.yaml", code=2).err
    assert not [*(fleet.folder / "home").rglob("wired_limit_mb")]
    fleet.write(limits({"alpha": mac()}, settings=settings, below_default="allow"))
    code = 2 if limit > 90_000 else 0
    assert words not in fleet("plan", "configs/demo.yaml", code=code).out or code == 2
