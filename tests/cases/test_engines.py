"""The fake Ollama of public reports in each of its modes, with the whole program around."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.builders_cases import case, fake_nvidia_smi, fake_ollama, with_cases
from tests.builders_flow import Done, Fleet, experiment

pytestmark = with_cases

EXACT = ("--job", "exact", "--repeats", "1", "--gates", "record", "--yes")
FASTEST = 50_000
"""Tokens/s; the fake program writes 500 and reads 10,000."""
OF_NO_EFFECT = {
    "ALL_PROXY": "socks5://127.0.0.1:9",
    "no_proxy": "localhost,fe80::/10",
    "SSL_CERT_FILE": "/nonexistent.pem",
}


def submitted(fleet: Fleet, mode: str, *words: str, code: int = 0, **env: str) -> Done:
    with fake_ollama(mode) as address:
        return fleet("submit", *(words or ("m", *EXACT)), code=code, env={**address, **env})


def requests(fleet: Fleet) -> dict[str, dict[str, Any]]:
    """The measured requests by their point."""
    return {row["point"]: row for row in fleet.rows("from requests_flagged where not warmup")}


def faults(request: dict[str, Any]) -> set[str]:
    """Of a request; that a busy machine delivers a chunk late is no fault of the answer."""
    return set(request["invalid"].split()) - {"clock"}


def outcomes(fleet: Fleet) -> list[str]:
    rows = fleet.rows("select outcome, reason from trials order by outcome desc")
    return [row["reason"] or row["outcome"] for row in rows]


def check_of_usual_work(fleet: Fleet) -> None:
    """Every point was measured: all tokens, and rates as the counters give them."""
    of = requests(fleet)
    assert [faults(of[point]) for point in ("pp512", "tg128")] == [set(), set()]
    prefill, decode = of["pp512"], of["tg128"]
    assert (prefill["prompt_tokens"], decode["output_tokens"]) == (512, 128)
    seconds = prefill["prompt_duration_ns"] / 1e9
    assert prefill["prefill_tokens_per_s"] == pytest.approx(512 / seconds)
    assert decode["decode_tokens_per_s"] == pytest.approx(127e9 / decode["output_duration_ns"])


def test_30_cached_prompts_are_flagged(fleet: Fleet) -> None:
    done = submitted(fleet, "cached")
    for row in fleet.rows("from requests_flagged"):
        assert row["cached_tokens"] == int(row["prompt_tokens"] * 0.6)
        assert row["uncached_tokens"] == row["prompt_tokens"] - row["cached_tokens"]
    prefill = requests(fleet)["pp512"]
    assert (faults(prefill), prefill["prefill_tokens_per_s"]) == ({"cached_prefix"}, None)
    assert "left out: cached_prefix" in done.err


def test_30_a_final_record_without_done_is_the_final_one(fleet: Fleet) -> None:
    submitted(fleet, "nodone")
    check_of_usual_work(fleet)
    assert {row["done_reason"] for row in requests(fleet).values()} == {"length"}


def test_30_durations_in_milliseconds_give_no_rate_anywhere(fleet: Fleet) -> None:
    done = submitted(fleet, "msdur", code=1)
    for row in requests(fleet).values():
        assert "above_ceiling" in row["invalid"]
        rates = [value for name, value in row.items() if name.endswith("_tokens_per_s")]
        assert [rate for rate in rates if rate and rate > FASTEST] == []
    printed = (done.out + done.err + fleet("results", code=None).out).replace(" ", "")
    assert "tokens/s" not in printed.replace("ratesintokens/s", "")
    assert "no valid request" in fleet("results", code=None).out


@pytest.mark.parametrize(("mode", "number"), [("doneneg", "-123"), ("hugens", str(2**63))])
def test_30_a_counter_that_cannot_be_is_refused_and_stops_no_later_submit(
    fleet: Fleet, mode: str, number: str
) -> None:
    done = submitted(fleet, mode, code=1)
    words = f"failed: impossible_counter eval_duration is {number}, and a duration is from 0 to"
    assert done.err.count(words) == 3
    assert outcomes(fleet) == ["impossible_counter"] * 3
    assert fleet.spooled() == []
    submitted(fleet, "ok", *("m", *EXACT, "--again"))
    assert outcomes(fleet) == ["ok", *["impossible_counter"] * 3]
    check_of_usual_work(fleet)


def test_30_tensors_without_a_shape_are_unknown(fleet: Fleet) -> None:
    submitted(fleet, "showshape")
    check_of_usual_work(fleet)
    [trial] = fleet.rows("from trials")
    assert (trial["outcome"], trial["active_bytes"]) == ("ok", None)


def test_30_capital_letters_make_no_second_model(fleet: Fleet) -> None:
    with fake_ollama("case") as address:
        for spelling, finished in (("M", 0), ("m", 1), ("M:LATEST", 1)):
            fleet.write(experiment_of([spelling]))
            done = fleet("submit", "configs/demo.yaml", env=address)
            assert ("1 trial is finished already, 0 to go" in done.err) == bool(finished)
    assert [row["model"] for row in fleet.rows("select model from trials")] == ["M"]


def test_30_a_cloud_model_leaves_out_itself(fleet: Fleet) -> None:
    cloud = "gpt-oss:120b-cloud"
    file = fleet.write(experiment_of([cloud, "m"]))
    with fake_ollama("cloudlist") as address:
        plan = fleet("plan", file, env=address).out
        assert f"{cloud}: runs in the cloud, not on this machine" in plan
        done = fleet("submit", file, env=address, code=1)
    assert f"{cloud}: runs in the cloud, not on this machine" in done.err
    assert [row["model"] for row in fleet.rows("select model from trials")] == ["m"]
    check_of_usual_work(fleet)


def test_30_a_mapped_file_counted_twice_is_not_spilled(fleet: Fleet, tmp_path: Path) -> None:
    """Only with a GPU can a model be spilled from it."""
    path = f"{fake_nvidia_smi(tmp_path)}{os.pathsep}{os.environ['PATH']}"
    submitted(fleet, "mmap2x", PATH=path)
    [trial] = fleet.rows("from trials")
    assert trial["gpu"] == "NVIDIA GeForce RTX 4060 Ti"
    assert (trial["placement_size_bytes"], trial["placement_gpu_bytes"]) == (
        28_670_000_000,
        14_390_000_000,
    )
    assert [row["spilled"] for row in requests(fleet).values()] == [False, False]
    check_of_usual_work(fleet)


def test_30_negative_memory_is_unknown_and_the_model_still_fleets_own(fleet: Fleet) -> None:
    submitted(fleet, "vramneg", "m", *EXACT[:2], "--repeats", "2", *EXACT[4:])
    trials = fleet.rows("select outcome, placement_gpu_bytes, models_unloaded from trials")
    assert trials == [{"outcome": "ok", "placement_gpu_bytes": None, "models_unloaded": None}] * 2


def test_33_prefill_with_a_cached_part_is_flagged(fleet: Fleet) -> None:
    submitted(fleet, "cached", str(case("33")))
    rows = fleet.rows("from requests_flagged where point = 'pp512' and not warmup")
    assert len(rows) == 3
    for row in rows:
        assert (row["prompt_tokens"], row["cached_tokens"]) == (512, 307)
        assert (faults(row), row["prefill_tokens_per_s"]) == ({"cached_prefix"}, None)
        assert row["uncached_tokens"] == 205
    [cell] = [row for row in fleet("results", "--json").json() if row["test"] == "pp512"]
    assert cell["prefill_tokens_per_s"] is None


@pytest.mark.parametrize("variables", [*({k: v} for k, v in OF_NO_EFFECT.items())], ids=str)
def test_proxies_and_certificates_have_no_effect_on_a_local_engine(
    fleet: Fleet, variables: dict[str, str]
) -> None:
    file = fleet.write(experiment_of(["m"]))
    with fake_ollama("ok") as address:
        env = {**address, **variables}
        assert "1 trial" in fleet("plan", file, env=env).out
        assert "0.33.4 at http://127.0.0.1" in fleet("doctor", code=None, env=env).out
        fleet("submit", file, env=env)
    check_of_usual_work(fleet)


def experiment_of(models: list[str]) -> dict[str, Any]:
    engine = {"kind": "ollama"}
    return experiment({}, engine=engine, gates="record", repeats=1, models=models)
