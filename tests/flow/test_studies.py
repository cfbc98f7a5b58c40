"""The shipped studies on the practice machines: verdicts, causes and explanations are the
scripted truth."""

from __future__ import annotations

from typing import Any

import pytest

from tests.builders_flow import Done, Fleet, until

pytestmark = pytest.mark.faults

STUDY_S = 400.0
"""A minute or two where nothing else runs."""
FITS, LARGE = "gpt-oss:120b", "qwen3-coder-next:q8_0"


def submitted(fleet: Fleet, name: str) -> Done:
    running = fleet.start("submit", name, "--practice", "--repeats", "5")
    until(lambda: running.process.poll() is not None, STUDY_S)
    done = running.end()
    assert done.code == 0, done.err
    return done


def compared(fleet: Fleet, name: str, axis: str, baseline: str) -> Any:
    words = ("--by", axis, "--baseline", baseline, "--json")
    return fleet("compare", name, *words, code=None).json()


def test_what_a_wired_limit_changes(fleet: Fleet) -> None:
    plan = fleet("plan", "configs/wired-limit.yaml", "--practice").out
    for line in (
        "studio-96: wired_limit_mb=default is 73728 MiB",
        "studio-96: wired_limit_mb=81920 adds 8.0 GiB to its default of 73728 MiB",
        "studio-96: wired_limit_mb=90112 adds 16.0 GiB to its default of 73728 MiB",
        "max-128: wired_limit_mb=default is 110100 MiB",
        "max-128: wired_limit_mb=81920 takes 27.5 GiB of its default of 110100 MiB",
        "max-128: wired_limit_mb=90112 takes 19.5 GiB of its default of 110100 MiB",
        f"studio-96 {LARGE} with wired_limit_mb=default: 7.0 GiB of 79.0 GiB would spill",
    ):
        assert line in plan
    assert plan.count("would spill") == 1
    assert "refused" not in plan
    assert "box-4090" not in plan
    done = submitted(fleet, "configs/wired-limit.yaml")
    again = "fleet compare wired-limit-practice --by wired_limit_mb --baseline default"
    assert again in done.out
    found = compared(fleet, "wired-limit-practice", "wired_limit_mb", "default")
    told = {
        (group["machine"], group["model"], line["side"]): (line["verdict"], line["cause"])
        for group in found["groups"]
        for line in group["lines"][1:]
    }
    cause = "8.8 % of the model ran on the CPU under default"
    assert told == {
        (machine, model, limit): ("faster", cause)
        if (machine, model) == ("studio-96", LARGE)
        else ("same", "")
        for machine in ("studio-96", "max-128")
        for model in (FITS, LARGE)
        for limit in ("81920", "90112")
    }
    assert len(found["groups"]) == 8
    for group in found["groups"]:
        [control] = group["controls"]
        assert (control["machine"], control["cell"]) == (group["machine"], "default")
        assert control["trials"] == 10
        assert control["gave"] != "not itself"
    rows = fleet.rows("""
        select machine, wired_limit_mb as asked, gpu_limit_effective_mb as effective,
          role, outcome, count(*) as trials
        from trials where role <> 'canary' group by all order by all""")
    assert [tuple(row.values()) for row in rows] == [
        ("max-128", "81920", 81_920, "measure", "ok", 10),
        ("max-128", "90112", 90_112, "measure", "ok", 10),
        ("max-128", "default", 110_100, "measure", "ok", 10),
        ("max-128", "default", 110_100, "noise", "ok", 20),
        ("studio-96", "81920", 81_920, "measure", "ok", 10),
        ("studio-96", "90112", 90_112, "measure", "ok", 10),
        ("studio-96", "default", 73_728, "measure", "ok", 10),
        ("studio-96", "default", 73_728, "noise", "ok", 20),
    ]


def test_whether_128_gb_are_faster_than_96(fleet: Fleet) -> None:
    submitted(fleet, "configs/memory-96-vs-128.yaml")
    found = compared(fleet, "memory-96-vs-128-practice", "memory_gb", "96")
    assert len(found["groups"]) == 3 * 3
    lines = {
        (group["model"], group["point"], group["metric"]): group["lines"][1]
        for group in found["groups"]
    }
    for (model, _, metric), line in lines.items():
        words = line["explanation"]["words"]
        if model == LARGE:
            assert line["verdict"] == "faster"
            assert words.startswith("consistent with memory: 8.8 % of the model ran on the CPU")
        elif model == FITS:
            assert line["verdict"] == "slower"
            first = "bandwidth: 546 / 800" if metric == "decode" else "GPU cores: 40 / 60"
            assert words.startswith(f"consistent with {first}")
        else:
            assert line["verdict"] == "slower"
            assert words.startswith("neither ")
        listed = " ".join(line["reasons"])
        assert all(
            part in listed
            for part in ("chip Apple M4 Max / Apple M3 Ultra", "GPU cores 40 / 60", "546.0 / 800.0",
                         "OS build 25B78 / 24G84", "GPU limit (MiB) 110100 / 73728")
        )  # fmt: skip


def test_which_format_of_a_model_is_faster(fleet: Fleet) -> None:
    gguf, mlx, drafts = (f"gemma4:12b-{tag}" for tag in ("it-q4_K_M", "nvfp4", "mlx"))
    submitted(fleet, "configs/mlx-or-gguf.yaml")
    found = compared(fleet, "mlx-or-gguf-practice", "model", gguf)
    rates = {
        (group["machine"], group["point"], line["side"]): line
        for group in found["groups"]
        for line in group["lines"][1:]
        if group["job"] == "formats"
    }
    reads, writes = ("pp512", "pp8192", "pp32768"), ("tg256", "tg256@d16384")
    scripted = {
        "studio-96": {mlx: (1250 / 1000, 60 / 52), drafts: (1250 / 1000, 95 / 52)},
        "max-128": {mlx: (860 / 690, 48 / 40), drafts: (860 / 690, 70 / 40)},
    }
    expected = {
        (machine, point, side): ratios[point in writes]
        for machine, sides in scripted.items()
        for side, ratios in sides.items()
        for point in (*reads, *writes)
    }
    assert rates.keys() == expected.keys()
    for key, ratio in expected.items():
        line = rates[key]
        assert line["verdict"] == "faster", key
        assert line["ratio"] == pytest.approx(ratio, rel=0.05), key
        [told] = [reason for reason in line["reasons"] if "model formats" in reason]
        assert "model formats safetensors / gguf, quantization nvfp4 / Q4_K_M" in told
        assert ("drafts yes / no" in told) is (key[2] == drafts)
    rows = fleet.rows("""
        select model, model_format, drafts, count(*) filter (outcome <> 'ok') as failed
        from trials where role = 'measure' group by all order by all""")
    assert [tuple(row.values()) for row in rows] == [
        (gguf, "gguf", "no", 0),
        (drafts, "safetensors", "yes", 0),
        (mlx, "safetensors", "no", 0),
    ]
    left_out = "select count(*) as n from requests_flagged where not valid and not warmup"
    assert fleet.rows(left_out) == [{"n": 0}]


def test_whether_an_update_made_it_slower(fleet: Fleet) -> None:
    plan = fleet("plan", "configs/ollama-versions.yaml", "--practice").out
    assert "  studio-96: engine_binary v0.32 is 0.32.15, v0.34 is 0.34.4\n" in plan
    submitted(fleet, "configs/ollama-versions.yaml")
    found = compared(fleet, "ollama-versions-practice", "engine_binary", "v0.32")
    verdicts = {
        (group["machine"], group["metric"]): line["verdict"]
        for group in found["groups"]
        for line in group["lines"][1:]
    }
    scripted = {"studio-96": "slower", "box-4090": "faster", "max-128": "same", "strix-128": "same"}
    assert verdicts == {
        (name, metric): verdict
        for name, verdict in scripted.items()
        for metric in ("prefill", "decode")
    }
    named = "select distinct engine_binary, engine_version from trials where role = 'measure'"
    versions = fleet.rows(f"{named} order by 1")
    assert [tuple(row.values()) for row in versions] == [("v0.32", "0.32.15"), ("v0.34", "0.34.4")]
